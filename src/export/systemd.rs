//! A drop-in for a systemd service: systemd.exec(5), "System Call Filtering".

use super::calls::Calls;
use crate::policy::{Action, Policy};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Lines are filled up to here.
const WIDTH: usize = 100;

pub(crate) fn write(policy: &Policy, calls: &Calls) -> String {
    let all = calls.all();
    let mut text = format!(
        "# The calls of sysfsm's policy for `{}` (action: {}), each by itself.\n\
         # Put it into /etc/systemd/system/NAME.service.d/, then: systemctl daemon-reload\n\
         [Service]\n",
        policy.binary, policy.action
    );
    match policy.action {
        // An architecture that is not listed is refused, and `log` refuses nothing.
        Action::Log => assign(&mut text, "SystemCallLog=", "~", &all),
        Action::Kill | Action::Deny => {
            text.push_str("SystemCallArchitectures=native\n");
            if policy.action == Action::Deny {
                text.push_str("SystemCallErrorNumber=EPERM\n");
            }
            assign(&mut text, "SystemCallFilter=", "", &all);
        }
    }
    text
}

/// A list over several lines. systemd unites them; an empty line in front forgets what the unit
/// said before, with which ours would be united as well.
fn assign(text: &mut String, key: &str, sign: &str, names: &BTreeSet<&'static str>) {
    let _ = writeln!(text, "{key}");
    let mut line = String::new();
    for name in names {
        if !line.is_empty() && line.len() + 1 + name.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line.clear();
        }
        if line.is_empty() {
            line = format!("{key}{sign}{name}");
        } else {
            line.push(' ');
            line.push_str(name);
        }
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{line}");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::export::format::Format;
    use crate::policy::parse;

    fn unit(action: &str) -> String {
        let text = format!(
            r#"{{"sysfsm": 1, "binary": "/bin/x\\", "action": "{action}", "transitions": {{"execve": ["brk"]}}}}"#
        );
        let policy = parse(text.as_bytes()).unwrap();
        write(&policy, &Calls::of(&policy, Format::Systemd))
    }

    #[test]
    fn each_action_has_its_lines() {
        let kill = unit("kill");
        assert!(kill.contains(
            "\nSystemCallFilter=brk execve exit exit_group restart_syscall rt_sigreturn\n"
        ));
        assert!(
            kill.contains("\nSystemCallArchitectures=native\n") && !kill.contains("ErrorNumber"),
            "{kill}"
        );
        assert!(unit("deny").contains("\nSystemCallErrorNumber=EPERM\n"));
        let log = unit("log");
        assert!(
            log.contains("\nSystemCallLog=~brk execve") && !log.contains("SystemCallFilter"),
            "{log}"
        );
        assert!(!log.contains("Architectures"), "{log}");
    }

    #[test]
    fn no_line_is_long_and_no_comment_goes_on_in_the_next_line() {
        let names: BTreeSet<&'static str> = (0..400).filter_map(crate::syscall::name).collect();
        let mut text = String::new();
        assign(&mut text, "SystemCallFilter=", "", &names);
        assert!(text.lines().count() > 10 && text.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(text.split(['=', ' ', '\n']).filter(|w| names.contains(w)).count(), names.len());
        assert!(unit("kill").lines().all(|line| !line.ends_with('\\')));
    }
}
