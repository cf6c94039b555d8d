//! The totals of an enforcement. This is the one list of them: the printers and the metrics go over
//! it, and a counter of `struct sysfsm_counters` that it does not name fails the build.

use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use libbpf_rs::{MapCore, MapFlags};

/// One of the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Its name in JSON.
    pub name: &'static str,
    /// Its name among the metrics, without the prefix and the suffix that all of them have.
    pub metric: &'static str,
    /// What is counted: sentences.
    pub about: &'static str,
    /// How many there were.
    pub value: u64,
}

macro_rules! totals {
    (
        counters { $($(#[doc = $about:literal])+ $counter:ident: $metric:literal,)+ }
        others { $($(#[doc = $other_about:literal])+ $other:ident: $other_metric:literal,)+ }
    ) => {
        /// Totals of an enforcement.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Totals {
            $($(#[doc = $about])+ pub $counter: u64,)+
            $($(#[doc = $other_about])+ pub $other: u64,)+
        }

        impl Totals {
            /// Each total with its names.
            pub fn each(&self) -> impl Iterator<Item = Total> {
                [
                    $(Total {
                        name: stringify!($counter),
                        metric: $metric,
                        about: concat!($($about),+).trim_ascii(),
                        value: self.$counter,
                    },)+
                    $(Total {
                        name: stringify!($other),
                        metric: $other_metric,
                        about: concat!($($other_about),+).trim_ascii(),
                        value: self.$other,
                    },)+
                ]
                .into_iter()
            }

            /// Adds one CPU's counters.
            fn add(&mut self, cpu: &types::sysfsm_counters) {
                // All fields by their names: no counter is left out.
                let types::sysfsm_counters { $($counter,)+ } = *cpu;
                $(self.$counter += $counter;)+
            }
        }
    };
}

totals! {
    // Counters of the BPF programs (bpf/sysfsm.h).
    counters {
        /// Calls of watched threads that were judged.
        judged: "judged_calls",
        /// All violations.
        violations: "kernel_violations",
        /// Violations that were answered with SIGKILL.
        kills: "kills",
        /// Violations where the kernel refused to send SIGKILL.
        kills_failed: "kills_failed",
        /// Violations that were answered with a refusal of the call only.
        denials: "denials",
        /// Calls that were judged at an enforcement point, because the kernel had skipped both
        /// programs at `sys_enter` (see `recursion_misses`).
        judged_at_hook: "calls_judged_at_hook",
        /// Refusals at enforcement points. A call may meet several, or none that asks.
        vetoes: "vetoes",
        /// What watched threads tried on the enforcer or its BPF objects and were refused.
        protections: "protections",
        /// Violations whose event found no room in the ring buffer.
        events_lost: "events_lost",
        /// Signal frames dropped with handlers nested past the limit.
        frames_dropped: "frames_dropped",
        /// Threads whose state waited in the fallback map until their first call.
        fallback_threads: "fallback_threads",
        /// Threads whose state found no room: their process was killed, or, under `log`, went on
        /// unwatched.
        threads_refused: "threads_refused",
        /// Running threads that were taken under their policy.
        adopted: "adopted_threads",
        /// Violations whose kind found no room to be counted, so that they are counted by their
        /// policy and call. The number of all violations has them.
        unclassified: "unclassified_violations",
    }
    // What is counted elsewhere: the first by the kernel, the other by the collector of a review log.
    others {
        /// How often, at most, the kernel has skipped all programs of a tracepoint.
        // From 7.0 on a program can be preempted, and a task of the same CPU that comes to it then
        // runs on without it (`__bpf_trace_run`, kernel/trace/bpf_trace.c). Before 7.0 always 0.
        recursion_misses: "recursion_misses",
        /// Stacks of violations that could not be read: the helper process that reads them did not
        /// answer, or there were too many at once.
        stacks_lost: "stacks_lost",
    }
}

impl Totals {
    /// Reads the counters of all CPUs, and none of the others.
    pub(crate) fn read(counters: &impl MapCore) -> Result<Self, KernelError> {
        let cpus = counters
            .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
            .map_err(|cause| KernelError::Read { map: "counters", cause })?
            .unwrap_or_default();
        let mut totals = Totals::default();
        for cpu in cpus {
            if let Some(counters) = wire::record(&cpu) {
                totals.add(&counters);
            }
        }
        Ok(totals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_total_has_names_of_its_own_and_is_told_apart() {
        let totals = Totals { kills: 3, recursion_misses: 7, ..Totals::default() };
        let value = |name| totals.each().find(|total| total.name == name).map(|total| total.value);
        assert_eq!(
            (value("kills"), value("recursion_misses"), value("none")),
            (Some(3), Some(7), None)
        );
        let all: Vec<Total> = totals.each().collect();
        let names: BTreeSet<_> = all.iter().map(|total| total.name).collect();
        let metrics: BTreeSet<_> = all.iter().map(|total| total.metric).collect();
        assert_eq!((names.len(), metrics.len()), (all.len(), all.len()));
        assert!(all.iter().all(|total| total.about.ends_with('.')));
    }
}
