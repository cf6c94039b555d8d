//! The log's file, version 1 (docs/review.md): canonical, so that the same violations give the
//! same bytes.

use crate::machine::{Context, Depth, DepthError, Reason};
use crate::policy::PolicySelector;
use crate::review::entry::{Decision, Entry, Frame, Key, Sample};
use crate::review::log::ReviewLog;
use crate::text::{pretty_json, said, UntrustedText};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is wrong with a log's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ReviewLogError {
    /// What, with its place and value.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl ReviewLogError {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        ReviewLogError { what: what.into(), hint: hint.into() }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sysfsm_review: u64,
    policies: Vec<Policy>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    binary: UntrustedText,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    cgroup: Option<UntrustedText>,
    depth: u64,
    violations: Vec<Violation>,
}

/// As in the events of `enforce --json`, where a field has the same name.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Violation {
    context: Vec<UntrustedText>,
    symbol: UntrustedText,
    reason: UntrustedText,
    count: u64,
    first: UntrustedText,
    last: UntrustedText,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<UntrustedText>,
    pid: u32,
    tid: u32,
    comm: UntrustedText,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    args: [UntrustedText; 6],
    ip: UntrustedText,
    #[serde(default)]
    stack: Vec<StackFrame>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StackFrame {
    address: UntrustedText,
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<UntrustedText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbol: Option<UntrustedText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<UntrustedText>,
}

/// Reads a log.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(text: &[u8]) -> Result<ReviewLog, ReviewLogError> {
    let file: File = serde_json::from_slice(text).map_err(|e| {
        ReviewLogError::new(
            format!("no log of a policy: {}", said(&e.to_string())),
            "give a file that `sysfsm enforce --log-only --learn-to FILE` has written",
        )
    })?;
    if file.sysfsm_review != 1 {
        return Err(ReviewLogError::new(
            format!("sysfsm_review: unknown version `{}`", file.sysfsm_review),
            "this sysfsm reads version 1; a newer file needs a newer sysfsm",
        ));
    }
    let mut log = ReviewLog::default();
    for policy in file.policies {
        let selector = PolicySelector { binary: policy.binary, cgroup: policy.cgroup };
        let place = |what: &str| format!("the violations of `{selector}`: {what}");
        let depth = Depth::try_from(policy.depth).map_err(|e: DepthError| {
            ReviewLogError::new(place(&e.to_string()), "write the policy's depth")
        })?;
        if log.parts.contains_key(&selector) {
            return Err(ReviewLogError::new(place("they stand twice"), "leave one of the two"));
        }
        // A policy without violations is one all the same.
        log.open(&selector, depth).map_err(|e| ReviewLogError::new(e.to_string(), e.hint()))?;
        for violation in policy.violations {
            let (key, entry) = violation.read(depth).map_err(|what| {
                ReviewLogError::new(place(&what), "see docs/review.md for the format")
            })?;
            let twice = log.parts.get(&selector).is_some_and(|p| p.entries.contains_key(&key));
            if twice {
                let what = format!("`{}` after `{}` stands twice", key.symbol, key.context);
                return Err(ReviewLogError::new(place(&what), "leave one of the two"));
            }
            log.add(&selector, depth, key, entry)
                .map_err(|e| ReviewLogError::new(e.to_string(), e.hint()))?;
        }
    }
    Ok(log)
}

impl ReviewLog {
    /// The log as a version 1 file: policies by their binaries and cgroups, violations by
    /// context, symbol and reason as they are written, two-space indent, final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let policies = self.parts.iter().map(|(selector, part)| {
            let mut violations: Vec<Violation> =
                part.entries.iter().map(|(key, entry)| Violation::write(key, entry)).collect();
            violations.sort_by(|a, b| {
                (&a.context, &a.symbol, &a.reason).cmp(&(&b.context, &b.symbol, &b.reason))
            });
            let PolicySelector { binary, cgroup } = selector.clone();
            Policy { binary, cgroup, depth: part.depth.get().into(), violations }
        });
        let file = File { sysfsm_review: 1, policies: policies.collect() };
        let mut text = pretty_json(&file);
        text.push('\n');
        text
    }
}

/// A violation as a JSON object, as it stands in the file.
#[must_use]
pub fn to_value(key: &Key, entry: &Entry) -> serde_json::Value {
    serde_json::to_value(Violation::write(key, entry)).unwrap_or_default()
}

impl Violation {
    fn write(key: &Key, entry: &Entry) -> Self {
        let sample = &entry.sample;
        Violation {
            context: key.context.symbols().iter().map(|s| s.to_string().into()).collect(),
            symbol: key.symbol.clone(),
            reason: key.reason.as_str().into(),
            count: entry.count,
            first: format!("{:.9}", entry.first).into(),
            last: format!("{:.9}", entry.last).into(),
            decision: entry.decision.map(|d| d.as_str().into()),
            pid: sample.pid,
            tid: sample.tid,
            comm: sample.comm.clone(),
            number: sample.number,
            args: sample.args.map(hex),
            ip: hex(sample.ip),
            stack: sample.stack.iter().map(StackFrame::write).collect(),
        }
    }

    fn read(self, depth: Depth) -> Result<(Key, Entry), String> {
        let symbols: Vec<&str> = self.context.iter().map(UntrustedText::whole).collect();
        let text = UntrustedText::from(symbols.join(" "));
        let context: Context =
            text.whole().parse().map_err(|e| format!("context `{text}`: {e}"))?;
        if context.symbols().len() > depth.context_len() {
            return Err(format!("context `{text}` is longer than depth {depth} has them"));
        }
        let reasons = [Reason::Transition, Reason::Abi, Reason::Sigreturn];
        let reason = reasons
            .into_iter()
            .find(|r| self.reason == r.as_str())
            .ok_or_else(|| format!("unknown reason `{}`", self.reason))?;
        let decision = match self.decision {
            None => None,
            Some(text) => Some(
                [Decision::Accepted, Decision::Anywhere, Decision::Rejected]
                    .into_iter()
                    .find(|d| text == d.as_str())
                    .ok_or_else(|| format!("unknown decision `{text}`"))?,
            ),
        };
        let mut args = [0; 6];
        for (slot, text) in args.iter_mut().zip(&self.args) {
            *slot = unhex(text)?;
        }
        let sample = Sample {
            pid: self.pid,
            tid: self.tid,
            comm: self.comm,
            number: self.number,
            args,
            ip: unhex(&self.ip)?,
            stack: self.stack.into_iter().map(StackFrame::read).collect::<Result<_, _>>()?,
        };
        let (first, last) = (time(&self.first)?, time(&self.last)?);
        let key = Key { context, symbol: self.symbol, reason };
        Ok((key, Entry { count: self.count, first, last, sample, decision }))
    }
}

impl StackFrame {
    fn write(frame: &Frame) -> Self {
        StackFrame {
            address: hex(frame.address),
            module: frame.module.clone(),
            symbol: frame.symbol.clone(),
            offset: frame.offset.map(hex),
        }
    }

    fn read(self) -> Result<Frame, String> {
        Ok(Frame {
            address: unhex(&self.address)?,
            module: self.module,
            symbol: self.symbol,
            offset: self.offset.as_ref().map(unhex).transpose()?,
        })
    }
}

fn hex(number: u64) -> UntrustedText {
    format!("{number:#x}").into()
}

fn unhex(text: &UntrustedText) -> Result<u64, String> {
    let digits = text.whole().strip_prefix("0x").unwrap_or_default();
    u64::from_str_radix(digits, 16).map_err(|_| format!("`{text}` is no number of the form 0x7f"))
}

fn time(text: &UntrustedText) -> Result<Timestamp, String> {
    text.whole()
        .parse()
        .map_err(|_| format!("`{text}` is no time of the form 2026-11-23T10:00:00.123456789Z"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::review::test_log::{entry, key, log, selector};

    fn full() -> ReviewLog {
        let mut log = log(&[("brk", "read", 10, 2), ("access", "write", 5, 1), ("", "brk", 1, 1)]);
        let mut rich = entry(7, 3);
        rich.decision = Some(Decision::Accepted);
        rich.sample.number = Some(4);
        rich.sample.args = [1, 2, 3, u64::MAX, 5, 6];
        rich.sample.stack = vec![
            Frame {
                address: 0x7f01,
                module: Some("/lib/libc.so.6".into()),
                symbol: Some("write".into()),
                offset: Some(0x14),
            },
            Frame { address: 1, ..Frame::default() },
        ];
        log.add(
            &selector("/bin/a"),
            Depth::PAIRS,
            Key { reason: Reason::Abi, ..key("brk", "@i386") },
            rich,
        )
        .unwrap();
        let in_cgroup = PolicySelector { cgroup: Some("/a.slice".into()), ..selector("/bin/p") };
        log.add(&in_cgroup, Depth::PAIRS, key("brk", "mmap"), entry(9, 1)).unwrap();
        log
    }

    #[test]
    fn parse_undoes_write_and_the_form_is_canonical() {
        let log = full();
        let text = log.to_json();
        assert!(text.ends_with("}\n"));
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed, log);
        assert_eq!(parsed.to_json(), text);
        // By name, whatever the calls' numbers.
        let at = |what: &str| text.find(what).unwrap();
        assert!(at("/bin/a") < at("/bin/p") && at("\"access\"") < at("\"read\""));
        assert!(at("\"read\"") < at("\"cgroup\": \"/a.slice\""));
        assert_eq!(parse(ReviewLog::default().to_json().as_bytes()).unwrap(), ReviewLog::default());
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_value() {
        let text = full().to_json();
        for (from, to, parts) in [
            ("\"sysfsm_review\": 1", "\"sysfsm_review\": 2", vec!["unknown version `2`"]),
            ("\"depth\": 2", "\"depth\": 9", vec!["/bin/a", "depth `9`"]),
            ("\"depth\": 2", "\"depth\": 1", vec!["context `brk`", "depth 1"]),
            ("\"accepted\"", "\"perhaps\"", vec!["/bin/a", "unknown decision `perhaps`"]),
            ("\"reason\": \"abi\"", "\"reason\": \"x\"", vec!["unknown reason `x`"]),
            ("\"access\"", "\"acess\"", vec!["/bin/p", "context `acess`"]),
            ("0x7f01", "7f01", vec!["`7f01`"]),
            ("1970-01-01T00:00:07", "yesterday", vec!["no time"]),
            ("\"comm\"", "\"com\"", vec!["unknown field `com`", "line"]),
            ("/bin/a", "/bin/p", vec!["/bin/p", "twice"]),
        ] {
            assert!(text.contains(from), "{from}");
            let error = parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(!error.hint.is_empty());
            for part in parts {
                assert!(error.what.contains(part), "{part} in {}", error.what);
            }
        }
        assert!(parse(b"{}").is_err() && parse(b"").is_err() && parse(b"[1").is_err());
    }
}
