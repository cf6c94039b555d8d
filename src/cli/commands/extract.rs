//! `sysfsm extract`: strace logs → policies.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::input::Inputs;
use crate::cli::io::report;
use crate::cli::policies::learned::{PolicyOutput, Written};
use crate::cli::policies::warnings;
use crate::machine::{Depth, Learned, Learner};
use crate::policy::{ends_in, relative_tail, Policy};
use crate::text::shown;
use crate::trace::{Reader, Report, Warning};
use std::path::PathBuf;
use std::process::ExitCode;

/// What `extract` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Logs of strace: files, the files of one `strace -ff`, or `-`
    #[arg(value_name = "TRACE", required = true)]
    traces: Vec<PathBuf>,
    /// Where to: a file (the first binary's policy, or --binary's), a directory DIR/ (one policy
    /// for each binary that the logs exec), or `-`
    #[arg(short, long, value_name = "FILE|DIR/", default_value = "-")]
    output: PathBuf,
    /// Length of the window: 1 is an allow-list, 2 are pairs, up to 8
    #[arg(long, value_name = "K", default_value_t)]
    depth: Depth,
    /// The binary whose policy is wanted; also whose calls they are that a log of a running process
    /// (strace -p) begins with
    #[arg(long, value_name = "PATH")]
    binary: Option<String>,
    /// A line that fits nothing is an error
    #[arg(long)]
    strict: bool,
    /// Report what was read as one JSON object (on stderr)
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let inputs = Inputs::new(&args.traces)?;
    let mut reader = Reader::new();
    let mut learner = Learner::new(args.depth);
    if let Some(binary) = &args.binary {
        learner = learner.assuming(binary);
    }
    inputs.read(&mut reader, |event| learner.event(&event))?;
    let mut report = reader.report().clone();
    if args.binary.is_some() {
        // The user has said whose calls they are.
        report.warnings.retain(|w| !matches!(w, Warning::NoExec { .. }));
    }
    let report = &report;
    if args.strict {
        report::strict(report, &inputs)?;
    }
    report::require_calls(report, &inputs)?;
    let notes =
        Notes { stray_returns: learner.stray_returns(), dropped_frames: learner.dropped_frames() };
    let found = learner.finish();
    let runs: u64 = found.iter().map(|l| l.runs).sum();
    let binaries = found.len();

    let output = PolicyOutput::new(&args.output);
    let chosen = if output.is_directory() && args.binary.is_none() {
        if found.is_empty() {
            return Err(no_binary(&found, None, report));
        }
        found
    } else {
        vec![choose(found, args.binary.as_deref(), report)?]
    };
    let written = output.write(chosen)?;

    let event = report::describe(Event::new(Kind::Extract), report, &inputs)
        .with("runs", runs)
        .with("binary_count", binaries)
        .with("stray_returns", notes.stray_returns)
        .with("frames_dropped", notes.dropped_frames)
        .with("policies", written.iter().map(Written::json).collect::<Vec<_>>());
    let sentence = format!(
        "read {}: {}, {}, {} of {}",
        counted(report.lines, "line"),
        counted(report.calls, "call"),
        counted(report.threads, "thread"),
        counted(runs, "run"),
        counted(binaries as u64, "binary"),
    );
    let lines = written.iter().map(Written::line);
    report::event(&lines.fold(event.saying(sentence), Event::saying));
    if !args.json {
        report::print(report, &inputs);
        notes.print();
        for one in &written {
            warn_of(&one.policy);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What learning noticed.
struct Notes {
    stray_returns: u64,
    dropped_frames: u64,
}

impl Notes {
    fn print(&self) {
        if self.stray_returns > 0 {
            report::warn(
                &format!("{} with no handler active", counted(self.stray_returns, "rt_sigreturn")),
                "was the log made with a filter that hides rt_sigaction?",
            );
        }
        if self.dropped_frames > 0 {
            report::warn(
                &format!(
                    "{} dropped: handlers were nested too deep",
                    counted(self.dropped_frames, "frame")
                ),
                "a program that leaves its handlers by siglongjmp nests them so",
            );
        }
    }
}

fn warn_of(policy: &Policy) {
    warnings::warn_of(policy);
    if policy.binary.whole().contains('/') && !policy.binary.whole().starts_with('/') {
        report::warn(
            &format!("the log knows `{}` by a relative path only", policy.binary),
            "`enforce` needs the absolute one: give it with --binary PATH",
        );
    }
}

/// The first binary, or the one that the user named. A relative path of the log is the absolute one
/// that the user named, if that ends in it.
fn choose(
    learned: Vec<Learned>,
    binary: Option<&str>,
    report: &Report,
) -> Result<Learned, Failure> {
    let Some(wanted) = binary else {
        let failure = no_binary(&learned, None, report);
        return learned.into_iter().next().ok_or(failure);
    };
    let exact = learned.iter().position(|l| &*l.binary == wanted && l.machine.transitions() > 0);
    let relative = |l: &Learned| relative_tail(&l.binary).is_some_and(|tail| ends_in(wanted, tail));
    let named = |l: &Learned| !wanted.contains('/') && l.binary.rsplit('/').next() == Some(wanted);
    let found = exact
        .or_else(|| learned.iter().position(relative))
        .or_else(|| learned.iter().position(named))
        .or_else(|| learned.iter().position(|l| &*l.binary == wanted));
    let failure = no_binary(&learned, Some(wanted), report);
    let mut found = found.and_then(|at| learned.into_iter().nth(at)).ok_or(failure)?;
    if wanted.starts_with('/') {
        found.binary = wanted.into();
    }
    Ok(found)
}

fn no_binary(learned: &[Learned], wanted: Option<&str>, report: &Report) -> Failure {
    const SHOWN: usize = 8;
    let nameless = report.warnings.iter().find(|w| matches!(w, Warning::NamelessExecs { .. }));
    if let Some(warning) = nameless.filter(|_| learned.is_empty()) {
        return Failure::new(warning.to_string(), warning.hint());
    }
    match wanted {
        Some(wanted) => {
            let names: Vec<String> =
                learned.iter().take(SHOWN).map(|l| shown(&*l.binary).to_string()).collect();
            let more = if learned.len() > SHOWN { ", …" } else { "" };
            Failure::new(
                format!("no run of `{}` in the logs", shown(wanted)),
                if names.is_empty() {
                    "the logs exec nothing".to_string()
                } else {
                    format!("the logs exec {}{more}", names.join(", "))
                },
            )
        }
        None => Failure::new(
            "no successful exec in the logs: whose calls these are is not known",
            "let strace start the program, or name the binary with --binary PATH",
        ),
    }
}
