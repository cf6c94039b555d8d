//! The command line: one file a subcommand.

use crate::cli::commands::{check, diff, explain, export, extract, generate, merge, review, show};
#[cfg(feature = "kernel")]
use crate::cli::commands::{
    doctor, enforce, pinned, record, reload, status, stop, top, unwind_stacks,
};
use crate::cli::io::failure::Failure;
use crate::cli::io::report;
#[cfg(feature = "kernel")]
use crate::kernel;
use crate::text::{said, shown, UntrustedText};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Learns which system call may follow which in a program, and has the Linux kernel hold the
/// program to it.
#[derive(Debug, Parser)]
#[command(
    name = "sysfsm",
    version,
    max_term_width = 100,
    after_help = "Exit status: 0 fine; 1 a finding (check: a violation; diff: a difference; status: nothing is\n\
                  enforced); 2 an error.\n\
                  Data goes to stdout, diagnostics to stderr; `-` is stdin or stdout.\n\n\
                  Example:\n  \
                  strace -f -o trace.syscall prog args...\n  \
                  sysfsm extract trace.syscall -o policy.json\n  \
                  sudo sysfsm enforce --policy policy.json -- prog args..."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Learn policies from strace logs
    Extract(extract::Args),
    /// Replay strace logs against policies: what would have been a violation, and where
    Check(check::Args),
    /// Make one policy of several of the same binary
    Merge(merge::Args),
    /// List what differs between policies, or only what a newer one allows more (--check)
    Diff(diff::Args),
    /// Print a policy so that a person can read it
    Show(show::Args),
    /// Explain a violation in plain words, and what would allow it
    Explain(explain::Args),
    /// Write a policy's calls for seccomp profiles and systemd, which know no order
    Export(export::Args),
    /// Decide about violations that `enforce --learn-to` has collected, and widen the policy
    Review(review::Args),
    /// Enforce policies in the kernel, until Ctrl-C or CMD's end
    #[cfg(feature = "kernel")]
    Enforce(enforce::Args),
    /// Print what `enforce --pin` enforces, and whether its agent runs
    #[cfg(feature = "kernel")]
    Status(pinned::Args),
    /// Show what `enforce --pin` enforces, live in the terminal
    #[cfg(feature = "kernel")]
    Top(top::Args),
    /// Have the agent of `enforce --pin` read its policies again
    #[cfg(feature = "kernel")]
    Reload(pinned::Args),
    /// End what `enforce --pin` enforces
    #[cfg(feature = "kernel")]
    Stop(pinned::Args),
    /// Learn policies from running programs, in the kernel
    #[cfg(feature = "kernel")]
    Record(record::Args),
    /// Print what this kernel offers, and the level that enforcement reaches on it
    #[cfg(feature = "kernel")]
    Doctor(doctor::Args),
    /// Unwind the stacks that `enforce --learn-to` sends
    #[cfg(feature = "kernel")]
    #[command(name = kernel::UNWIND_SUBCOMMAND, hide = true)]
    UnwindStacks,
    /// Write completions and man pages
    #[command(hide = true)]
    Generate(generate::Args),
}

impl Command {
    /// Whether what the subcommand prints is JSON.
    fn json(&self) -> bool {
        match self {
            Command::Extract(args) => args.json,
            Command::Check(args) => args.json,
            Command::Merge(args) => args.json,
            Command::Diff(args) => args.json,
            Command::Show(args) => args.json(),
            Command::Explain(args) => args.json,
            Command::Export(args) => args.json,
            Command::Review(args) => args.json,
            #[cfg(feature = "kernel")]
            Command::Enforce(args) => args.json,
            #[cfg(feature = "kernel")]
            Command::Status(args) | Command::Reload(args) | Command::Stop(args) => args.json,
            #[cfg(feature = "kernel")]
            Command::Top(args) => args.json,
            #[cfg(feature = "kernel")]
            Command::Record(args) => args.json,
            #[cfg(feature = "kernel")]
            Command::Doctor(args) => args.json,
            #[cfg(feature = "kernel")]
            Command::UnwindStacks => false,
            Command::Generate(_) => false,
        }
    }

    fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Command::Extract(args) => extract::run(args),
            Command::Check(args) => check::run(args),
            Command::Merge(args) => merge::run(args),
            Command::Diff(args) => diff::run(args),
            Command::Show(args) => show::run(args),
            Command::Explain(args) => explain::run(args),
            Command::Export(args) => export::run(args),
            Command::Review(args) => review::run(args),
            #[cfg(feature = "kernel")]
            Command::Enforce(args) => enforce::run(args),
            #[cfg(feature = "kernel")]
            Command::Status(args) => status::run(args),
            #[cfg(feature = "kernel")]
            Command::Top(args) => top::run(args),
            #[cfg(feature = "kernel")]
            Command::Reload(args) => reload::run(args),
            #[cfg(feature = "kernel")]
            Command::Stop(args) => stop::run(args),
            #[cfg(feature = "kernel")]
            Command::Record(args) => record::run(args),
            #[cfg(feature = "kernel")]
            Command::Doctor(args) => doctor::run(args),
            #[cfg(feature = "kernel")]
            Command::UnwindStacks => unwind_stacks::run(),
            Command::Generate(args) => generate::run(args, &Cli::command()),
        }
    }
}

/// Runs what the command line of this process asks for; the exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let filter = EnvFilter::try_from_env("SYSFSM_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(|| report::Stderr)
        .without_time()
        .init();
    if cli.command.json() {
        report::use_json();
    }
    match cli.command.run() {
        Ok(status) => status,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            report::event(&failure.event());
            ExitCode::from(2)
        }
    }
}

/// The command line was not understood, or asked for help.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json");
    let text = error.to_string();
    let escaped = escaped(&text);
    if !error.use_stderr() || !json && escaped == text {
        error.exit();
    }
    let text = escaped;
    if !json {
        eprint!("{text}");
        return ExitCode::from(2);
    }
    report::use_json();
    let what = text.split("\n\n").next().unwrap_or_default().trim();
    let what = what.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
    let failure = Failure::new(what, "see sysfsm --help");
    report::event(&failure.event());
    ExitCode::from(2)
}

/// A message about arguments, with those escaped that are no plain text.
fn escaped(message: &str) -> String {
    let mut message = message.to_string();
    for word in std::env::args_os().skip(1) {
        let word = UntrustedText::from(word.as_os_str());
        // The value of `--option=value` stands by itself, too.
        let value = word.whole().split_once('=').map_or("", |(_, value)| value);
        for part in [word.whole(), value] {
            if part.contains('\n') {
                message = message.replace(part, &shown(part).to_string());
            }
        }
    }
    said(&message)
}
