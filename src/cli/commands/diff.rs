//! `sysfsm diff`: what differs between policies, and what of it allows more.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report::counted;
use crate::machine::Context;
use crate::policy::{self, Change, Difference, Loaded, Policy};
use crate::syscall::Symbol;
use serde_json::{json, Value};
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
    /// Tell only what B allows and A does not, and end with 1 only if there is any: a gate for CI
    #[arg(long)]
    check: bool,
    /// Print differences as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// What differs of one binary.
enum Finding {
    /// It has a policy in A only: in B nothing holds it.
    OnlyOld,
    /// It has a policy in B only: nobody has agreed to what that allows.
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
    let binaries: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let compared = binaries.len() as u64;
    let (mut told, mut widening, mut differing) = (0, 0, 0);
    for binary in binaries {
        let mut findings = findings(old.get(binary), new.get(binary));
        if args.check {
            findings.retain(Finding::widens);
        }
        told += findings.len() as u64;
        widening += findings.iter().filter(|f| f.widens()).count() as u64;
        differing += u64::from(!findings.is_empty());
        if args.json {
            for finding in &findings {
                output::line(&finding_json(binary, finding).to_string())?;
            }
        } else if !findings.is_empty() {
            output::line(&text(binary, &findings))?;
        }
    }
    if args.json {
        let summary = json!({"event": "diff", "differences": told, "widening": widening, "binaries": compared});
        eprintln!("{summary}");
    } else if args.check {
        eprintln!(
            "{} that B allows and A does not, in {differing} of {}",
            counted(told, "thing"),
            named(compared)
        );
    } else {
        eprintln!(
            "{}, {widening} of them allow more, in {differing} of {}",
            counted(told, "difference"),
            named(compared)
        );
    }
    Ok(if told > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn named(count: u64) -> String {
    if count == 1 {
        "1 binary".into()
    } else {
        format!("{count} binaries")
    }
}

fn load(path: &PathBuf) -> Result<BTreeMap<String, Policy>, Failure> {
    let loaded = policy::load(std::slice::from_ref(path))?;
    Ok(loaded.into_iter().map(|Loaded { policy, .. }| (policy.name(), policy)).collect())
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
fn text(binary: &str, findings: &[Finding]) -> String {
    let mut lines = vec![binary.to_string()];
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
                    let word = |cgroup: &Option<String>| cgroup.clone().unwrap_or("any".into());
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

fn finding_json(binary: &str, finding: &Finding) -> Value {
    let mut object = match finding {
        Finding::OnlyOld => json!({"event": "only", "side": "a"}),
        Finding::OnlyNew => json!({"event": "only", "side": "b"}),
        Finding::Changed(difference) => match &difference.change {
            Change::Depth(from, to) => changed("depth", &json!(from.get()), &json!(to.get())),
            Change::Action(from, to) => {
                changed("action", &json!(from.as_str()), &json!(to.as_str()))
            }
            Change::Children(from, to) => {
                changed("children", &json!(from.as_str()), &json!(to.as_str()))
            }
            Change::Cgroup(from, to) => changed("cgroup", &json!(from), &json!(to)),
            Change::Adopted(symbol) => json!({"event": "adopted", "symbol": symbol.to_string()}),
            Change::Gained(context, symbol) => transition("gained", context, *symbol),
            Change::Lost(context, symbol) => transition("lost", context, *symbol),
        },
    };
    if let Some(object) = object.as_object_mut() {
        object.insert("policy".into(), json!(binary));
        object.insert("widens".into(), json!(finding.widens()));
    }
    object
}

fn changed(key: &str, from: &Value, to: &Value) -> Value {
    json!({"event": "changed", "key": key, "from": from, "to": to})
}

fn transition(event: &str, context: &Context, symbol: Symbol) -> Value {
    let context: Vec<String> = context.symbols().iter().map(ToString::to_string).collect();
    json!({"event": event, "context": context, "symbol": symbol.to_string()})
}
