//! What `behave` writes down about itself: a file that the program and the test map.
//!
//! The program writes a record before each of its calls, and at the beginning of each of its signal
//! handlers. A task of a run has a slot: a thread, or a process. The records of a slot are in the
//! order in which the task did what they say.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64};

/// How many tasks a run may have.
pub const SLOTS: usize = 32;
/// How many records a task may write.
pub const RECORDS: usize = 1024;
/// How many programs a run may exec.
pub const PROGRAMS: usize = 3;
/// The longest path, with its zero.
pub const PATH: usize = 160;

/// Where the program maps the file.
pub const TRACE: u64 = 0x1000_0000_0000;
/// The memory of the program's tasks: a region each.
pub const REGIONS: u64 = 0x2000_0000_0000;
/// The size of a region.
pub const REGION: u64 = 0x8_0000;

/// What a record says.
pub mod kind {
    /// The program has started: after an exec it has mapped the file and the regions.
    pub const START: u32 = 1;
    /// The task is about to make a call.
    pub const CALL: u32 = 2;
    /// A handler begins.
    pub const HANDLER: u32 = 3;
    /// Something that the program does not do: it is broken.
    pub const BROKEN: u32 = 4;
}

/// The field `flags` of a record.
pub mod flag {
    /// The call is by `int 0x80`.
    pub const FOREIGN: u32 = 1 << 0;
    /// An `rt_sigreturn` that ends the handler whose frame is `detail`.
    pub const RETURN: u32 = 1 << 1;
    /// A call that makes a task: `detail` is its slot.
    pub const BIRTH: u32 = 1 << 2;
    /// An exec of the program whose number is `detail`.
    pub const EXEC: u32 = 1 << 3;
    /// The handler was interrupted before its first instruction, by the one that follows.
    pub const EARLY: u32 = 1 << 4;
    /// The signal has found the thread on an alternate stack: the first or the second one.
    pub const FOUND_FIRST: u32 = 1 << 5;
    /// The second one.
    pub const FOUND_SECOND: u32 = 1 << 6;
    /// The handler runs on an alternate stack: the first or the second one.
    pub const RUNS_FIRST: u32 = 1 << 7;
    /// The second one.
    pub const RUNS_SECOND: u32 = 1 << 8;
    /// The handler has begun at the end of its alternate stack.
    pub const SWITCHES: u32 = 1 << 9;
    /// The kernel sends the signal because the frame of another one had no room.
    pub const SETUP_FAILED: u32 = 1 << 10;
    /// The interrupted call was reached, and perhaps made: the kernel makes it once more.
    pub const AT_CALL: u32 = 1 << 11;
    /// The signal is that of a privileged instruction. The kernel sends it as it sends the one of
    /// `SETUP_FAILED`.
    pub const PRIVILEGED: u32 = 1 << 12;
}

/// `pending` of a handler's record: it has interrupted no call that was yet to be made.
pub const NONE: u32 = u32::MAX;

/// A record. The assembly of `behave` knows the places of the fields.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// What it says: `kind`.
    pub kind: u32,
    /// `flag`.
    pub flags: u32,
    /// The number of a call, or of a signal.
    pub number: u32,
    /// The index of the call that a handler has interrupted before it was made.
    pub pending: u32,
    /// The stack pointer: of the call, or where the signal found the thread.
    pub pointer: u64,
    /// The frame of a handler; of calls, see `flag`.
    pub detail: u64,
    /// The processor's clock.
    pub time: u64,
    /// What the call returned.
    pub result: i64,
    /// Whether it returned.
    pub done: u32,
    /// Unused.
    pub pad: u32,
    /// The flags of a call that makes a task.
    pub more: u64,
}

/// A task.
#[repr(C)]
pub struct Slot {
    /// How many records it has written.
    pub count: AtomicU32,
    /// What it may still do.
    pub budget: AtomicI32,
    /// Its chance.
    pub random: AtomicU64,
    /// Its id, once it has asked for it.
    pub tid: AtomicI32,
    /// The slot of the process's first thread.
    pub process: AtomicU32,
    /// Where its records are.
    pub records: AtomicU64,
    /// The tag of its calls, without the index.
    pub tag: AtomicU64,
    /// The program that it runs.
    pub program: AtomicU32,
    /// Unused.
    pub pad: [u32; 3],
}

/// The file.
#[repr(C)]
pub struct Trace {
    /// The run's number, which marks its calls.
    pub run: u32,
    /// How many slots are used.
    pub used: AtomicU32,
    /// The seed.
    pub seed: u64,
    /// How many programs there are.
    pub programs: u32,
    /// Of 100 actions, how many do something else than a harmless call.
    pub wild: u32,
    /// Whether tasks are made.
    pub births: u32,
    /// How many records a task writes before it waits until it may go on.
    pub hold: u32,
    /// Whether the tasks may go on.
    pub go: AtomicU32,
    /// Unused.
    pub pad: u32,
    /// Their paths, with a zero each.
    pub paths: [[u8; PATH]; PROGRAMS],
    /// The path of this file.
    pub own: [u8; PATH],
    /// The tasks.
    pub slots: [Slot; SLOTS],
    /// What they have written.
    pub records: [[Record; RECORDS]; SLOTS],
}

/// The index in the tag of the calls that a program makes before it can write.
pub const BEFORE: u32 = 0xffff;

/// The number of the region of a slot's: neither in the slots' order nor against it.
pub const fn region(slot: u32) -> u64 {
    REGIONS + (slot as u64 * 21 % SLOTS as u64) * REGION
}

/// The stacks of a region: the thread's own, and two for signals. Each ends where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// The thread's own.
    Main,
    /// An alternate one.
    First,
    /// Another alternate one.
    Second,
}

/// The bounds of a stack in a region.
pub const fn bounds(region: u64, area: Area) -> (u64, u64) {
    let below = (region / REGION).is_multiple_of(2);
    let (from, to) = match (area, below) {
        (Area::Main, true) => (0x1000, 0x4_0000),
        (Area::First, true) => (0x4_0000, 0x6_0000),
        (Area::Second, true) => (0x6_0000, 0x8_0000),
        (Area::First, false) => (0x1000, 0x2_0000),
        (Area::Second, false) => (0x2_0000, 0x4_0000),
        (Area::Main, false) => (0x4_0000, 0x8_0000),
    };
    (region + from, region + to)
}

/// The stack that a pointer is on, in whichever region.
pub const fn area(pointer: u64) -> Area {
    let region = pointer & !(REGION - 1);
    let (first, second) = (bounds(region, Area::First), bounds(region, Area::Second));
    if pointer < REGIONS || pointer >= REGIONS + SLOTS as u64 * REGION {
        Area::Main
    } else if pointer > first.0 && pointer <= first.1 {
        Area::First
    } else if pointer > second.0 && pointer <= second.1 {
        Area::Second
    } else {
        Area::Main
    }
}
