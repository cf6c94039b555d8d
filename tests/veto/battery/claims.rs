//! What the product says of calls is what the battery tries.

use std::collections::BTreeSet;
use sysfsm::kernel::{fully_denied, uncovered, Level};
use sysfsm_fixtures::battery::call::Abi;
use sysfsm_fixtures::battery::table;

/// A hook is said to refuse a call in full only where the battery has tried the call, and nothing
/// of it is left open.
#[test]
fn what_hooks_are_said_to_refuse_has_been_tried() {
    let open: BTreeSet<&str> = uncovered(Level::Contain).map(|open| open.effect).collect();
    let mut refused = BTreeSet::new();
    let mut left = BTreeSet::new();
    for attack in table::all().iter().filter(|attack| attack.abi == Abi::Native) {
        let call = super::call(attack).unwrap();
        if open.contains(attack.name().as_str()) {
            left.insert(call)
        } else {
            refused.insert(call)
        };
    }
    let untried: Vec<&str> = fully_denied().filter(|call| !refused.contains(call)).collect();
    let open: Vec<&str> = fully_denied().filter(|call| left.contains(call)).collect();
    assert!(untried.is_empty() && open.is_empty(), "untried: {untried:?}, open: {open:?}");
}

#[test]
fn what_is_left_open_has_an_attack() {
    let attacks: BTreeSet<String> = table::all().iter().map(table::Attack::name).collect();
    let without: Vec<_> =
        uncovered(Level::Contain).filter(|open| !attacks.contains(open.effect)).collect();
    assert!(without.is_empty(), "{without:?}");
}
