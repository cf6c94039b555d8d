//! `sysfsm export`: a policy for those that judge each call by itself.

use crate::cli::events::event::{Event, Kind};
use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report;
use crate::cli::policies::warnings;
use crate::export::{self, Export};
use crate::policy::{self, Policy};
use crate::text::{shown, UntrustedText};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `export` is given.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The order of calls is lost: every call of the policy is allowed at any time."
)]
pub(crate) struct Args {
    /// A policy, or `-`
    #[arg(value_name = "POLICY")]
    policy: PathBuf,
    /// For whom
    #[arg(long, value_enum)]
    format: Format,
    /// Where to: a file, or `-`
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Report what was written as one JSON object (on stderr)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// A seccomp profile for Docker, Podman and other runtimes of the OCI
    SeccompOci,
    /// A drop-in for a systemd service
    Systemd,
    /// The JSON of rust-vmm's seccompiler
    SeccompJson,
}

impl From<Format> for export::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::SeccompOci => export::Format::SeccompOci,
            Format::Systemd => export::Format::Systemd,
            Format::SeccompJson => export::Format::SeccompJson,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let loaded = policy::load(std::slice::from_ref(&args.policy))?;
    let [loaded] = loaded.as_slice() else {
        return Err(Failure::new(
            format!(
                "`{}` holds {} policies, and an export is of one",
                shown(&args.policy),
                loaded.len()
            ),
            "give one of its files",
        ));
    };
    let policy = &loaded.policy;
    let format = args.format.into();
    let export = export::export(policy, format);
    output::write(&args.output, &export.text)?;
    if !args.json {
        warnings::warn_of(policy);
        for (what, hint) in &export.warnings {
            report::warn(what, hint);
        }
    }
    report::event(&event(policy, format, &export, &args.output));
    Ok(ExitCode::SUCCESS)
}

/// The report of what was written.
fn event(policy: &Policy, format: export::Format, export: &Export, output: &Path) -> Event {
    let names = |names: &BTreeSet<&'static str>| names.iter().copied().collect::<Vec<&str>>();
    let (calls, added) = (names(&export.calls), names(&export.added));
    let unsupported: Vec<String> = export.unsupported.iter().map(ToString::to_string).collect();
    let mut warnings = warnings::json(policy);
    warnings.extend(export.warnings.iter().map(|(what, hint)| report::warning(what, hint)));
    let sentence = format!(
        "{}: {}, {} → {}",
        policy.binary,
        counted(calls.len() as u64, "call"),
        if added.is_empty() { "none added".into() } else { format!("added {}", added.join(" ")) },
        shown(&output)
    );
    Event::new(Kind::Export)
        .about(&policy.selector())
        .with("format", format.as_str())
        .with("action", policy.action.as_str())
        .with("output", UntrustedText::from(output.as_os_str()))
        .with("allowed", calls)
        .with("added", added)
        .with("unsupported", unsupported)
        .with("warnings", warnings)
        .saying(sentence)
}
