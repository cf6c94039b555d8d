//! A call that the kernel has shown to no program at `sys_enter` is judged where it comes to a
//! enforcement point.

use crate::policy::all_but_after_the_marker;
use std::fs;
use std::path::Path;
use std::time::Duration;
use sysfsm::kernel::{Enforcer, Level, Options, Totals, Violation};
use sysfsm::policy;
use sysfsm::syscall::number;
use sysfsm_testing::lab::Lab;

/// Lets the saboteur open a file while nothing at `sys_enter` sees it; whether it was killed, and
/// what became of the file.
fn missed_at_sys_enter(
    lab: &Lab,
    program: &Path,
    at_most: Level,
) -> (bool, String, Totals, Vec<Violation>) {
    let (file, written) = (lab.fresh("precious"), lab.fresh("policy"));
    fs::write(&file, "precious").unwrap();
    fs::write(&written, all_but_after_the_marker(program, "kill").to_string()).unwrap();
    let policies: Vec<_> =
        policy::load(&[written]).unwrap().into_iter().map(|l| l.policy).collect();
    let options = Options { at_most, simulate_missed_nr: number("open"), ..Options::default() };
    let mut enforcer = Enforcer::start(&policies, options).unwrap();
    let ended = lab.run(program, &["open", file.to_str().unwrap()], "");
    enforcer.detach();
    let mut violations = Vec::new();
    while enforcer.poll(Duration::ZERO, |violation| violations.push(violation)).unwrap() > 0 {}
    (ended.killed(), fs::read_to_string(&file).unwrap(), enforcer.totals().unwrap(), violations)
}

#[test]
fn what_sys_enter_missed_is_judged_at_an_enforcement_point() {
    let lab = Lab::new();
    let program = lab.fixture("saboteur");
    let (killed, text, totals, violations) = missed_at_sys_enter(&lab, &program, Level::Prevent);
    assert!(killed);
    assert_eq!(text, "precious");
    assert_eq!((totals.judged_at_hook, totals.violations, totals.kills), (1, 1, 1), "{totals:?}");
    let violation = &violations[0];
    assert_eq!(
        (violation.kind.context.to_string().as_str(), violation.kind.symbol.as_str()),
        ("getpriority", "open")
    );

    // Without enforcement points it is not judged at all, only what follows it: the looks above can fail.
    let (_, text, totals, violations) = missed_at_sys_enter(&lab, &program, Level::Kill);
    assert_eq!((text.as_str(), totals.judged_at_hook), ("", 0));
    assert!(violations.iter().all(|v| v.kind.symbol != "open"), "{violations:?}");
}
