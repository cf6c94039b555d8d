//! `sysfsm record`: the kernel collects transitions, and they become policies.

use crate::cli::agent::child::Child;
use crate::cli::agent::live_line::LiveLine;
use crate::cli::agent::policy_writer::PolicyWriter;
use crate::cli::agent::service;
use crate::cli::agent::signals::Signals;
use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::cli::format::time::parse_length;
use crate::cli::io::failure::Failure;
use crate::cli::io::report;
use crate::cli::policies::learned::Written;
use crate::cli::policies::{started, warnings};
use crate::kernel::{Only, RecordOptions, RecordTotals, Recorder, Starters, Target};
use crate::machine::Depth;
use crate::policy::cgroup_path;
use crate::text::{shown, UntrustedText};
use nix::unistd::User;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What `record` is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Recording ends at CMD's end, Ctrl-C, SIGTERM, the end of the processes of --pid, or after --for \
    TIME. With CMD the exit status is CMD's own (128+N if a signal ended it).\n\n\
    Examples:\n  \
    sysfsm record -o policy.json -- prog args...\n  \
    sysfsm record -o policies/ -- make\n  \
    sysfsm record -o nginx.json --binary /usr/sbin/nginx --for 2h"
)]
pub(crate) struct Args {
    /// Where to: a file (the policy of CMD's own binary, of the only --binary, of the first
    /// --pid's), a directory DIR/ (one policy for each binary), or `-`. A file that exists is
    /// replaced, not merged with
    #[arg(short, long, value_name = "FILE|DIR/", required = true)]
    output: PathBuf,
    /// Length of the window: 1 is an allow-list, 2 are pairs, up to 8
    #[arg(long, value_name = "K", default_value_t)]
    depth: Depth,
    /// Record this binary wherever it runs on the machine; processes that run it already, too
    #[arg(long = "binary", value_name = "PATH", num_args = 1.., conflicts_with = "pids")]
    binaries: Vec<String>,
    /// Record this process, and all that it starts from now on
    #[arg(long = "pid", value_name = "PID", num_args = 1.., conflicts_with = "command")]
    pids: Vec<u32>,
    /// Learn only runs that this user started, by name or number: the real user at the exec; may be
    /// given several times
    #[arg(long = "uid", value_name = "USER", value_parser = parse_user)]
    users: Vec<u32>,
    /// Learn only runs that were started in this cgroup or below, by its path below
    /// /sys/fs/cgroup: /system.slice/nginx.service; may be given several times
    #[arg(long = "cgroup", value_name = "PATH", value_parser = parse_cgroup)]
    cgroups: Vec<UntrustedText>,
    /// Stop recording after TIME: 90s, 10m, 2h. CMD goes on, and its end is waited for
    #[arg(long = "for", value_name = "TIME", value_parser = parse_length)]
    length: Option<Duration>,
    /// Write the policies as they are every TIME
    #[arg(long, value_name = "TIME", value_parser = parse_length, default_value = "1m")]
    every: Duration,
    /// Make room for COUNT different transitions of all programs together
    #[arg(long, value_name = "COUNT", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(1..=1 << 26))]
    room: u32,
    /// Report what was recorded as JSON, one object a line (on stderr)
    #[arg(long)]
    pub(crate) json: bool,
    /// Run CMD; without --binary, record it and all that it starts
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// A user, by name or number.
fn parse_user(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => {
            Err(format!("no user `{}`: give a name of `getent passwd`, or a number", shown(text)))
        }
        Err(e) => Err(format!("cannot look for the user `{}`: {e}", shown(text))),
    }
}

/// A cgroup, by its path.
fn parse_cgroup(text: &str) -> Result<UntrustedText, String> {
    cgroup_path(text).map_err(|(what, hint)| format!("{what}: {hint}"))
}

/// The longest wait. A signal ends it sooner.
const WAIT: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let target = target(args)?;
    let mut writer = PolicyWriter::new(&args.output, args.binaries.len())?;
    let signals = Signals::register()?;
    let only = Only { users: args.users.clone(), cgroups: args.cgroups.clone() };
    let options = RecordOptions { depth: args.depth, room: args.room, only };
    let mut recorder = Recorder::start(&target, &options)?;
    start(args, &recorder)?;
    service::ready("recording");

    // The programs are attached: CMD's exec is seen, and its first call is counted.
    let mut child = Child::spawn(&args.command)?;
    let mut status = None;
    let begun = Instant::now();
    let (mut second, mut written) = (begun, begun);
    let mut live = (io::stderr().is_terminal() && !args.json).then(LiveLine::default);
    loop {
        recorder.poll(WAIT.min(args.every))?;
        if let Some(child) = &mut child {
            status = child.ended()?;
        }
        let over = args.length.is_some_and(|length| begun.elapsed() >= length);
        if status.is_some() || over || (!args.pids.is_empty() && !recorder.live()) {
            break;
        }
        let signal = signals.taken();
        match (signal, &child) {
            // The terminal has sent its Ctrl-C to CMD as well; either way we end when it does.
            (Some(signal), Some(child)) => child.forward(signal),
            (Some(_), None) => break,
            (None, _) => {}
        }
        if second.elapsed() >= SECOND {
            second = Instant::now();
            recorder.tidy()?;
            if let Some(live) = &mut live {
                live.show(&recorder)?;
            }
        }
        // Whoever sends a signal may lose patience.
        if written.elapsed() >= args.every || signal.is_some() {
            written = Instant::now();
            writer.write_what_there_is(&recorder)?;
        }
    }
    recorder.detach();
    while recorder.poll(Duration::ZERO)? > 0 {}
    if live.is_some() {
        eprint!("\r\x1b[K");
    }
    let found = writer.write(&recorder);
    let totals = recorder.totals()?;
    let starters = recorder.starters()?;
    stop(args, &recorder, &totals, found.as_deref().unwrap_or_default(), &starters);
    found?;
    lost(&totals)?;
    if let (None, Some(child)) = (status, &mut child) {
        status = Some(wait(child, &signals)?);
    }
    Ok(ExitCode::from(status.unwrap_or(0)))
}

fn target(args: &Args) -> Result<Target, Failure> {
    if !args.binaries.is_empty() {
        // The kernel compares files: a relative path is one of ours, a name without a slash any
        // file's.
        let absolute = |path: &String| match path {
            path if path.contains('/') => std::path::absolute(path)
                .map_or_else(|_| path.clone(), |p| p.to_string_lossy().into_owned()),
            name => name.clone(),
        };
        return Ok(Target::Binaries(args.binaries.iter().map(absolute).collect()));
    }
    if !args.pids.is_empty() {
        return Ok(Target::Processes(args.pids.clone()));
    }
    if args.command.is_empty() {
        return Err(Failure::new(
            "nothing to record",
            "name it: --binary PATH, --pid PID, or -- CMD",
        ));
    }
    Ok(Target::Children)
}

/// Waits for a command that outlives its recording.
fn wait(child: &mut Child, signals: &Signals) -> Result<u8, Failure> {
    loop {
        if let Some(status) = child.ended()? {
            return Ok(status);
        }
        if let Some(signal) = signals.taken() {
            child.forward(signal);
        }
        std::thread::sleep(WAIT);
    }
}

fn start(args: &Args, recorder: &Recorder) -> Result<(), Failure> {
    let adopted = recorder.totals()?.adopted;
    let sentence = format!(
        "recording at depth {}; {} adopted",
        args.depth,
        counted(adopted, "running thread")
    );
    report::event(
        &Event::new(Kind::RecordStart)
            .now()
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("depth", args.depth.get())
            .with("binaries", args.binaries.clone())
            .with("pids", args.pids.clone())
            .with("uids", args.users.clone())
            .with("cgroups", json!(args.cgroups))
            .with("command", args.command.clone())
            .with("adopted", adopted)
            .saying(sentence),
    );
    Ok(())
}

fn stop(
    args: &Args,
    recorder: &Recorder,
    totals: &RecordTotals,
    written: &[Written],
    starters: &BTreeMap<&str, Starters>,
) {
    let of = |one: &Written| starters.get(one.policy.binary.whole());
    let nameless = recorder.nameless();
    let event = Event::new(Kind::RecordStop)
        .now()
        .with("calls", totals.calls)
        .with("runs", totals.runs)
        .with("transitions", totals.transitions)
        .with("quiet_seconds", totals.quiet.map(|q| q.as_secs()))
        .with("transitions_lost", totals.transitions_lost)
        .with("contexts_lost", totals.contexts_lost)
        .with("programs_lost", totals.programs_lost)
        .with("runs_uncertain", totals.runs_uncertain)
        .with("stray_returns", totals.stray_returns)
        .with("frames_dropped", totals.frames_dropped)
        .with("fallback_threads", totals.fallback_threads)
        .with("threads_refused", totals.threads_refused)
        .with("recursion_misses", totals.recursion_misses)
        .with("adopted", totals.adopted)
        .with("nameless", json!(nameless))
        .with("starters_lost", totals.starters_lost)
        .with("policies", written.iter().map(|one| started::json(one, of(one))).collect::<Vec<_>>())
        .saying(format!(
            "recorded {}: {} of {}",
            counted(totals.calls, "call"),
            counted(written.iter().map(|w| w.policy.runs).sum(), "run"),
            counted(written.len() as u64, "binary"),
        ));
    let lines = written.iter().map(|one| started::line(one, of(one)));
    report::event(&lines.fold(event, Event::saying));
    if args.json {
        return;
    }
    for path in nameless {
        report::warn(
            &format!(
                "a program that was exec'd as `{path}` is left out: it was gone before it could be found"
            ),
            "run it by its absolute path",
        );
    }
    for (count, what) in [
        (totals.runs_uncertain, "run that found no room to be remembered: `runs` may be wrong"),
        (totals.starters_lost, "run of which there was no room to note who started it"),
        (totals.stray_returns, "rt_sigreturn with no handler active"),
        (totals.frames_dropped, "signal frame dropped past the limit"),
        (
            totals.recursion_misses,
            "event of some process that the kernel did not show (two tasks at once in one program)",
        ),
    ] {
        if count > 0 {
            report::warn(&format!("{count} × {what}"), "");
        }
    }
    for one in written {
        warnings::warn_of(&one.policy);
        if args.users.is_empty() {
            started::warn_of(one, of(one));
        }
    }
}

/// What was done and not recorded is an error: a policy without it would break the program.
fn lost(totals: &RecordTotals) -> Result<(), Failure> {
    let room = "what was recorded is written; give it more with --room COUNT";
    for (count, what, hint) in [
        (totals.transitions_lost, "calls took transitions that found no room", room),
        (totals.contexts_lost, "calls led to contexts that found no room", room),
        (totals.programs_lost, "execs were of programs that found no room", room),
        (
            totals.threads_refused,
            "threads were not recorded: their state found no room",
            "what was recorded is written; memory, or a memory limit, may be too small",
        ),
    ] {
        if count > 0 {
            return Err(Failure::new(format!("the recording has gaps: {count} {what}"), hint));
        }
    }
    Ok(())
}
