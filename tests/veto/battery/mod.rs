//! The battery: every attack of tests/programs/src/bin/battery is attempted once, and its effect is
//! looked for from outside: without enforcement, where each must have it, so that each look is
//! known to be able to fail; under `kill`; and under `deny`, by one attacker that sees EPERM every
//! time and then ends well.
//!
//! It sets clocks and names, mounts and takes over whatever it can: it runs in the guests of
//! tests/vm alone, which say by `BATTERY_LEVEL` what level their kernel has to reach.

#![allow(unsafe_code)]

mod modes;
mod scene;

use std::collections::BTreeSet;
use sysfsm_fixtures::battery::table::{self, Attack};
use sysfsm_testing::lab::Lab;

/// The attacks that level `contain` does not keep from their effect, each with its reason. At most
/// one in twenty.
const CONTAIN_EXCEPTIONS: &[(&str, &str)] = &[
    ("vmsplice-pipe", "no LSM hook is asked: fs/splice.c, vmsplice_to_pipe"),
    ("tee-pipe", "no LSM hook is asked: fs/splice.c, link_pipe"),
    ("splice-pipes", "no LSM hook is asked: fs/splice.c, splice_pipe_to_pipe"),
    ("i386:tee-pipe", "as tee-pipe"),
    ("i386:splice-pipes", "as splice-pipes"),
];

/// The attacks that level `prevent` does not keep from their effect, each with its reason.
const PREVENT_EXCEPTIONS: &[(&str, &str)] = &[
    ("i386:tee-pipe", "and the kernel lets no program guard __ia32_sys_tee"),
    ("i386:splice-pipes", "and the kernel lets no program guard __ia32_sys_splice"),
];

/// The attacks that a level does not keep from their effect.
fn exceptions(level: &str) -> BTreeSet<String> {
    let all = match level {
        "prevent" => PREVENT_EXCEPTIONS,
        "contain" => CONTAIN_EXCEPTIONS,
        _ => &[],
    };
    all.iter().map(|(name, _)| (*name).to_string()).collect()
}

/// How many calls a kernel may not have.
const MISSING: usize = 2;

#[test]
fn every_attack_of_the_battery() {
    let wanted =
        std::env::var("BATTERY_LEVEL").expect("BATTERY_LEVEL: this is for the guests of tests/vm");
    let lab = Lab::new();
    let attacks = table::all();
    let names: BTreeSet<String> = attacks.iter().map(Attack::name).collect();
    assert_eq!(names.len(), attacks.len(), "each has a name of its own");

    let baseline = modes::baseline(&lab, &attacks);
    let (level, killed) = modes::killed(&lab, &attacks);
    // At level kill nothing can be denied.
    let excepted = exceptions(&level);
    let denied = (level != "kill")
        .then(|| modes::denied(&lab, &attacks, &level, |attack| excepted.contains(&attack.name())));
    let mut columns = vec![("baseline", &baseline), ("kill", &killed)];
    columns.extend(denied.iter().map(|(outcomes, _)| ("deny", outcomes)));

    for (index, attack) in attacks.iter().enumerate() {
        let cells: Vec<String> =
            columns.iter().map(|(_, c)| format!("{:<22}", c[index].to_string())).collect();
        eprintln!("| {:<26} {}", attack.name(), cells.join(" ").trim_end());
    }
    let mut missed = BTreeSet::new();
    for (name, column) in &columns {
        let bad: Vec<usize> = (0..attacks.len()).filter(|&i| !column[i].good).collect();
        eprintln!(
            "| {name} at level {level}: {} of {} as it should be",
            attacks.len() - bad.len(),
            attacks.len()
        );
        if *name != "baseline" {
            missed.extend(bad.iter().map(|&i| attacks[i].name()));
        }
    }

    assert_eq!(level, wanted, "the level that was reached");
    let missing = attacks
        .iter()
        .zip(&baseline)
        .filter(|(attack, outcome)| !outcome.effect && attack.optional() && outcome.good);
    assert!(missing.count() <= MISSING, "too many calls that this kernel does not have");
    assert!(baseline.iter().all(|o| o.good), "without enforcement every attack has its effect");
    if let Some((_, sequel)) = denied {
        sequel.well();
    }
    assert!(killed.iter().all(|o| o.killed), "every attacker is killed, at its forbidden call");
    if level != "kill" {
        assert_eq!(missed, excepted, "what was not refused at level {level}");
        assert!(excepted.len() * 20 <= attacks.len(), "too many exceptions");
    }
}
