//! The battery: every attack of tests/programs/src/bin/battery is attempted once, and its effect is
//! looked for from outside: without enforcement, where each must have it, so that each look is
//! known to be able to fail; under `kill`; and under `deny`, by one attacker that sees EPERM every
//! time and then ends well.
//!
//! It sets clocks and names, mounts and takes over whatever it can: it runs in the guests of
//! tests/vm alone, which say by `BATTERY_LEVEL` what level their kernel has to reach.

#![allow(unsafe_code)]

mod claims;
mod modes;
mod scene;

use crate::functions::of_this_kernel;
use std::collections::BTreeSet;
use sysfsm::kernel::{is_hooked, uncovered};
use sysfsm::syscall;
use sysfsm_fixtures::battery::call::Abi;
use sysfsm_fixtures::battery::table::{self, Attack};
use sysfsm_testing::lab::Lab;

/// The attacks that a level does not keep from their effect, as the product itself says.
fn left_open(level: &str) -> BTreeSet<String> {
    let level = level.parse().expect("a level");
    uncovered(level).map(|open| open.effect.to_string()).collect()
}

/// The name of a 64-bit attack's call.
fn call(attack: &Attack) -> Option<&'static str> {
    u32::try_from(attack.number()).ok().and_then(syscall::name)
}

/// Whether a level denies a 64-bit attack's call: at `prevent` any, elsewhere those of hooks.
fn is_denied(level: &str, attack: &Attack) -> bool {
    level == "prevent" || call(attack).is_some_and(is_hooked)
}

/// How many calls a kernel may not have.
const MISSING: usize = 20;

#[test]
fn every_attack_of_the_battery() {
    let wanted =
        std::env::var("BATTERY_LEVEL").expect("BATTERY_LEVEL: this is for the guests of tests/vm");
    let lab = Lab::new();
    let attacks = table::all();
    let names: BTreeSet<String> = attacks.iter().map(Attack::name).collect();
    assert_eq!(names.len(), attacks.len(), "each has a name of its own");

    let baseline = modes::baseline(&lab, &attacks);
    let (level, killed) = modes::killed(&lab, &attacks, false);
    // At level kill nothing can be denied.
    let excepted = left_open(&level);
    // What this kernel does not have cannot be refused, nor take effect.
    let has: BTreeSet<String> =
        attacks.iter().zip(&baseline).filter(|(_, o)| o.effect).map(|(a, _)| a.name()).collect();
    let denied = (level != "kill").then(|| {
        modes::denied(
            &lab,
            &attacks,
            &level,
            false,
            |attack| has.contains(&attack.name()),
            |attack| {
                attack.abi != Abi::Native
                    || !is_denied(&level, attack)
                    || excepted.contains(&attack.name())
            },
        )
    });
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
        let expected: BTreeSet<String> = excepted.intersection(&has).cloned().collect();
        let missed: BTreeSet<String> = missed.intersection(&has).cloned().collect();
        assert_eq!(
            missed, expected,
            "what took effect at level {level}, and what it says it leaves open"
        );
    }
}

/// The 64-bit calls again, each while six lawful processes make the same call all the time: the
/// kernel may leave out programs that are preempted (bpf/preempt.h).
#[test]
fn every_64_bit_attack_within_a_crowd() {
    let lab = Lab::new();
    let kernel = of_this_kernel();
    let native = || table::all().into_iter().filter(|attack| attack.abi == Abi::Native);
    let there: Vec<Attack> =
        native().filter(|a| !a.optional() || call(a).is_some_and(|c| kernel.contains(c))).collect();
    let (level, killed) = modes::killed(&lab, &there, true);
    let open = left_open(&level);
    let mut wrong = wrong(&level, "kill", &there, &killed, &open);
    let deniable: Vec<Attack> = there
        .into_iter()
        .filter(|attack| is_denied(&level, attack) && !open.contains(&attack.name()))
        .collect();
    if level != "kill" {
        let (denied, sequel) = modes::denied(&lab, &deniable, &level, true, |_| true, |_| false);
        wrong.extend(self::wrong(&level, "deny", &deniable, &denied, &open));
        sequel.well();
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What went otherwise than it should, but for the effects that the level leaves open.
fn wrong(
    level: &str,
    action: &str,
    attacks: &[Attack],
    outcomes: &[modes::Outcome],
    open: &BTreeSet<String>,
) -> Vec<String> {
    let all = attacks.iter().zip(outcomes).filter(|(attack, _)| !open.contains(&attack.name()));
    let (good, bad): (Vec<_>, Vec<_>) = all.partition(|(_, outcome)| outcome.good);
    eprintln!(
        "| {action} at level {level}, within a crowd: {} of {} as it should be",
        good.len(),
        good.len() + bad.len()
    );
    bad.into_iter()
        .map(|(attack, outcome)| format!("{action} {}: {outcome}", attack.name()))
        .collect()
}
