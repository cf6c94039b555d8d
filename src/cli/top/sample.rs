//! What is so at one moment, found out without an agent.

use super::follow::Follower;
use crate::cli::events::event::{Event, Kind};
use crate::cli::events::totals::totals_json;
use crate::cli::events::violation;
use crate::cli::format::time::stamp;
use crate::cli::policies::selector::with_cgroup;
use crate::cli::policies::watched::{by_policy, Under};
use crate::explain::Violation;
use crate::kernel::{Contexts, KernelError, Level, Manifest, Pinned, Pins, Totals, Watched};
use crate::machine::Context;
use crate::policy::PolicySelector;
use crate::text::UntrustedText;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How many violations are remembered.
const RECENT: usize = 100;

/// How often it looks.
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How long a signal waits at the most.
pub(crate) const STEP: Duration = Duration::from_millis(100);

/// One who looks again and again.
pub(crate) struct Watcher {
    pins: Pins,
    events: Option<Events>,
    last: Option<Last>,
    contexts: Option<(Manifest, Contexts)>,
}

/// Violations, from a file of them.
struct Events {
    follower: Follower,
    recent: VecDeque<Violation>,
}

/// What was counted at the last look.
struct Last {
    at: Instant,
    since: SystemTime,
    totals: Totals,
    violations: BTreeMap<PolicySelector, u64>,
}

/// What is so.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub time: SystemTime,
    pub enforced: Option<Enforced>,
    /// The violations in the file that are new, and the last of all, if there is a file.
    pub violations: Option<(Vec<Violation>, Vec<Violation>)>,
}

/// What is enforced.
#[derive(Debug, Clone)]
pub(crate) struct Enforced {
    pub level: Level,
    pub log_only: bool,
    pub version: String,
    pub since: SystemTime,
    pub has_agent: bool,
    /// None of another version's.
    pub totals: Option<Totals>,
    pub rates: Option<Rates>,
    pub policies: Vec<Policy>,
    pub processes: Vec<Process>,
}

/// How often something happens in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub calls: f64,
    pub violations: f64,
}

/// A policy, and what is watched under it.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub selector: PolicySelector,
    pub processes: usize,
    pub threads: usize,
    /// Since enforcement began.
    pub violations: u64,
    /// In a second.
    pub rate: Option<f64>,
}

/// A watched process.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub pid: u32,
    pub comm: UntrustedText,
    pub policy: PolicySelector,
    pub threads: usize,
    /// Where its threads are, and how many in each place: most first. None: not known.
    pub contexts: Vec<(Option<Context>, usize)>,
}

impl Watcher {
    pub(crate) fn new(pins: Pins, events: Option<&Path>) -> Self {
        let events = events.map(|path| {
            let (follower, earlier) = Follower::new(path);
            let mut events = Events { follower, recent: VecDeque::new() };
            events.remember(&earlier);
            events
        });
        Watcher { pins, events, last: None, contexts: None }
    }

    pub(crate) fn look(&mut self) -> Result<Sample, KernelError> {
        let new = self.events.as_mut().map(Events::read);
        // What goes while it is looked at is gone the next time.
        let enforced = self.enforced().or_else(|_| self.enforced())?;
        let violations = self.events.as_ref().zip(new);
        Ok(Sample {
            time: SystemTime::now(),
            enforced,
            violations: violations
                .map(|(events, new)| (new, events.recent.iter().cloned().collect())),
        })
    }

    fn enforced(&mut self) -> Result<Option<Enforced>, KernelError> {
        let Some(pinned) = Pinned::find(&self.pins)? else {
            (self.last, self.contexts) = (None, None);
            return Ok(None);
        };
        let manifest = pinned.manifest();
        let totals = pinned.totals()?;
        let counts = pinned.violations()?.unwrap_or_default();
        let counts: BTreeMap<PolicySelector, u64> =
            counts.into_iter().map(|(name, reasons)| (name, reasons.values().sum())).collect();
        let now = totals.map(|totals| Last {
            at: Instant::now(),
            since: manifest.since(),
            totals,
            violations: counts.clone(),
        });
        let last = std::mem::replace(&mut self.last, now);
        let last = last.filter(|last| last.since == manifest.since());
        let count = |name: &PolicySelector, counts: &BTreeMap<PolicySelector, u64>| {
            counts.get(name).copied().unwrap_or(0)
        };
        let watched = pinned.watched()?.unwrap_or_default();
        let policy = |(name, under): (PolicySelector, Under)| Policy {
            processes: under.processes.len(),
            threads: under.threads,
            violations: count(&name, &counts),
            rate: last
                .as_ref()
                .map(|last| last.rate(count(&name, &counts), count(&name, &last.violations))),
            selector: name,
        };
        let policies = by_policy(&watched, manifest).into_iter().map(policy).collect();
        let rates = last.as_ref().zip(totals).map(|(last, totals)| Rates {
            calls: last.rate(totals.judged, last.totals.judged),
            violations: last.rate(totals.violations, last.totals.violations),
        });
        if self.contexts.as_ref().is_none_or(|(of, _)| of != manifest) {
            self.contexts = Some((manifest.clone(), pinned.contexts()?));
        }
        let contexts = self.contexts.as_ref().map(|(_, contexts)| contexts);
        Ok(Some(Enforced {
            level: manifest.level(),
            log_only: manifest.log_only,
            version: manifest.version.clone(),
            since: manifest.since(),
            has_agent: self.pins.has_agent(),
            totals,
            rates,
            policies,
            processes: processes(&watched, manifest, contexts),
        }))
    }
}

impl Last {
    /// How much more there is in a second.
    fn rate(&self, now: u64, before: u64) -> f64 {
        let elapsed = self.at.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        // Counts of a second have their value as a floating point number, too.
        #[allow(clippy::cast_precision_loss)]
        let more = now.saturating_sub(before) as f64;
        more / elapsed
    }
}

impl Events {
    fn read(&mut self) -> Vec<Violation> {
        let new = self.follower.read();
        self.remember(&new);
        new
    }

    fn remember(&mut self, violations: &[Violation]) {
        self.recent.extend(violations.iter().cloned());
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
    }
}

/// The processes of these threads, by their numbers.
fn processes(
    watched: &[Watched],
    manifest: &Manifest,
    contexts: Option<&Contexts>,
) -> Vec<Process> {
    let subjects = manifest.selectors();
    let mut by_pid: BTreeMap<u32, Vec<&Watched>> = BTreeMap::new();
    for thread in watched {
        by_pid.entry(thread.pid).or_default().push(thread);
    }
    let process = |(pid, threads): (u32, Vec<&Watched>)| {
        // While a policy is replaced its threads may be under either: the leader's is the
        // process's.
        let leader = threads.iter().find(|thread| thread.tid == pid).or(threads.first())?;
        let mut places: Vec<(Option<Context>, usize)> = Vec::new();
        for thread in &threads {
            let context = contexts.and_then(|contexts| contexts.of(thread));
            match places.iter_mut().find(|(other, _)| *other == context) {
                Some((_, count)) => *count += 1,
                None => places.push((context, 1)),
            }
        }
        places.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Some(Process {
            pid,
            comm: comm(pid),
            policy: subjects.get(&leader.policy)?.clone(),
            threads: threads.iter().map(|thread| thread.tid).collect::<BTreeSet<_>>().len(),
            contexts: places,
        })
    };
    by_pid.into_iter().filter_map(process).collect()
}

/// A process's name, while it lives.
fn comm(pid: u32) -> UntrustedText {
    let bytes = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    UntrustedText::from_bytes(bytes.strip_suffix(b"\n").unwrap_or(&bytes))
}

impl Sample {
    pub(crate) fn event(&self) -> Event {
        let mut event = Event::new(Kind::Top)
            .with("time", stamp(self.time))
            .with("enforced", self.enforced.is_some());
        if let Some(enforced) = &self.enforced {
            event = enforced.describe(event);
        }
        if let Some((new, _)) = &self.violations {
            event =
                event.with("new_violations", new.iter().map(violation_json).collect::<Vec<_>>());
        }
        event
    }
}

/// A violation as the event that it was read from.
fn violation_json(found: &Violation) -> Value {
    let kind = if found.count.is_some() { Kind::Repeated } else { Kind::Violation };
    serde_json::to_value(violation::event(kind, found)).unwrap_or_default()
}

impl Enforced {
    fn describe(&self, event: Event) -> Event {
        let rates = |rates: Rates| json!({"calls_per_second": rates.calls, "violations_per_second": rates.violations});
        event
            .with("has_agent", self.has_agent)
            .with("version", self.version.as_str())
            .with("since", stamp(self.since))
            .with("level", self.level.as_str())
            .with("log_only", self.log_only)
            .with("totals", self.totals.as_ref().map(totals_json))
            .with("rates", self.rates.map(rates))
            .with("policies", self.policies.iter().map(Policy::to_json).collect::<Vec<_>>())
            .with("processes", self.processes.iter().map(Process::to_json).collect::<Vec<_>>())
    }
}

impl Policy {
    fn to_json(&self) -> Value {
        let object = json!({
            "policy": self.selector.binary,
            "processes": self.processes,
            "threads": self.threads,
            "violations": self.violations,
            "violations_per_second": self.rate,
        });
        with_cgroup(object, &self.selector)
    }
}

impl Process {
    fn to_json(&self) -> Value {
        let symbols =
            |context: &Context| context.symbols().iter().map(ToString::to_string).collect();
        let place = |(context, threads): &(Option<Context>, usize)| {
            let context: Option<Vec<String>> = context.as_ref().map(symbols);
            json!({"context": context, "threads": threads})
        };
        let contexts: Vec<Value> = self.contexts.iter().map(place).collect();
        let object = json!({
            "pid": self.pid,
            "comm": self.comm,
            "policy": self.policy.binary,
            "threads": self.threads,
            "contexts": contexts,
        });
        with_cgroup(object, &self.policy)
    }
}
