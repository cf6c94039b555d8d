//! `sysfsm review`: what was only watched becomes policy, as far as the operator wants it.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report::{self, counted};
use crate::cli::policies::subject::with_cgroup;
use crate::cli::review::log_file;
use crate::cli::review::questions;
use crate::policy::{self, Loaded, Subject};
use crate::review::{to_value, Decision, Fragment, Glob, Sheet};
use serde_json::{json, Value};
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
    /// The policies that were watched, or directories of them
    #[arg(short, long = "policy", value_name = "FILE|DIR", required = true, num_args = 1..)]
    policies: Vec<PathBuf>,
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
    json: bool,
}

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
    let loaded = policy::load(&args.policies)?;
    if args.output.is_some() && loaded.len() != 1 {
        return Err(Failure::new(
            format!("{} policies, and one output", loaded.len()),
            "leave -o away: each policy is replaced by the wider one; or review one at a time",
        ));
    }
    let seen = log_file::read(&args.file)?.ok_or_else(|| {
        Failure::new(
            format!("cannot read the fragment `{}`: no such file", args.file.display()),
            "let `sysfsm enforce --log-only --learn-to FILE` write it",
        )
    })?;
    let mut sheets = sheets(&loaded, &seen, args)?;
    if args.list {
        for (loaded, sheet) in &sheets {
            list(&loaded.policy.subject(), sheet, args.json)?;
        }
    } else if args.accept_all || args.patterns().next().is_some() {
        by_patterns(&mut sheets, args);
    } else {
        by_asking(&mut sheets)?;
    }
    if !args.list {
        keep(&sheets, args)?;
    }
    let left: usize = sheets.iter().map(|(_, sheet)| sheet.questions().len()).sum();
    if left > 0 && !args.list {
        advise(&sheets);
    }
    Ok(if left > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// The violations of each policy.
fn sheets<'a>(
    loaded: &'a [Loaded],
    seen: &Fragment,
    args: &Args,
) -> Result<Vec<(&'a Loaded, Sheet<'a>)>, Failure> {
    let mut sheets = Vec::new();
    for loaded in loaded {
        let subject = &loaded.policy.subject();
        seen.fits(subject, loaded.policy.machine.depth())
            .map_err(|e| Failure::from(e).within(&args.file.display().to_string()))?;
        if let Some(part) = seen.parts.get(subject) {
            sheets.push((loaded, Sheet::new(&loaded.policy, part.clone(), args.again)));
        }
    }
    let given = |subject: &Subject| loaded.iter().any(|l| l.policy.subject() == *subject);
    let others: Vec<String> =
        seen.parts.keys().filter(|s| !given(s)).map(Subject::to_string).collect();
    if sheets.is_empty() {
        return Err(Failure::new(
            format!("{}: nothing was seen of the given policies", args.file.display()),
            match others.as_slice() {
                [] => "the file is of no policy at all".to_string(),
                some => format!("it is of {}", some.join(", ")),
            },
        ));
    }
    if !others.is_empty() {
        report::warn(
            &format!("{} also has violations of {}", args.file.display(), others.join(", ")),
            "give their policies too, to decide about them",
        );
    }
    Ok(sheets)
}

/// The same object, with the policy that it is about.
fn of(subject: &Subject, mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("policy".into(), json!(subject.binary));
    }
    with_cgroup(value, subject)
}

fn list(subject: &Subject, sheet: &Sheet<'_>, json: bool) -> Result<(), Failure> {
    for key in &sheet.keys() {
        let Some(entry) = sheet.part().entries.get(key) else { continue };
        let state = match entry.decision {
            _ if sheet.open(key) => "open",
            Some(decision) => decision.as_str(),
            None => "known",
        };
        if json {
            let mut value = of(subject, to_value(key, entry));
            if let Some(object) = value.as_object_mut() {
                let never = sheet.question(key).and_then(|q| q.never);
                object.insert("event".into(), json!("question"));
                object.insert("state".into(), json!(state));
                object.insert("never".into(), json!(never));
            }
            output::line(&value.to_string())?;
        } else if let Some(question) = sheet.question(key) {
            output::line(&format!("{state}: {subject}: {}", questions::facts(&question)))?;
        }
    }
    Ok(())
}

fn by_patterns(sheets: &mut [(&Loaded, Sheet<'_>)], args: &Args) {
    let mut used = vec![false; args.patterns().count()];
    for (_, sheet) in sheets {
        for key in sheet.questions() {
            let context = key.context.to_string();
            let mut decision = args.accept_all.then_some(Decision::Accepted);
            for ((meaning, pattern), used) in args.patterns().zip(&mut used) {
                if pattern.matches(&context, &key.symbol) {
                    *used = true;
                    decision = Some(meaning);
                }
            }
            // What one before it has decided is not open any more.
            if let (Some(decision), true) = (decision, sheet.open(&key)) {
                sheet.decide(&key, decision);
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

fn by_asking(sheets: &mut [(&Loaded, Sheet<'_>)]) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    for (loaded, sheet) in sheets {
        let name = loaded.policy.name();
        let on =
            questions::ask(sheet, &name, &mut input, &mut io::stderr().lock()).map_err(|e| {
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
fn keep(sheets: &[(&Loaded, Sheet<'_>)], args: &Args) -> Result<(), Failure> {
    for (loaded, sheet) in sheets {
        let (wider, added) = sheet.apply();
        let to: &Path = args.output.as_deref().unwrap_or(&loaded.file);
        if added > 0 || args.output.is_some() {
            output::write(to, &wider.to_json())?;
        }
        tell(sheet, &loaded.policy.subject(), added, to, args.json)?;
    }
    log_file::update(&args.file, |fragment| {
        for (loaded, sheet) in sheets {
            let Some(part) = fragment.parts.get_mut(&loaded.policy.subject()) else { continue };
            for (key, decision) in sheet.decided() {
                if let Some(entry) = part.entries.get_mut(key) {
                    entry.decision = Some(*decision);
                }
            }
        }
        Ok(())
    })
}

fn tell(
    sheet: &Sheet<'_>,
    subject: &Subject,
    added: usize,
    to: &Path,
    as_json: bool,
) -> Result<(), Failure> {
    for (key, decision) in sheet.decided() {
        output::line(&if as_json {
            let context: Vec<String> =
                key.context.symbols().iter().map(ToString::to_string).collect();
            let decision = decision.as_str();
            of(
                subject,
                json!({"event": "decision", "decision": decision, "context": context,
                "symbol": key.symbol, "reason": key.reason.as_str()}),
            )
            .to_string()
        } else {
            format!("{}: {subject}: {}", decision.as_str(), questions::name(key))
        })?;
    }
    let count = |wanted| sheet.decided().iter().filter(|(_, d)| *d == wanted).count() as u64;
    let accepted = count(Decision::Accepted) + count(Decision::Anywhere);
    let rejected = count(Decision::Rejected);
    let left = sheet.questions().len() as u64;
    let file = if to == Path::new("-") { "stdout".into() } else { to.display().to_string() };
    if as_json {
        let object = json!({"event": "review", "accepted": accepted, "rejected": rejected, "left": left,
            "added": added, "file": file});
        eprintln!("{}", of(subject, object));
    } else {
        eprintln!(
            "{subject}: {}: {accepted} accepted, {rejected} rejected, {left} left; {} added → {file}",
            counted(accepted + rejected + left, "question"),
            counted(added as u64, "transition"),
        );
    }
    Ok(())
}

/// Says what is to be done about the questions that are left because no policy can answer them.
fn advise(sheets: &[(&Loaded, Sheet<'_>)]) {
    for (loaded, sheet) in sheets {
        let name = loaded.policy.name();
        for key in sheet.questions() {
            if let Some(why) = sheet.question(&key).and_then(|q| q.never) {
                report::warn(
                    &format!("{name}: {}: {why}", questions::name(&key)),
                    "enforcement will not let it by; reject it, and it is not asked again",
                );
            }
        }
    }
}
