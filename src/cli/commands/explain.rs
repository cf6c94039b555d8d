//! `sysfsm explain`: a violation in plain words.

use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::policy_args::PolicyArgs;
use crate::cli::policies::explanation::{event, text};
use crate::cli::policies::warnings;
use crate::explain::{explain, NoViolation, Violation};
use crate::policy::{self, Loaded};
use crate::text::{shown, UntrustedText};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `explain` is given.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sysfsm check --json --policy p.json trace | sysfsm explain --policy p.json\n  \
    sysfsm explain 5e0d6cc1f6ab --events events.jsonl --policy p.json")]
pub(crate) struct Args {
    /// A violation, as `enforce --json` and `check --json` print it; a file of such lines; or `-`.
    /// With --events the id of one
    #[arg(value_name = "VIOLATION|FILE|ID")]
    violation: Option<String>,
    /// Where the violation with that id is: what `enforce --events` has written, or such lines
    /// (`-`: stdin)
    #[arg(long, value_name = "FILE", requires = "violation")]
    events: Option<String>,
    #[command(flatten)]
    policies: PolicyArgs,
    /// Print explanations as JSON, one a line
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let others: Vec<PathBuf> = args.violation.iter().map(PathBuf::from).collect();
    let (policies, others) = args.policies.before(&others);
    let violation = match others.as_slice() {
        [] => "-".to_string(),
        [one] => one.to_string_lossy().into_owned(),
        [_, several @ ..] => {
            return Err(Failure::new(
                format!("{} arguments besides the policies", several.len() + 1),
                "give one violation, file or id; after several policies: -p A B -- VIOLATION",
            ))
        }
    };
    let (from, id) = match &args.events {
        Some(events) => (events.as_str(), Some(violation.as_str())),
        None => (violation.as_str(), None),
    };
    if from == "-" && policies.iter().any(|p| p == Path::new("-")) {
        return Err(Failure::new(
            "both the violations and the policy are `-`",
            "give one of them as a file",
        ));
    }
    let loaded = policy::load(&policies)?;
    for loaded in &loaded {
        warnings::warn_of(&loaded.policy);
    }
    let (name, lines) = open(from)?;
    let name = shown(&name).to_string();
    let mut explained = 0_u64;
    for (index, line) in lines.lines().enumerate() {
        let place = if name == ARGUMENT { name.clone() } else { format!("{name}:{}", index + 1) };
        let line = line.map_err(|e| unreadable(&name, &e))?;
        if line.trim().is_empty() {
            continue;
        }
        let violation = match Violation::parse(&line) {
            Ok(violation) => violation,
            // enforce prints them before and after its violations.
            Err(NoViolation::Other(event))
                if name != ARGUMENT && (event == "start" || event == "stop") =>
            {
                continue
            }
            Err(e) => return Err(no_violation(&place, &e)),
        };
        if id.is_some() && violation.id.as_ref().map(UntrustedText::whole) != id {
            continue;
        }
        let of = policy_of(&loaded, &violation, &place)?;
        let explanation = explain(&violation, &of.policy).map_err(|e| {
            Failure::new(
                format!("{place}: `{}` cannot have judged this: {e}", shown(&of.file)),
                "give the policy that was enforced, as it was then",
            )
        })?;
        if args.json {
            output::event(&event(&violation, of, &explanation))?;
        } else {
            let gap = if explained > 0 { "\n" } else { "" };
            output::line(&format!("{gap}{}", text(&violation, of, &explanation).trim_end()))?;
        }
        explained += 1;
    }
    match id {
        _ if explained > 0 => {}
        Some(id) => {
            return Err(Failure::new(
                format!("no violation with the id `{}` in `{name}`", shown(id)),
                "give the file that `enforce --events FILE` wrote then",
            ))
        }
        None => {
            return Err(Failure::new(
                format!("no violation in `{name}`"),
                "give what `enforce --json` or `check --json` printed",
            ))
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How a violation on the command line is called in messages.
const ARGUMENT: &str = "the argument";

/// The lines, and their name. No file's name that one would give begins with a brace.
fn open(from: &str) -> Result<(String, Box<dyn BufRead>), Failure> {
    if from.trim_start().starts_with('{') {
        return Ok((ARGUMENT.into(), Box::new(Cursor::new(from.as_bytes().to_vec()))));
    }
    if from == "-" {
        return Ok(("-".into(), Box::new(BufReader::new(io::stdin()))));
    }
    let file = File::open(from).map_err(|e| unreadable(&shown(from).to_string(), &e))?;
    Ok((from.into(), Box::new(BufReader::new(file))))
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(
        format!("cannot read violations from `{name}`: {error}"),
        "give a JSON line in quotes, a file of such lines, or `-` for stdin",
    )
}

fn no_violation(place: &str, error: &NoViolation) -> Failure {
    Failure::new(
        format!("{place}: {error}"),
        match error {
            NoViolation::Json(_) => {
                "was --json given to `enforce` or `check`? a line for people cannot be read back"
            }
            _ => "give a line with \"event\":\"violation\", whole",
        },
    )
}

fn policy_of<'a>(
    loaded: &'a [Loaded],
    violation: &Violation,
    place: &str,
) -> Result<&'a Loaded, Failure> {
    let selector = violation.selector();
    let judged = |l: &&Loaded| l.policy.selector() == selector;
    let may_have = |l: &&Loaded| selector.cgroup.is_none() && l.policy.binary == selector.binary;
    loaded.iter().find(judged).or_else(|| loaded.iter().find(may_have)).ok_or_else(|| {
        let given: Vec<String> =
            loaded.iter().take(8).map(|l| format!("`{}`", l.policy.name())).collect();
        Failure::new(
            format!(
                "{place}: a violation of the policy for `{selector}`; given are those for {}",
                given.join(", ")
            ),
            "give the policy that was enforced with --policy",
        )
    })
}
