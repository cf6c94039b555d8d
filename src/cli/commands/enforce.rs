//! `sysfsm enforce`: policies in the kernel.

use crate::cli::agent::alarm::{Alarm, Change};
use crate::cli::agent::child::Child;
use crate::cli::agent::directories::Directories;
use crate::cli::agent::metrics::address::Address;
use crate::cli::agent::metrics::exporter::Endpoint;
use crate::cli::agent::printer::{Log, Printer};
use crate::cli::agent::service;
use crate::cli::agent::signals::Signals;
use crate::cli::events::enforcement::Start;
use crate::cli::io::failure::Failure;
use crate::cli::io::failure::{ALL_THE_SAME, AS_BEFORE};
use crate::cli::io::policy_args::PolicyArgs;
use crate::cli::io::sink::Sink;
use crate::cli::policies::trusted::require_trusted;
use crate::cli::review::collector::Collector;
use crate::kernel::{self, Agent, Denials, Enforcer, Level, Options, Origin, Pinned, Pins, Totals};
use crate::policy::{self, Policy};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What `enforce` is given.
#[derive(Debug, clap::Args)]
// Each says yes or no to something of its own.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Args {
    #[command(flatten)]
    policies: PolicyArgs,
    /// Take policies that others than root may write: these decide what is enforced
    #[arg(long)]
    trust_writable: bool,
    /// Only report violations, whatever the policies' actions are
    #[arg(long)]
    log_only: bool,
    /// Collect violations in FILE, a review log, for `sysfsm review`; an existing one is added to
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
    pub(crate) json: bool,
    /// Where events for people go
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = Log::Auto)]
    log: Log,
    /// Append events to FILE too, as JSON, one a line: `sysfsm explain ID --events FILE` finds them
    /// there
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Go on enforcing when this process ends, however it ends, until `sysfsm stop`: pin all BPF
    /// objects, or take over what is pinned already. SIGHUP, `sysfsm reload` and a change in a
    /// policy directory have the policies read again
    #[arg(long, conflicts_with_all = ["learn_to", "command"])]
    pin: bool,
    /// Like --pin, and return as soon as the policies are enforced
    #[arg(long, conflicts_with_all = ["learn_to", "command"])]
    detach: bool,
    /// Where to pin: a directory in a bpf file system that nothing else uses
    #[arg(long, value_name = "DIR", default_value = Pins::ROOT)]
    pins: PathBuf,
    /// Report at most COUNT violations of a kind (policy, context, symbol) a second one by one, and
    /// count the others
    #[arg(long, value_name = "COUNT", default_value_t = Options::FULL_EVENTS)]
    full_events: u32,
    /// Kill a process that is denied more than COUNT calls within SECONDS; `any` never kills for
    /// that
    #[arg(long, value_name = "COUNT/SECONDS", default_value_t = Denials::default())]
    denials: Denials,
    /// Serve metrics for Prometheus over HTTP, where only this machine reaches them: at
    /// `unix:PATH`, `127.0.0.1:PORT` or `[::1]:PORT`
    #[arg(long, value_name = "ADDRESS", requires = "pin", conflicts_with = "detach")]
    metrics: Option<Address>,
    /// Accept policies whose binaries do not exist: each is bound as soon as its binary appears,
    /// here or in a container
    #[arg(long)]
    allow_absent: bool,
    /// Run CMD, and end with it and its exit status
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// The longest wait for events. A signal ends it sooner.
const WAIT: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let options = Options {
        log_only: args.log_only,
        complain: args.learn_to.is_some(),
        require: args.require,
        at_most: args.at_most,
        self_protect: !args.no_self_protect,
        allow_absent: args.allow_absent,
        full_events: args.full_events,
        denials: args.denials,
        ..Options::default()
    };
    if args.pin || args.detach {
        let pins = Pins::at(&args.pins);
        return run_agent(args, &pins, options).map_err(|failure| {
            failure.leaving(match pins.is_enforcing() {
                Ok(true) => AS_BEFORE,
                Ok(false) => "nothing is enforced",
                Err(_) => "nothing was changed",
            })
        });
    }
    run_foreground(args, options)
}

fn printer(args: &Args) -> Result<Printer, Failure> {
    let file = args.events.as_deref().map(Sink::append).transpose()?;
    Ok(Printer::new(args.json, args.log, file))
}

fn load(args: &Args) -> Result<Vec<Policy>, Failure> {
    if !args.trust_writable {
        require_trusted(&args.policies.all())?;
    }
    Ok(policy::load(&args.policies.all())?.into_iter().map(|l| l.policy).collect())
}

/// Enforces for as long as this process, or CMD, is there.
fn run_foreground(args: &Args, options: Options) -> Result<ExitCode, Failure> {
    let policies = load(args)?;
    let mut printer = printer(args)?;
    let signals = Signals::register()?;
    let mut collector =
        args.learn_to.as_ref().map(|f| Collector::start(f.clone(), &policies)).transpose()?;
    let mut enforcer = Enforcer::start(&policies, options)?;
    let (hooks, functions) = enforcer.enforcement_points();
    let start = Start {
        level: enforcer.level(),
        hooks,
        functions,
        unsupported: enforcer.unsupported().to_vec(),
        log_only: args.log_only,
        adopted: enforcer.totals()?.adopted,
        origin: None,
    };
    printer.start(&policies, &start);

    // The programs are attached: CMD's exec is seen, and its first call is judged.
    let mut child = Child::spawn(&args.command)?;
    let (mut second, mut alarm) = (Second::default(), Alarm::new(false));
    let status = loop {
        enforcer.poll(WAIT, |violation| {
            report_violation(violation, &mut printer, collector.as_mut());
        })?;
        if second.passed() {
            enforcer.repeated()?.iter().for_each(|repeated| printer.repeated(repeated));
        }
        if let Some(change) = alarm.look(|| enforcer.self_test()) {
            printer.alarm(&change);
        }
        printer.flush();
        collector.iter_mut().for_each(Collector::tick);
        if let Some(child) = &mut child
            && let Some(status) = child.ended()?
        {
            break status;
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
    while enforcer.poll(Duration::ZERO, |violation| {
        report_violation(violation, &mut printer, collector.as_mut());
    })? > 0
    {}
    enforcer.repeated()?.iter().for_each(|repeated| printer.repeated(repeated));
    collector.as_mut().map_or(Ok(()), Collector::finish)?;
    let stacks_lost = collector.as_ref().map_or(0, Collector::stacks_lost);
    printer.stop(&Totals { stacks_lost, ..enforcer.totals()? });
    Ok(ExitCode::from(status))
}

/// Has the kernel enforce beyond the end of this process, and runs as its agent until a signal.
fn run_agent(args: &Args, pins: &Pins, options: Options) -> Result<ExitCode, Failure> {
    let policies = load(args)?;
    let mut printer = printer(args)?;
    let signals = Signals::with_reload()?;
    let lock = pins.acquire()?;
    let mut directories = Directories::watch(&args.policies.all())?;
    let endpoint = args.metrics.as_ref().map(Endpoint::bind).transpose()?;
    let (mut live, origin) = Agent::attach_or_load(pins, &lock, &policies, options)?;
    printer.start(&policies, &start_of(live.pinned(), origin)?);
    if args.detach {
        printer.leave();
        return Ok(ExitCode::SUCCESS);
    }
    // Nobody is to find its socket when nobody listens any more.
    let _exporter = endpoint.map(|endpoint| endpoint.serve(pins.clone())).transpose()?;
    service::ready(printer.sentence());
    let mut second = Second::default();
    let mut alarm = Alarm::new(live.pinned().alarms().is_some_and(|(is_raised, _)| is_raised));
    loop {
        live.poll(WAIT, |violation| printer.violation(&violation))?;
        let ends = !live.pinned().stands();
        if ends {
            while live.poll(Duration::ZERO, |violation| printer.violation(&violation))? > 0 {}
        }
        if ends || second.passed() {
            live.repeated()?.iter().for_each(|repeated| printer.repeated(repeated));
        }
        printer.flush();
        if ends {
            service::stopping();
            printer.stop(&live.pinned().totals()?.unwrap_or_default());
            return Ok(ExitCode::SUCCESS);
        }
        if let Some(change) = alarm.look(|| live.self_test()) {
            let is_raised = matches!(change, Change::Raised(_));
            live.alarm(is_raised);
            printer.alarm(&change);
            service::status(if is_raised {
                "ALARM: calls are not refused any more"
            } else {
                printer.sentence()
            });
        }
        if signals.taken().is_some() {
            service::stopping();
            printer.leave();
            return Ok(ExitCode::SUCCESS);
        }
        let request = live.request();
        if signals.reload() | live.asked() | directories.changed() {
            service::reloading();
            let outcome = load(args).and_then(|policies| {
                let origin = live.reload(pins, &lock, &policies)?;
                Ok((policies, start_of(live.pinned(), origin)?))
            });
            let outcome = outcome.map_err(|failure| failure.leaving(AS_BEFORE));
            match &outcome {
                Ok((policies, start)) => printer.reloaded(policies, start),
                Err(failure) => printer.refused(failure),
            }
            live.answer(request, outcome.is_err());
            service::ready(printer.sentence());
        }
    }
}

fn start_of(pinned: &Pinned, origin: Origin) -> Result<Start, Failure> {
    let manifest = pinned.manifest();
    Ok(Start {
        level: manifest.level(),
        hooks: manifest.hooks,
        functions: manifest.functions,
        unsupported: manifest.unsupported.clone(),
        log_only: manifest.log_only,
        adopted: pinned
            .totals()
            .map_err(|error| Failure::from(error).leaving(ALL_THE_SAME))?
            .map_or(0, |t| t.adopted),
        origin: Some(origin),
    })
}

/// A clock that reports each second once.
#[derive(Default)]
struct Second(Option<Instant>);

impl Second {
    fn passed(&mut self) -> bool {
        let passed = self.0.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
        if passed {
            self.0 = Some(Instant::now());
        }
        passed
    }
}

/// Collects a violation, if that is wanted, and prints it.
fn report_violation(
    mut violation: kernel::Violation,
    printer: &mut Printer,
    collector: Option<&mut Collector>,
) {
    if let Some(collector) = collector {
        collector.violation(&mut violation);
    }
    printer.violation(&violation);
}
