//! The metrics: taken from what is pinned when somebody asks, and written in the format of
//! Prometheus.

use super::http::Response;
use crate::cli::policies::watched::{by_policy, Under};
use crate::kernel::{ByReason, KernelError, Pinned, Pins, Totals, Usage};
use crate::machine::Reason;
use crate::policy::PolicySelector;
use crate::text::UntrustedText;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    prometheus_text, DescriptorEncoder, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the metrics are made of.
#[derive(Debug)]
pub(super) struct Figures {
    since: SystemTime,
    level: &'static str,
    log_only: bool,
    policies: usize,
    totals: Totals,
    /// Carried out, and refused.
    reloads: (u64, u64),
    /// Whether there is an alarm, and how many there were.
    alarms: (bool, u64),
    watched: BTreeMap<PolicySelector, Under>,
    maps: Vec<Usage>,
    backlog: Option<Usage>,
    violations: BTreeMap<PolicySelector, ByReason>,
}

impl Figures {
    /// What is so now; none if nothing is enforced.
    pub(super) fn take(pins: &Pins) -> Result<Option<Self>, KernelError> {
        let Some(pinned) = Pinned::find(pins)? else { return Ok(None) };
        let manifest = pinned.manifest();
        let watched = by_policy(&pinned.watched()?.unwrap_or_default(), manifest);
        let mut violations = pinned.violations()?.unwrap_or_default();
        for name in watched.keys() {
            // A series that is there from the beginning has a rate when the first violation comes.
            let reasons = violations.entry(name.clone()).or_default();
            for reason in Reason::all() {
                reasons.entry(reason).or_default();
            }
        }
        let (read, refused) = pinned.reloads().unwrap_or_default();
        Ok(Some(Figures {
            since: manifest.since(),
            level: manifest.level().as_str(),
            log_only: manifest.log_only,
            policies: manifest.policies().count(),
            totals: pinned.totals()?.unwrap_or_default(),
            reloads: (read.saturating_sub(refused), refused),
            alarms: pinned.alarms().unwrap_or_default(),
            watched,
            maps: pinned.usage()?.unwrap_or_default(),
            backlog: pinned.backlog()?,
            violations,
        }))
    }

    pub(super) fn encode(self) -> Response {
        let mut registry = Registry::with_prefix("sysfsm");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        match prometheus_text::encode(&mut text, &registry) {
            Ok(()) => Response::metrics(&text),
            Err(e) => Response::unavailable(&format!("{e}\n")),
        }
    }
}

/// The labels of one policy.
fn of(selector: &PolicySelector) -> [(&'static str, &str); 2] {
    [
        ("policy", selector.binary.whole()),
        ("cgroup", selector.cgroup.as_ref().map(UntrustedText::whole).unwrap_or_default()),
    ]
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut to = Writer(&mut encoder);
        to.info("build", "The sysfsm that answers", &[("version", env!("CARGO_PKG_VERSION"))])?;
        to.gauges("enforcement_level", "What is promised", [([("level", self.level)], 1_u64)])?;
        to.gauge("log_only", "Whether violations are only reported", &u64::from(self.log_only))?;
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        to.gauge(
            "enforced_since_seconds",
            "When enforcement began, in seconds since 1970",
            &since,
        )?;
        to.gauge("policies", "Policies that are enforced", &(self.policies as u64))?;
        for total in self.totals.each() {
            // The encoder puts a full stop behind the text.
            to.counter(total.metric, total.about.trim_end_matches('.'), total.value)?;
        }
        let violations = self.violations.iter().flat_map(|(name, reasons)| {
            let [policy, cgroup] = of(name);
            reasons
                .iter()
                .map(move |(reason, count)| ([policy, cgroup, ("reason", reason.as_str())], *count))
        });
        to.counters("violations", "Violations that were counted apart", violations)?;
        let (done, refused) = self.reloads;
        let reloads = [([("outcome", "done")], done), ([("outcome", "refused")], refused)];
        to.counters("reloads", "Times that policies were read again", reloads)?;
        let (is_raised, alarms) = self.alarms;
        to.gauge("alarm", "Whether vetoes do not refuse calls any more", &u64::from(is_raised))?;
        to.counter("alarms", "Times that vetoes did not refuse calls any more", alarms)?;
        let processes =
            self.watched.iter().map(|(name, under)| (of(name), under.processes.len() as u64));
        to.gauges("watched_processes", "Processes that are watched", processes)?;
        let threads = self.watched.iter().map(|(name, under)| (of(name), under.threads as u64));
        to.gauges("watched_threads", "Threads that are watched", threads)?;
        let taken = self.maps.iter().map(|map| ([("map", map.map)], map.taken));
        to.gauges("map_entries", "Entries of a BPF map that are in use", taken)?;
        let room = self.maps.iter().map(|map| ([("map", map.map)], map.room));
        to.gauges("map_max_entries", "Entries that a BPF map has room for", room)?;
        if let Some(backlog) = self.backlog {
            to.gauge("ring_buffer_bytes", "Bytes of events that wait to be read", &backlog.taken)?;
            to.gauge(
                "ring_buffer_max_bytes",
                "Bytes of events that there is room for",
                &backlog.room,
            )?;
        }
        Ok(())
    }
}

/// A value, and the labels that distinguish it from others of its family.
type Labelled<'l, const N: usize> = ([(&'static str, &'l str); N], u64);

/// Families of metrics, one after another.
struct Writer<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Writer<'_, '_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str); 1]) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }

    fn gauge(&mut self, name: &str, help: &str, value: &impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(value)
    }

    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = Labelled<'l, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = Labelled<'l, N>>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_has_in_it_stays_in_its_label() {
        let odd = "/opt/\"a\"\\b\nc{d=\"e\"} 1";
        let odd = |cgroup: Option<&str>| PolicySelector {
            binary: odd.into(),
            cgroup: cgroup.map(UntrustedText::from),
        };
        let violations = BTreeMap::from([(odd(None), ByReason::from([(Reason::Abi, 3)]))]);
        let figures = Figures {
            since: UNIX_EPOCH,
            level: "kill",
            log_only: false,
            policies: 1,
            totals: Totals { judged: u64::MAX, ..Totals::default() },
            reloads: (2, 1),
            alarms: (true, 3),
            watched: BTreeMap::from([(odd(Some("/x.slice")), Under::default())]),
            maps: vec![Usage { map: "cells", taken: 1, room: 2 }],
            backlog: None,
            violations,
        };
        let text = String::from_utf8_lossy(&figures.encode().bytes()).into_owned();
        let escaped = r#"policy="/opt/\"a\"\\b\nc{d=\"e\"} 1""#;
        for line in [
            &format!("sysfsm_violations_total{{{escaped},cgroup=\"\",reason=\"abi\"}} 3"),
            &format!("sysfsm_watched_threads{{{escaped},cgroup=\"/x.slice\"}} 0"),
            "sysfsm_judged_calls_total 18446744073709551615",
            "sysfsm_reloads_total{outcome=\"refused\"} 1",
            "sysfsm_alarm 1",
            "sysfsm_alarms_total 3",
            "sysfsm_map_max_entries{map=\"cells\"} 2",
            "# TYPE sysfsm_enforcement_level gauge",
            "sysfsm_enforcement_level{level=\"kill\"} 1",
            "sysfsm_enforced_since_seconds 0.0",
            &format!("sysfsm_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\nin {text}");
        }
    }
}
