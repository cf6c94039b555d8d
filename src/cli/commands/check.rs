//! `sysfsm check`: replay of logs against policies.

use crate::cli::events::event::{Event, Kind};
use crate::cli::events::violation;
use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::input::Inputs;
use crate::cli::io::output;
use crate::cli::io::policy_args::PolicyArgs;
use crate::cli::io::report;
use crate::cli::policies::warnings;
use crate::event::EventKind;
use crate::explain::Violation;
use crate::machine::{BoundMachine, Finding, Judge, Replay};
use crate::policy::{self, Children, Loaded, Policy};
use crate::text::{shown, UntrustedText};
use crate::trace::Reader;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What `check` is given.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sysfsm check [OPTIONS] --policy <FILE|DIR>... [--] <TRACE>...",
    after_help = "Examples:\n  sysfsm check -p policy.json trace\n  sysfsm check -p a.json b.json -- trace"
)]
pub(crate) struct Args {
    #[command(flatten)]
    policies: PolicyArgs,
    /// Logs of strace: files, the files of one `strace -ff`, or `-`
    #[arg(value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// A line that fits nothing is an error
    #[arg(long)]
    strict: bool,
    /// Print violations as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let (policies, traces) = args.policies.before(&args.traces);
    if traces.is_empty() {
        return Err(Failure::new(
            "no log to check",
            "name it: sysfsm check -p POLICY TRACE; after several policies: -p A B -- TRACE",
        ));
    }
    let loaded = policy::load(&policies)?;
    let inputs = Inputs::new(&traces)?;
    let mut reader = Reader::new();
    let bounds = loaded
        .iter()
        .map(|l| BoundMachine {
            judge: Judge::new(&l.policy.machine),
            inherit: l.policy.children == Children::Inherit,
        })
        .collect();
    // A process that was already running can only be judged if there is no choice.
    let unknown = (loaded.len() == 1).then_some(0);
    let mut replay = Replay::new(bounds, |path: &str| bind(&loaded, path), unknown);
    let mut violations = 0_u64;
    let mut execs = BTreeSet::new();
    let mut failure = None;
    inputs.read(&mut reader, |event| {
        if let EventKind::Exec(path) = &event.kind
            && execs.len() < 1000
        {
            execs.insert(path.clone());
        }
        let Some(finding) = replay.event(&event) else { return };
        violations += 1;
        let Some(Loaded { policy, .. }) = loaded.get(finding.bound) else { return };
        let violation = violation(policy, &finding, &inputs);
        if failure.is_none() {
            failure = output::line(&if args.json {
                violation::event(Kind::Violation, &violation).to_json()
            } else {
                let place = inputs.place(finding.place);
                format!("{place}: {}: {}", policy.binary, violation.sentence())
            })
            .err();
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let report = reader.report();
    if args.strict {
        report::strict(report, &inputs)?;
    }
    report::require_calls(report, &inputs)?;
    let runs: u64 = replay.runs().iter().sum();
    if runs == 0 {
        return Err(nothing_checked(&loaded, &execs));
    }
    let event = report::describe(Event::new(Kind::Check), report, &inputs)
        .with("judged", replay.judged())
        .with("runs", runs)
        .with("violations", violations)
        .saying(format!(
            "{} in {} of {}",
            counted(violations, "violation"),
            counted(replay.judged(), "judged call"),
            counted(runs, "run"),
        ));
    if !args.json {
        report::print(report, &inputs);
        for loaded in &loaded {
            warnings::warn_of(&loaded.policy);
        }
    }
    report::event(&event);
    Ok(if violations > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The violation that a log shows.
fn violation(policy: &Policy, finding: &Finding, inputs: &Inputs) -> Violation {
    let selector = policy.selector();
    let mut violation = Violation::new(
        &selector,
        policy.action,
        finding.reason,
        &finding.context,
        finding.symbol.as_str(),
    );
    violation.call = finding.foreign.as_deref().map(UntrustedText::from);
    violation.file = Some(inputs.file_name(finding.place));
    violation.line = Some(finding.place.line);
    // A log without a column of ids says nothing of them.
    if finding.tid != 0 {
        violation.pid = Some(finding.pid);
        violation.tid = Some(finding.tid);
    }
    violation
}

/// The error of logs in which no policy's binary runs: it names both sides.
fn nothing_checked(loaded: &[Loaded], execs: &BTreeSet<Arc<str>>) -> Failure {
    let policies: Vec<String> =
        loaded.iter().take(8).map(|l| format!("`{}`", l.policy.binary)).collect();
    let execs: Vec<String> = execs.iter().take(8).map(|p| shown(&**p).to_string()).collect();
    Failure::new(
        format!("nothing was checked: the logs show no run of {}", policies.join(", ")),
        if execs.is_empty() {
            "the logs exec nothing; a log of a running process is checked against one policy".into()
        } else {
            format!("the logs exec {}", execs.join(", "))
        },
    )
}

/// The policy of a path: the one that names it whole, before one that names its file only, before
/// one whose absolute path ends in the relative one of the log.
fn bind(loaded: &[Loaded], path: &str) -> Option<usize> {
    let find = |test: &dyn Fn(&Policy) -> bool| loaded.iter().position(|l| test(&l.policy));
    find(&|p| p.binary == *path)
        .or_else(|| find(&|p| p.names(path)))
        .or_else(|| find(&|p| p.may_be(path)))
}
