//! `sysfsm review`: what was only watched becomes policy, as far as the operator wants it.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::policy_args::PolicyArgs;
use crate::cli::io::report;
use crate::cli::review::log_file;
use crate::cli::review::questions;
use crate::policy::{self, Loaded, PolicySelector};
use crate::review::{to_value, Decision, Glob, ReviewLog, ReviewSession};
use crate::text::shown;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `review` is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "PATTERN is `CONTEXT → SYMBOL` (or `->`), where `*` stands for any text and `?` for one \
    character; the whole must match: `* → futex`, `brk mmap → *`.\n\n\
    Exit status: 0 everything is decided; 1 questions are left; 2 an error."
)]
// Flags of a command line.
#[allow(clippy::struct_excessive_bools)]
pub(crate) struct Args {
    /// What `enforce --log-only --learn-to` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    policies: PolicyArgs,
    /// Where the wider policy goes; without it, it takes the old one's place
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Print what was seen and what was decided, and decide nothing
    #[arg(long, conflicts_with_all = ["accept_all", "accept", "accept_anywhere", "reject", "output"])]
    list: bool,
    /// Accept everything that is not rejected
    #[arg(long)]
    accept_all: bool,
    /// Accept what matches; may be given several times
    #[arg(long, value_name = "PATTERN")]
    accept: Vec<Glob>,
    /// Accept the calls of what matches from anywhere in the program, now and when they are seen
    /// elsewhere later; may be given several times
    #[arg(long, value_name = "PATTERN")]
    accept_anywhere: Vec<Glob>,
    /// Reject what matches, whatever else accepts it; may be given several times
    #[arg(long, value_name = "PATTERN")]
    reject: Vec<Glob>,
    /// Decide once more about what was rejected earlier
    #[arg(long)]
    again: bool,
    /// Print decisions as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a question has of the review log, as it stands there.
const SEEN: [&str; 14] = [
    "context", "symbol", "reason", "count", "first", "last", "decision", "pid", "tid", "comm",
    "number", "args", "ip", "stack",
];

impl Args {
    /// The patterns, each with what it decides: a later one has the last word.
    fn patterns(&self) -> impl Iterator<Item = (Decision, &Glob)> {
        let accepted = self.accept.iter().map(|pattern| (Decision::Accepted, pattern));
        let anywhere = self.accept_anywhere.iter().map(|pattern| (Decision::Anywhere, pattern));
        let rejected = self.reject.iter().map(|pattern| (Decision::Rejected, pattern));
        accepted.chain(anywhere).chain(rejected)
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let loaded = policy::load(&args.policies.all())?;
    if args.output.is_some() && loaded.len() != 1 {
        return Err(Failure::new(
            format!("{} policies, and one output", loaded.len()),
            "leave -o away: each policy is replaced by the wider one; or review one at a time",
        ));
    }
    let seen = log_file::read(&args.file)?.ok_or_else(|| {
        Failure::new(
            format!("cannot read the review log `{}`: no such file", shown(&args.file)),
            "let `sysfsm enforce --log-only --learn-to FILE` write it",
        )
    })?;
    let mut sessions = sessions(&loaded, &seen, args)?;
    if args.list {
        for (loaded, session) in &sessions {
            list(&loaded.policy.selector(), session, args.json)?;
        }
    } else if args.accept_all || args.patterns().next().is_some() {
        by_patterns(&mut sessions, args);
    } else {
        by_asking(&mut sessions)?;
    }
    if !args.list {
        keep(&sessions, args)?;
    }
    let left: usize = sessions.iter().map(|(_, session)| session.questions().len()).sum();
    if left > 0 && !args.list {
        advise(&sessions);
    }
    Ok(if left > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The violations of each policy.
fn sessions<'a>(
    loaded: &'a [Loaded],
    seen: &ReviewLog,
    args: &Args,
) -> Result<Vec<(&'a Loaded, ReviewSession<'a>)>, Failure> {
    let mut sessions = Vec::new();
    for loaded in loaded {
        let selector = &loaded.policy.selector();
        seen.fits(selector, loaded.policy.machine.depth())
            .map_err(|e| Failure::from(e).within(&shown(&args.file).to_string()))?;
        if let Some(part) = seen.parts.get(selector) {
            sessions.push((loaded, ReviewSession::new(&loaded.policy, part.clone(), args.again)));
        }
    }
    let given = |selector: &PolicySelector| loaded.iter().any(|l| l.policy.selector() == *selector);
    let others: Vec<String> =
        seen.parts.keys().filter(|s| !given(s)).map(PolicySelector::to_string).collect();
    if sessions.is_empty() {
        return Err(Failure::new(
            format!("{}: nothing was seen of the given policies", shown(&args.file)),
            match others.as_slice() {
                [] => "the file is of no policy at all".to_string(),
                some => format!("it is of {}", some.join(", ")),
            },
        ));
    }
    if !others.is_empty() {
        report::warn(
            &format!("{} also has violations of {}", shown(&args.file), others.join(", ")),
            "give their policies too, to decide about them",
        );
    }
    Ok(sessions)
}

fn list(selector: &PolicySelector, session: &ReviewSession<'_>, json: bool) -> Result<(), Failure> {
    for key in &session.keys() {
        let Some(entry) = session.part().entries.get(key) else { continue };
        let state = match entry.decision {
            _ if session.open(key) => "open",
            Some(decision) => decision.as_str(),
            None => "known",
        };
        if json {
            let event = Event::new(Kind::Question)
                .about(selector)
                .with("state", state)
                .with("never", session.question(key).and_then(|q| q.never));
            let seen = to_value(key, entry);
            let add = |event: Event, name| event.with_some(name, seen.get(name).cloned());
            output::event(&SEEN.into_iter().fold(event, add))?;
        } else if let Some(question) = session.question(key) {
            output::line(&format!("{state}: {selector}: {}", questions::text(&question)))?;
        }
    }
    Ok(())
}

fn by_patterns(sessions: &mut [(&Loaded, ReviewSession<'_>)], args: &Args) {
    let mut used = vec![false; args.patterns().count()];
    for (_, session) in sessions {
        for key in session.questions() {
            let context = key.context.to_string();
            let mut decision = args.accept_all.then_some(Decision::Accepted);
            for ((meaning, pattern), used) in args.patterns().zip(&mut used) {
                if pattern.matches(&context, key.symbol.whole()) {
                    *used = true;
                    decision = Some(meaning);
                }
            }
            // What one before it has decided is not open any more.
            if let (Some(decision), true) = (decision, session.open(&key)) {
                session.decide(&key, decision);
            }
        }
    }
    for ((_, pattern), _) in args.patterns().zip(used).filter(|(_, used)| !used) {
        report::warn(
            &format!("nothing that is open matches `{pattern}`"),
            "see what there is with --list",
        );
    }
}

fn by_asking(sessions: &mut [(&Loaded, ReviewSession<'_>)]) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    for (loaded, session) in sessions {
        let name = loaded.policy.name();
        let on =
            questions::ask(session, &name, &mut input, &mut io::stderr().lock()).map_err(|e| {
                Failure::new(
                    format!("cannot ask: {e}"),
                    "decide by --accept, --reject, --accept-all",
                )
            })?;
        if !on {
            break;
        }
    }
    Ok(())
}

/// Writes the wider policies, then the decisions: whoever is stopped in between is not asked about
/// what the policy knows by now.
fn keep(sessions: &[(&Loaded, ReviewSession<'_>)], args: &Args) -> Result<(), Failure> {
    for (loaded, session) in sessions {
        let (wider, added) = session.apply();
        let to: &Path = args.output.as_deref().unwrap_or(&loaded.file);
        if added > 0 || args.output.is_some() {
            output::write(to, &wider.to_json())?;
        }
        summarize(session, &loaded.policy.selector(), added, to, args.json)?;
    }
    log_file::update(&args.file, |log| {
        for (loaded, session) in sessions {
            let Some(part) = log.parts.get_mut(&loaded.policy.selector()) else { continue };
            for (key, decision) in session.decided() {
                if let Some(entry) = part.entries.get_mut(key) {
                    entry.decision = Some(*decision);
                }
            }
        }
        Ok(())
    })
}

fn summarize(
    session: &ReviewSession<'_>,
    selector: &PolicySelector,
    added: usize,
    to: &Path,
    as_json: bool,
) -> Result<(), Failure> {
    for (key, decision) in session.decided() {
        output::line(&if as_json {
            let context: Vec<String> =
                key.context.symbols().iter().map(ToString::to_string).collect();
            Event::new(Kind::Decision)
                .about(selector)
                .with("decision", decision.as_str())
                .with("context", context)
                .with("symbol", &key.symbol)
                .with("reason", key.reason.as_str())
                .to_json()
        } else {
            format!("{}: {selector}: {}", decision.as_str(), questions::name(key))
        })?;
    }
    let count = |wanted| session.decided().iter().filter(|(_, d)| *d == wanted).count() as u64;
    let accepted = count(Decision::Accepted) + count(Decision::Anywhere);
    let rejected = count(Decision::Rejected);
    let open = session.questions().len() as u64;
    let sentence = format!(
        "{selector}: {}: {accepted} accepted, {rejected} rejected, {open} left; {} added → {}",
        counted(accepted + rejected + open, "question"),
        counted(added as u64, "transition"),
        output::named(to),
    );
    report::event(
        &Event::new(Kind::Review)
            .about(selector)
            .with("accepted", accepted)
            .with("rejected", rejected)
            .with("open", open)
            .with("added", added)
            .with("policy_file", output::named(to).whole())
            .saying(sentence),
    );
    Ok(())
}

/// Says what is to be done about the questions that are left because no policy can answer them.
fn advise(sessions: &[(&Loaded, ReviewSession<'_>)]) {
    for (loaded, session) in sessions {
        let name = loaded.policy.name();
        for key in session.questions() {
            if let Some(why) = session.question(&key).and_then(|q| q.never) {
                report::warn(
                    &format!("{name}: {}: {why}", questions::name(&key)),
                    "enforcement will not let it by; reject it, and it is not asked again",
                );
            }
        }
    }
}
