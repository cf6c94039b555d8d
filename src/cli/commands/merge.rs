//! `sysfsm merge`: policies → one for each binary.

use crate::cli::events::event::{Event, Kind};
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report;
use crate::cli::policies::learned::Written;
use crate::cli::policies::warnings;
use crate::policy::{self, Loaded, MergeError, Policy, PolicySelector};
use crate::text::{shown, UntrustedText};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `merge` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Policies, directories of policies, or `-`
    #[arg(value_name = "POLICY", required = true)]
    policies: Vec<PathBuf>,
    /// Where to: a file (all are of one binary), a directory DIR/ (one policy for each binary), or
    /// `-`
    #[arg(short, long, value_name = "FILE|DIR/", default_value = "-")]
    output: PathBuf,
    /// Report what was merged as one JSON object (on stderr)
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let loaded = policy::load_parts(&args.policies)?;
    let given = loaded.len() as u64;
    let merged: Vec<Merged> = unite(loaded)?.into_values().collect();
    let binaries: Vec<&str> = merged.iter().map(|m| m.policy.binary.whole()).collect();
    if binaries.len() > 1 && !output::is_directory(&args.output) {
        return Err(several(&binaries, &args.output));
    }
    let files = output::policy_files(&binaries, &args.output)?;
    let mut written = Vec::new();
    for (one, file) in merged.into_iter().zip(files) {
        output::write(&file, &one.policy.to_json())?;
        written.push(Written { policy: one.policy, file });
    }
    let event = Event::new(Kind::Merge)
        .with("given", given)
        .with("policies", written.iter().map(Written::json).collect::<Vec<_>>());
    report::event(&written.iter().map(Written::line).fold(event, Event::saying));
    if !args.json {
        for one in &written {
            warnings::warn_of(&one.policy);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A policy, and the first of the files that it was made of: the one that another one may disagree
/// with.
struct Merged {
    first: PathBuf,
    policy: Policy,
}

/// By binary, so that the order of the files leaves no trace.
fn unite(loaded: Vec<Loaded>) -> Result<BTreeMap<PolicySelector, Merged>, Failure> {
    let mut merged: BTreeMap<PolicySelector, Merged> = BTreeMap::new();
    for Loaded { file, policy } in loaded {
        if let Some(one) = merged.get_mut(&policy.selector()) {
            one.policy
                .merge(&policy)
                .map_err(|e| disagree(&policy.binary, &one.first, &file, &e))?;
        } else {
            merged.insert(policy.selector(), Merged { first: file, policy });
        }
    }
    Ok(merged)
}

fn disagree(binary: &UntrustedText, first: &Path, second: &Path, error: &MergeError) -> Failure {
    Failure::new(
        format!("`{binary}`: {} and {} do not merge: {error}", shown(first), shown(second)),
        error.hint(),
    )
}

fn several(binaries: &[&str], output: &Path) -> Failure {
    const SHOWN: usize = 8;
    let names: Vec<String> =
        binaries.iter().take(SHOWN).map(|b| format!("`{}`", shown(*b))).collect();
    let more = if binaries.len() > SHOWN { ", …" } else { "" };
    Failure::new(
        format!(
            "policies of {} binaries do not go into one file, {}: {}{more}",
            binaries.len(),
            output::named(output),
            names.join(", ")
        ),
        "give a directory, and each gets a file there: -o DIR/",
    )
}
