//! `sysfsm enforce`: policies in the kernel.

use super::child::Child;
use super::learn::Collector;
use super::report::{self, counted};
use super::signals::Signals;
use super::sink::Sink;
use super::time::stamp;
use super::violation::Violation;
use super::Failure;
use crate::kernel::{self, Enforcer, Level, Options, Totals};
use crate::policy::{self, Policy};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// What `enforce` is given.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies, or directories of policies
    #[arg(short, long = "policy", value_name = "FILE|DIR", required = true, num_args = 1..)]
    policies: Vec<PathBuf>,
    /// Only report violations, whatever the policies' actions are
    #[arg(long)]
    log_only: bool,
    /// Collect what is logged in FILE, for `sysfsm review`; what is there already is added to
    #[arg(long, value_name = "FILE", requires = "log_only")]
    learn_to: Option<PathBuf>,
    /// Refuse to start below this level: prevent, contain or kill
    #[arg(long, value_name = "LEVEL")]
    require: Option<Level>,
    /// Use no stronger level than this: fewer hooks, a quicker start
    #[arg(long, value_name = "LEVEL", default_value_t = Level::Prevent)]
    at_most: Level,
    /// Let watched programs signal, trace and change the enforcer and its BPF objects
    #[arg(long)]
    no_self_protect: bool,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
    /// Append events to FILE too, as JSON, one a line, where `sysfsm explain ID --events FILE` finds them
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Run CMD, and end with it and its exit status
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// How long a wait for events lasts at the most: signals end it sooner.
const WAIT: Duration = Duration::from_millis(100);

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let policies: Vec<Policy> = policy::load(&args.policies)?.into_iter().map(|l| l.policy).collect();
    let signals = Signals::register()?;
    let options = Options {
        log_only: args.log_only,
        learn: args.learn_to.is_some(),
        require: args.require,
        at_most: args.at_most,
        self_protect: !args.no_self_protect,
        ..Options::default()
    };
    let mut collector = args.learn_to.as_ref().map(|f| Collector::start(f.clone(), &policies)).transpose()?;
    let file = args.events.as_deref().map(Sink::append).transpose()?;
    let mut enforcer = Enforcer::start(&policies, options)?;
    let mut printer = Printer { json: args.json, policies: &policies, out: Sink::stdout(), file };
    printer.start(&enforcer, args.log_only)?;

    // The programs are attached: CMD's exec is seen, and its first call is judged.
    let mut child = Child::spawn(&args.command)?;
    let status = loop {
        enforcer.poll(WAIT, |violation| took(violation, &mut printer, collector.as_mut()))?;
        printer.flush();
        collector.iter_mut().for_each(Collector::tick);
        if let Some(child) = &mut child {
            if let Some(status) = child.ended()? {
                break status;
            }
        }
        if let Some(signal) = signals.taken() {
            match &child {
                // The terminal has sent its Ctrl-C to CMD as well; either way we end when it does.
                Some(child) => child.forward(signal),
                None => break 0,
            }
        }
    };
    enforcer.detach();
    // What was under way when the last wait ended.
    while enforcer.poll(Duration::ZERO, |violation| took(violation, &mut printer, collector.as_mut()))? > 0 {}
    collector.as_mut().map_or(Ok(()), Collector::finish)?;
    printer.stop(&enforcer.totals()?);
    printer.flush();
    Ok(ExitCode::from(status))
}

/// A violation came.
fn took(mut violation: kernel::Violation, printer: &mut Printer<'_>, collector: Option<&mut Collector<'_>>) {
    if let Some(collector) = collector {
        collector.violation(&mut violation);
    }
    printer.violation(&violation);
}

struct Printer<'a> {
    json: bool,
    policies: &'a [Policy],
    out: Sink,
    /// Of `--events`.
    file: Option<Sink>,
}

impl Printer<'_> {
    fn start(&mut self, enforcer: &Enforcer, log_only: bool) -> Result<(), Failure> {
        let transitions: usize = self.policies.iter().map(|p| p.machine.transitions()).sum();
        let totals = enforcer.totals()?;
        let level = enforcer.level();
        let (hooks, functions) = enforcer.chokes();
        if self.structured() {
            let event = json!({
                "event": "start",
                "time": stamp(SystemTime::now()),
                "version": env!("CARGO_PKG_VERSION"),
                "level": level.as_str(),
                "hooks": hooks,
                "functions": functions,
                "left_out": enforcer.left_out(),
                "log_only": log_only,
                "policies": self.policies.len(),
                "transitions": transitions,
                "adopted": totals.adopted,
            });
            self.event(&event.to_string());
        }
        if !self.json {
            let what = match (log_only, level) {
                (true, _) => "watching (log only)".into(),
                (false, Level::Kill) => format!("enforcing at level {level}"),
                (false, Level::Contain) => format!("enforcing at level {level} ({hooks} hooks)"),
                (false, Level::Prevent) => {
                    format!("enforcing at level {level} ({hooks} hooks, {functions} functions)")
                }
            };
            eprintln!(
                "{what}: {}, {}; {} adopted",
                if self.policies.len() == 1 {
                    "1 policy".into()
                } else {
                    format!("{} policies", self.policies.len())
                },
                counted(transitions as u64, "transition"),
                counted(totals.adopted, "running thread"),
            );
        }
        self.flush();
        for policy in self.policies {
            super::show::warn_of(policy);
        }
        Ok(())
    }

    fn violation(&mut self, found: &kernel::Violation) {
        let Some(policy) = self.policies.get(found.policy) else { return };
        let mut violation =
            Violation::new(&policy.binary, found.action, found.reason, found.context, &found.symbol);
        violation.time = Some(stamp(found.time));
        violation.pid = Some(found.pid);
        violation.tid = Some(found.tid);
        violation.comm = Some(&found.comm);
        violation.number = found.number;
        violation.args = Some(found.args.iter().map(|a| format!("{a:#x}")).collect());
        violation.ip = Some(format!("{:#x}", found.ip));
        violation.kill_failed = found.kill_failed;
        let mut id = String::new();
        if self.structured() {
            // Without a file of events nobody could look it up.
            id = format!(" [{}]", violation.identify());
            self.event(&violation.to_json());
        }
        if self.json {
            return;
        }
        let done = match (violation.action, found.kill_failed) {
            ("kill", false) => "killed",
            ("kill", true) => "NOT KILLED: the kernel refused",
            ("deny", _) => "denied",
            _ => "logged",
        };
        self.out.line(&format!(
            "{} {} pid {} tid {} ({}): {}: {done}{id}",
            stamp(found.time),
            policy.binary,
            found.pid,
            found.tid,
            found.comm,
            violation.sentence(),
        ));
    }

    fn stop(&mut self, totals: &Totals) {
        if self.structured() {
            let event = json!({
                "event": "stop",
                "time": stamp(SystemTime::now()),
                "judged": totals.judged,
                "violations": totals.violations,
                "kills": totals.kills,
                "kills_failed": totals.kills_failed,
                "denials": totals.denials,
                "caught_up": totals.caught_up,
                "vetoes": totals.vetoes,
                "protections": totals.protections,
                "events_lost": totals.events_lost,
                "frames_dropped": totals.frames_dropped,
                "spares": totals.spares,
                "threads_refused": totals.threads_refused,
                "missed": totals.missed,
                "adopted": totals.adopted,
            });
            self.event(&event.to_string());
        }
        if self.json {
            return;
        }
        let denials = match totals.denials {
            0 => String::new(),
            some => format!("{}, ", counted(some, "denial")),
        };
        eprintln!(
            "judged {}: {}, {}, {denials}{} lost",
            counted(totals.judged, "call"),
            counted(totals.violations, "violation"),
            counted(totals.kills, "kill"),
            counted(totals.events_lost, "event"),
        );
        for (count, what) in [
            (totals.kills_failed, "kill that the kernel refused"),
            (totals.protections, "attempt of a watched program on the enforcer or its BPF objects, refused"),
            (totals.threads_refused, "thread whose state found no room (its process was killed, or, only logging, went on unwatched)"),
            (totals.frames_dropped, "signal frame dropped past the limit"),
            (totals.missed, "event of some process that the kernel did not show (two tasks at once in one program)"),
        ] {
            if count > 0 {
                report::warn(&format!("{count} × {what}"), "");
            }
        }
    }

    /// Whether anybody reads events as JSON.
    fn structured(&self) -> bool {
        self.json || self.file.is_some()
    }

    /// An event as JSON, to whoever reads it so.
    fn event(&mut self, event: &str) {
        if self.json {
            self.out.line(event);
        }
        if let Some(file) = &mut self.file {
            file.line(event);
        }
    }

    fn flush(&mut self) {
        self.out.flush();
        self.file.iter_mut().for_each(Sink::flush);
    }
}
