//! The man pages: one for each command, out of the definitions that also parse the command line,
//! and `sysfsm-policy(5)` out of docs/policy-format.md.
//! They know clap's definitions, and no other room.

mod markdown;
mod sections;

use clap::Command;
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;
use sections::Sections;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

const POLICY_FORMAT: &str = include_str!("../../../docs/policy-format.md");

/// Writes every page into a directory.
pub(crate) fn write(whole: Command, directory: &Path) -> io::Result<()> {
    let mut whole = whole.disable_help_subcommand(true);
    whole.build();
    for command in whole.get_subcommands() {
        write_command(&whole, command.clone(), command.get_name(), directory)?;
    }
    write_command(&whole, whole.clone(), "", directory)?;
    fs::write(directory.join("sysfsm-policy.5"), policy_page())
}

/// The page of one command; the empty name is the tool itself.
fn write_command(whole: &Command, command: Command, name: &str, to: &Path) -> io::Result<()> {
    let page = Man::new(command);
    let mut text = Vec::new();
    page.render(&mut text)?;
    if let Some(sections) = Sections::of(name) {
        further_sections(whole, sections).to_writer(&mut text)?;
    }
    fs::File::create(to.join(page.get_filename()))?.write_all(&text)
}

/// EXAMPLES, FILES and SEE ALSO.
fn further_sections(whole: &Command, sections: &Sections) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (purpose, line) in sections.examples {
        roff.control("PP", []).text([roman(*purpose)]);
        roff.control("PP", []).control("RS", ["4"]).control("nf", []);
        roff.text([roman(*line)]).control("fi", []).control("RE", []);
    }
    if !sections.files.is_empty() {
        roff.control("SH", ["FILES"]);
    }
    for (path, content) in sections.files {
        roff.control("TP", []).text([bold(*path)]).text([roman(*content)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let exists =
        |page: &&&str| match page.strip_prefix("sysfsm-").and_then(|p| p.strip_suffix("(1)")) {
            Some(command) => whole.find_subcommand(command).is_some(),
            None => true,
        };
    let pages: Vec<&str> = sections.see_also.iter().filter(exists).copied().collect();
    roff.text([roman(pages.join(", "))]);
    roff
}

/// The page of the policy format.
fn policy_page() -> String {
    let source = format!("sysfsm {}", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", ["sysfsm-policy", "5", "", &source, ""]);
    roff.control("SH", ["NAME"]).text([roman("sysfsm-policy - policies of sysfsm, version 1")]);
    roff.control("SH", ["DESCRIPTION"]);
    markdown::append(&mut roff, POLICY_FORMAT);
    roff.control("SH", ["FILES"]);
    roff.control("TP", []).text([bold("/etc/sysfsm/policies")]);
    roff.text([roman("Policies that the service sysfsm enforces: files that end in .json.")]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(
        "sysfsm(1), sysfsm-extract(1), sysfsm-show(1), sysfsm-merge(1), sysfsm-diff(1), signal(7)",
    )]);
    roff.render()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::command_line::Cli;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn each_command_has_examples_that_its_definition_accepts() {
        let whole = Cli::command();
        let names = whole.get_subcommands().filter(|c| !c.is_hide_set()).map(Command::get_name);
        for name in names {
            let sections = Sections::of(name).unwrap_or_else(|| panic!("{name} has no sections"));
            assert!(!sections.see_also.is_empty(), "{name}");
            let start = format!("sysfsm {name}");
            let has_own = sections.examples.iter().any(|(_, example)| example.contains(&start));
            assert!(has_own, "{name} has no example of its own");
        }
        for sections in Sections::all() {
            for line in sections.examples.iter().flat_map(|(_, example)| example.lines()) {
                let line = line.strip_prefix("sudo ").unwrap_or(line);
                let words: Vec<&str> = line.split_whitespace().collect();
                let [tool, command, ..] = words.as_slice() else { panic!("{line}") };
                if *tool == "sysfsm" && whole.find_subcommand(command).is_some() {
                    let parsed = Cli::try_parse_from(&words);
                    assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
                }
            }
        }
    }

    #[test]
    fn the_policy_page_has_every_section_of_the_format() {
        let page = policy_page();
        for heading in POLICY_FORMAT.lines().filter_map(|line| line.strip_prefix("## ")) {
            assert!(
                page.contains(&format!(".SH \"{}\"", heading.to_uppercase()))
                    || page.contains(&format!(".SH {}\n", heading.to_uppercase())),
                "{heading}"
            );
        }
        for leftover in ["```", "](", "**", "| "] {
            assert!(!page.contains(leftover), "{leftover} in\n{page}");
        }
    }
}
