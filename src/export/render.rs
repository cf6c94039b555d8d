//! A policy in one of the formats, and what its user should know of it.

use crate::export::calls::Calls;
use crate::export::format::Format;
use crate::export::{oci, seccompiler, systemd};
use crate::policy::{Children, Policy};
use crate::syscall::{nr, Symbol};
use std::collections::BTreeSet;

/// A policy in another's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// What to write into a file.
    pub text: String,
    /// The policy's calls in it.
    pub calls: BTreeSet<&'static str>,
    /// The calls that the policy does not need to say, and the filter does.
    pub added: BTreeSet<&'static str>,
    /// The policy's symbols that the format has no words for.
    pub unsupported: BTreeSet<Symbol>,
    /// What its user should know, each with a hint.
    pub warnings: Vec<(String, String)>,
}

/// The depth-1 view of a policy in a format.
#[must_use]
pub fn export(policy: &Policy, format: Format) -> Export {
    let calls = Calls::of(policy, format);
    let text = match format {
        Format::SeccompOci => oci::write(policy.action, &calls),
        Format::Systemd => systemd::write(policy, &calls),
        Format::SeccompJson => seccompiler::write(policy.action, &calls),
    };
    let warnings = warnings(policy, format, &calls);
    Export {
        text,
        calls: calls.known,
        added: calls.added,
        unsupported: calls.unsupported,
        warnings,
    }
}

fn warnings(policy: &Policy, format: Format, calls: &Calls) -> Vec<(String, String)> {
    let mut warnings = Vec::new();
    let (signals, numbers): (Vec<Symbol>, Vec<Symbol>) =
        calls.unsupported.iter().partition(|symbol| matches!(symbol, Symbol::Signal(_)));
    if !numbers.is_empty() {
        warnings.push((
            format!("{} has no name for {}: left out", format.as_str(), listed(&numbers)),
            "the filter will not let the program make these calls; a program that needs them cannot run under it"
                .into(),
        ));
    }
    if !signals.is_empty() {
        warnings.push((
            format!("{} knows no signals: {} left out", format.as_str(), listed(&signals)),
            "what the handlers call is in the list; that only a handler may call it cannot be said"
                .into(),
        ));
    }
    let execs = |number: u32| policy.machine.alphabet().contains(&Symbol::Call(number));
    if policy.children == Children::Release && (execs(nr::EXECVE) || execs(nr::EXECVEAT)) {
        warnings.push((
            format!(
                "the policy for `{}` lets it exec other programs, and a seccomp filter stays over an exec",
                policy.binary
            ),
            "what it execs is held to the same list: learn one policy for all of them, with \"children\": \"inherit\""
                .into(),
        ));
    }
    warnings
}

fn listed(symbols: &[Symbol]) -> String {
    symbols.iter().map(|symbol| format!("`{symbol}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::parse;

    fn policy(rest: &str) -> Policy {
        parse(format!(r#"{{"sysfsm": 1, "binary": "/bin/x", {rest}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn what_a_format_cannot_say_is_unsupported_and_told() {
        let policy =
            policy(r#""transitions": {"@SIGUSR1": ["write"], "execve": ["syscall_9999"]}"#);
        for format in Format::ALL {
            let export = export(&policy, format);
            let said: Vec<&str> = export.warnings.iter().map(|w| w.0.as_str()).collect();
            assert_eq!(said.len(), 2, "{said:?}");
            assert!(said.iter().any(|t| t.contains("`syscall_9999`")), "{said:?}");
            assert!(said.iter().any(|t| t.contains("`@SIGUSR1`")), "{said:?}");
            assert!(export.calls.contains("write"));
            assert!(
                !export.text.contains("9999") && !export.text.contains("SIGUSR1"),
                "{}",
                export.text
            );
        }
    }

    #[test]
    fn a_program_that_execs_is_warned_of_unless_its_policy_speaks_for_its_children() {
        let execs = |rest: &str| export(&policy(rest), Format::Systemd).warnings.len();
        assert_eq!(execs(r#""transitions": {"execve": ["brk"]}"#), 0);
        assert_eq!(execs(r#""transitions": {"brk": ["execve"]}"#), 1);
        assert_eq!(execs(r#""children": "inherit", "transitions": {"brk": ["execveat"]}"#), 0);
    }
}
