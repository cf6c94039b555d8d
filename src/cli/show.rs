//! `sysfsm show`: a policy for people.

use super::report::{self, counted};
use super::{coverage, output, Failure};
use crate::machine::Count;
use crate::policy::{self, Children, Policy};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `show` is given.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A policy, a directory of policies, or `-`
    #[arg(value_name = "POLICY", required = true)]
    policies: Vec<PathBuf>,
    /// text: for people; json: the canonical policy, one a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The same as --format json
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let loaded = policy::load(&args.policies)?;
    for (index, loaded) in loaded.iter().enumerate() {
        if args.json || args.format == Format::Json {
            output::line(&loaded.policy.to_value().to_string())?;
            eprintln!("{}", coverage::event(&loaded.policy));
        } else {
            let gap = if index > 0 { "\n" } else { "" };
            output::line(&format!("{gap}{}", text(&loaded.policy).trim_end()))?;
        }
        warn_of(&loaded.policy);
    }
    Ok(ExitCode::SUCCESS)
}

/// Warns of what a reader of the policy should know.
pub(super) fn warn_of(policy: &Policy) {
    for warning in policy.warnings() {
        report::warn(&warning, "prevent io_uring by other means, or do not rely on this policy alone");
    }
}

fn text(policy: &Policy) -> String {
    let machine = &policy.machine;
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    field("binary", &policy.binary);
    field("depth", &machine.depth().to_string());
    field("action", policy.action.as_str());
    if policy.children != Children::default() {
        field("children", policy.children.as_str());
    }
    if policy.runs > 0 {
        field("runs", &policy.runs.to_string());
    }
    field("states", &machine.rows().len().to_string());
    field("transitions", &machine.transitions().to_string());
    field("symbols", &machine.alphabet().len().to_string());
    field("coverage", &coverage::line(policy));

    let mut rows: Vec<(String, Vec<(String, Count)>)> = machine
        .rows()
        .map(|(context, row)| {
            let mut row: Vec<(String, Count)> = row.iter().map(|(s, &c)| (s.to_string(), c)).collect();
            // The most travelled first; alike ones by name.
            row.sort_by(|a, b| b.1.calls.cmp(&a.1.calls).then_with(|| a.0.cmp(&b.0)));
            (context.to_string(), row)
        })
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    for (context, row) in rows {
        let context = if context.is_empty() { "(anything)" } else { &context };
        let _ = writeln!(text, "\n{context}");
        let width = row.iter().map(|(symbol, _)| symbol.len()).max().unwrap_or(0);
        for (symbol, count) in row {
            if count == Count::default() {
                let _ = writeln!(text, "  → {symbol}");
            } else {
                let _ = writeln!(
                    text,
                    "  → {symbol:<width$}  {} in {}",
                    counted(count.calls, "call"),
                    counted(count.runs, "run")
                );
            }
        }
    }
    text
}
