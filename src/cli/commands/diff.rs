//! `sysfsm diff`: what differs between policies, and what of it allows more.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report;
use crate::machine::Context;
use crate::policy::{self, Change, Difference, Loaded, Policy, PolicySelector};
use crate::syscall::Symbol;
use crate::text::UntrustedText;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `diff` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The old policy, or a directory of policies
    #[arg(value_name = "A")]
    old: PathBuf,
    /// The new policy, or a directory of policies
    #[arg(value_name = "B")]
    new: PathBuf,
    /// List only what B allows and A does not, and end with 1 only if there is any: a gate for CI
    #[arg(long)]
    check: bool,
    /// Print differences as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What differs for one binary.
enum Finding {
    /// The binary has a policy in A only: in B nothing is enforced on it.
    OnlyOld,
    /// The binary has a policy in B only: nobody has agreed to what that allows.
    OnlyNew,
    /// A difference of its two policies.
    Changed(Difference),
}

impl Finding {
    fn widens(&self) -> bool {
        match self {
            Finding::OnlyOld | Finding::OnlyNew => true,
            Finding::Changed(difference) => difference.widens,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let old = load(&args.old)?;
    let new = load(&args.new)?;
    let selectors: BTreeSet<&PolicySelector> = old.keys().chain(new.keys()).collect();
    let compared = selectors.len() as u64;
    let (mut found, mut widening, mut differing) = (0, 0, 0);
    for selector in selectors {
        let mut findings = findings(old.get(selector), new.get(selector));
        if args.check {
            findings.retain(Finding::widens);
        }
        found += findings.len() as u64;
        widening += findings.iter().filter(|f| f.widens()).count() as u64;
        differing += u64::from(!findings.is_empty());
        if args.json {
            for finding in &findings {
                output::event(&finding_event(selector, finding))?;
            }
        } else if !findings.is_empty() {
            output::line(&text(selector, &findings))?;
        }
    }
    let policies = counted(compared, "policy");
    let sentence = if args.check {
        let things = counted(found, "thing");
        format!("{things} that B allows and A does not, in {differing} of {policies}")
    } else {
        let differences = counted(found, "difference");
        format!("{differences}, {widening} of them allow more, in {differing} of {policies}")
    };
    report::event(
        &Event::new(Kind::Diff)
            .with("differences", found)
            .with("widening", widening)
            .with("policy_count", compared)
            .saying(sentence),
    );
    Ok(if found > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn load(path: &PathBuf) -> Result<BTreeMap<PolicySelector, Policy>, Failure> {
    let loaded = policy::load(std::slice::from_ref(path))?;
    Ok(loaded.into_iter().map(|Loaded { policy, .. }| (policy.selector(), policy)).collect())
}

fn findings(old: Option<&Policy>, new: Option<&Policy>) -> Vec<Finding> {
    match (old, new) {
        (Some(old), Some(new)) => old.differences(new).into_iter().map(Finding::Changed).collect(),
        (Some(_), None) => vec![Finding::OnlyOld],
        (None, Some(_)) => vec![Finding::OnlyNew],
        (None, None) => Vec::new(),
    }
}

/// The findings of one binary: what changed as a whole, then the transitions by context.
fn text(selector: &PolicySelector, findings: &[Finding]) -> String {
    let mut lines = vec![selector.to_string()];
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in findings {
        let mut row = |context: String, line| rows.entry(context).or_default().push(line);
        match finding {
            Finding::OnlyOld => lines.push("  only in A: in B nothing holds it to a policy".into()),
            Finding::OnlyNew => lines.push("  only in B".into()),
            Finding::Changed(difference) => match &difference.change {
                Change::Depth(from, to) => lines.push(format!("  depth {from} → {to}")),
                Change::Action(from, to) => lines.push(format!("  action {from} → {to}")),
                Change::Children(from, to) => {
                    lines.push(format!("  children {} → {}", from.as_str(), to.as_str()));
                }
                Change::Cgroup(from, to) => {
                    let word = |cgroup: &Option<UntrustedText>| {
                        cgroup.as_ref().map_or_else(|| "any".into(), ToString::to_string)
                    };
                    lines.push(format!("  cgroup {} → {}", word(from), word(to)));
                }
                Change::Adopted(symbol) => {
                    lines.push(format!(
                        "  a thread that was running already may begin with {symbol}"
                    ));
                }
                Change::Gained(context, symbol) => {
                    row(context.to_string(), format!("    + {symbol}"));
                }
                Change::Lost(context, symbol) => {
                    row(context.to_string(), format!("    - {symbol}"));
                }
            },
        }
    }
    for (context, row) in rows {
        lines.push(format!("  {}", if context.is_empty() { "(anything)" } else { &context }));
        lines.extend(row);
    }
    lines.join("\n")
}

fn finding_event(selector: &PolicySelector, finding: &Finding) -> Event {
    let event = Event::new(Kind::Difference).about(selector);
    let event = match finding {
        Finding::OnlyOld => event.with("change", "only_in_a"),
        Finding::OnlyNew => event.with("change", "only_in_b"),
        Finding::Changed(difference) => match &difference.change {
            Change::Depth(from, to) => changed(event, "depth", from.get(), to.get()),
            Change::Action(from, to) => changed(event, "action", from.as_str(), to.as_str()),
            Change::Children(from, to) => changed(event, "children", from.as_str(), to.as_str()),
            Change::Cgroup(from, to) => changed(event, "cgroup", from.clone(), to.clone()),
            Change::Adopted(symbol) => {
                event.with("change", "adopted").with("symbol", symbol.to_string())
            }
            Change::Gained(context, symbol) => transition(event, "gained", context, *symbol),
            Change::Lost(context, symbol) => transition(event, "lost", context, *symbol),
        },
    };
    event.with("widens", finding.widens())
}

fn changed(event: Event, key: &str, from: impl Into<Value>, to: impl Into<Value>) -> Event {
    event.with("change", "changed").with("key", key).with("from", from).with("to", to)
}

fn transition(event: Event, change: &str, context: &Context, symbol: Symbol) -> Event {
    let context: Vec<String> = context.symbols().iter().map(ToString::to_string).collect();
    event.with("change", change).with("context", context).with("symbol", symbol.to_string())
}
