//! The attacks: ONE table. An entry says how the call is prepared, which call it is, and how its
//! effect is seen from outside. An entry with a number of the 32-bit table is two attacks: its
//! arguments mean the same there. One of the 32-bit table alone has arguments that do not.

use super::attacker::Attacker;
use super::call::{Abi, Call};
use super::outside::Outside;
use std::iter;

/// A call's arguments: whole numbers, the rest zeros.
macro_rules! args {
    ($($value:expr),*) => {{
        let mut all = [0_i64; 6];
        for (slot, value) in all.iter_mut().zip([$(i64::from($value)),*]) {
            *slot = value;
        }
        all
    }};
}

mod attributes;
mod files;
mod held;
mod identity;
mod memory;
mod network;
mod objects;
mod others;
mod pending;
mod processes;
pub mod reasons;
mod ring;
mod system;
mod write;

/// One entry.
pub struct Entry {
    name: &'static str,
    number: i64,
    native: bool,
    i386: Option<i64>,
    prepare: fn(&mut Attacker) -> [i64; 6],
    follow: Option<fn(&mut Attacker, i64)>,
    seen: fn(&Outside) -> bool,
    optional: bool,
    harms: bool,
    error: Option<i32>,
}

/// An entry: its name, its number in the 64-bit table, what it is prepared by (the call's
/// arguments), and whether its effect is seen.
const fn entry(
    name: &'static str,
    number: i64,
    prepare: fn(&mut Attacker) -> [i64; 6],
    seen: fn(&Outside) -> bool,
) -> Entry {
    Entry {
        name,
        number,
        native: true,
        i386: None,
        prepare,
        follow: None,
        seen,
        optional: false,
        harms: false,
        error: None,
    }
}

/// An entry by the 32-bit ABI alone: `number` is of the 32-bit table.
const fn entry_i386(
    name: &'static str,
    number: i64,
    prepare: fn(&mut Attacker) -> [i64; 6],
    seen: fn(&Outside) -> bool,
) -> Entry {
    Entry { native: false, i386: Some(number), ..entry(name, number, prepare, seen) }
}

impl Entry {
    /// Also by this number of the 32-bit table (`arch/x86/entry/syscalls/syscall_32.tbl`).
    const fn i386(mut self, number: i64) -> Self {
        self.i386 = Some(number);
        self
    }

    /// What the attacker does next, lawfully, with what the call returned.
    const fn follow(mut self, follow: fn(&mut Attacker, i64)) -> Self {
        self.follow = Some(follow);
        self
    }

    /// What it does to the helper lasts.
    const fn harms(mut self) -> Self {
        self.harms = true;
        self
    }

    /// Where a hook refuses it, the kernel turns that into this error.
    const fn error(mut self, error: i32) -> Self {
        self.error = Some(error);
        self
    }

    /// A kernel may lack it, or be told not to have it.
    const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// One attack: an entry, through one of the ABIs.
pub struct Attack {
    entry: &'static Entry,
    pub abi: Abi,
}

impl Attack {
    /// `unlink`, `i386:unlink`
    pub fn name(&self) -> String {
        match self.abi {
            Abi::Native => self.entry.name.to_string(),
            Abi::I386 => format!("i386:{}", self.entry.name),
        }
    }

    /// The number in the ABI's table.
    pub fn number(&self) -> i64 {
        match (self.abi, self.entry.i386) {
            (Abi::I386, Some(number)) => number,
            _ => self.entry.number,
        }
    }

    pub fn prepare(&self, attacker: &mut Attacker) -> Call {
        Call { number: self.number(), arguments: (self.entry.prepare)(attacker) }
    }

    pub fn follow(&self, attacker: &mut Attacker, result: i64) {
        if let Some(follow) = self.entry.follow {
            follow(attacker, result);
        }
    }

    pub fn seen(&self, outside: &Outside) -> bool {
        (self.entry.seen)(outside)
    }

    /// Whether the helper is not as it was any more.
    pub fn harms(&self) -> bool {
        self.entry.harms
    }

    /// Whether the kernel says this where the call is refused: EPERM, or an error of its own.
    pub fn is_refusal(&self, result: i64) -> bool {
        let errors = iter::once(libc::EPERM).chain(self.entry.error);
        errors.map(|error| -i64::from(error)).any(|refusal| refusal == result)
    }

    /// Whether a kernel may do without it.
    pub fn optional(&self) -> bool {
        self.entry.optional
    }
}

/// All of them; by the 32-bit ABI last.
pub fn all() -> Vec<Attack> {
    let groups = [
        files::ENTRIES,
        attributes::ENTRIES,
        write::ENTRIES,
        memory::ENTRIES,
        network::ENTRIES,
        processes::ENTRIES,
        identity::ENTRIES,
        objects::ENTRIES,
        held::ENTRIES,
        pending::ENTRIES,
        ring::ENTRIES,
        others::ENTRIES,
        system::ENTRIES,
    ];
    let entries = || groups.into_iter().flatten();
    let native = entries().filter(|e| e.native).map(|entry| Attack { entry, abi: Abi::Native });
    let i386 = entries().filter(|e| e.i386.is_some()).map(|entry| Attack { entry, abi: Abi::I386 });
    native.chain(i386).collect()
}

/// A descriptor that is relative to nothing.
const AT_FDCWD: i32 = libc::AT_FDCWD;
