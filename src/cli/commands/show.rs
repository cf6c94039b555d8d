//! `sysfsm show`: a policy for people.

use crate::cli::format::count::counted;
use crate::cli::io::failure::Failure;
use crate::cli::io::output;
use crate::cli::io::report;
use crate::cli::policies::{coverage, warnings};
use crate::machine::Count;
use crate::policy::{self, Children, Policy};
use crate::show;
use crate::text::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `show` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A policy, a directory of policies, or `-`
    #[arg(value_name = "POLICY", required = true)]
    policies: Vec<PathBuf>,
    /// text: for people; json: the canonical policy, one a line; dot: the state graph for Graphviz;
    /// html: a page of one file; svg: one policy's graph as a picture
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Short for --format json
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Dot,
    Html,
    Svg,
}

impl Args {
    /// Whether policies are shown as JSON.
    pub(crate) fn json(&self) -> bool {
        self.json || self.format == Format::Json
    }
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let loaded = policy::load(&args.policies)?;
    let policies: Vec<&Policy> = loaded.iter().map(|loaded| &loaded.policy).collect();
    let each = |render: fn(&Policy) -> String, gap: &str| {
        policies.iter().map(|policy| render(policy)).collect::<Vec<_>>().join(gap)
    };
    let shown = match if args.json() { Format::Json } else { args.format } {
        Format::Text => each(text, "\n"),
        Format::Json => each(|policy| json(&policy.to_value()) + "\n", ""),
        Format::Dot => each(show::dot, ""),
        Format::Html => show::page(&policies),
        Format::Svg => show::svg(one(&policies)?),
    };
    output::write(Path::new("-"), &shown)?;
    for policy in policies {
        if args.json() {
            report::event(&coverage::event(policy));
        }
        warnings::warn_of(policy);
    }
    Ok(ExitCode::SUCCESS)
}

/// A picture has room for one.
fn one<'a>(policies: &[&'a Policy]) -> Result<&'a Policy, Failure> {
    match *policies {
        [policy] => Ok(policy),
        _ => Err(Failure::new(
            format!("{} policies for `--format svg`, which draws one", policies.len()),
            "give one policy, or ask for --format html, which has room for all",
        )),
    }
}

fn text(policy: &Policy) -> String {
    let machine = &policy.machine;
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    field("binary", &policy.binary.to_string());
    if let Some(cgroup) = &policy.cgroup {
        field("cgroup", &cgroup.to_string());
    }
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
            let mut row: Vec<(String, Count)> =
                row.iter().map(|(s, &c)| (s.to_string(), c)).collect();
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
