//! What a task knows: its slot in the file, which all tasks share, and the beginning of its region.

use crate::stubs::{behave_call, behave_int80, behave_mark, Call, Mark};
use std::arch::asm;
use std::cell::Cell;
use std::sync::atomic::Ordering::Relaxed;
use sysfsm_fixtures::behaviour::{
    flag, kind, region, Record, Slot, Trace, NONE, RECORDS, REGION, TRACE,
};

/// How many marks there may be at once.
pub const MARKS: usize = 40;

/// The beginning of a task's region. A child with memory of its own keeps its creator's. Handlers
/// change it at any time.
#[repr(C)]
pub struct Thread {
    pub slot: Cell<u32>,
    /// How many handlers the task is in.
    pub level: Cell<u64>,
    /// How many of these have interrupted a call before it was made.
    pub interrupted: Cell<u64>,
    /// To how many handlers faults are nested at once.
    pub dive: Cell<u64>,
    /// How many marks there are.
    pub marked: Cell<u64>,
    marks: [Cell<Mark>; MARKS],
}

/// A call without a record.
pub unsafe fn raw(number: i64, arguments: [u64; 6]) -> i64 {
    let result;
    // SAFETY: the caller's.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") arguments[0],
             in("rsi") arguments[1], in("rdx") arguments[2], in("r10") arguments[3],
             in("r8") arguments[4], in("r9") arguments[5], out("rcx") _, out("r11") _);
    }
    result
}

pub fn stack_pointer() -> u64 {
    let pointer;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) pointer) };
    pointer
}

pub fn trace() -> &'static Trace {
    // SAFETY: mapped at the start.
    unsafe { &*(TRACE as *const Trace) }
}

impl Thread {
    /// The task that runs on this stack.
    pub fn here() -> &'static Self {
        Thread::of(stack_pointer())
    }

    /// The task of a stack.
    pub fn of(pointer: u64) -> &'static Self {
        // SAFETY: all stacks are in regions, and a region is of one task.
        unsafe { &*((pointer & !(REGION - 1)) as *const Thread) }
    }

    /// A task begins in its own region.
    pub fn init(slot: u32) {
        let thread = Thread::of(region(slot));
        thread.slot.set(slot);
        for zero in [&thread.level, &thread.interrupted, &thread.dive, &thread.marked] {
            zero.set(0);
        }
    }

    pub fn region(&self) -> u64 {
        std::ptr::from_ref(self) as u64
    }

    pub fn slot(&self) -> &'static Slot {
        &trace().slots[self.slot.get() as usize]
    }

    /// Calls `run`, and comes back when it has ended or was left by a jump to the mark. False: there
    /// is no room for a mark.
    pub fn mark(&self, run: extern "C" fn(u64), argument: u64) -> bool {
        let marked = self.marked.get();
        let Some(mark) = self.marks.get(marked as usize) else { return false };
        let (registers, pointer) = ([0; 6], 0);
        let (level, interrupted) = (self.level.get(), self.interrupted.get());
        mark.set(Mark { registers, pointer, level, interrupted });
        // SAFETY: the mark stays until `marked` is set back.
        unsafe {
            behave_mark(mark.as_ptr(), run, argument, self.marked.as_ptr(), marked + 1);
        }
        self.marked.set(marked);
        true
    }

    /// The stack pointer of each mark.
    pub fn marked_pointers(&self) -> impl Iterator<Item = u64> + '_ {
        self.marks.iter().take(self.marked.get() as usize).map(|mark| mark.get().pointer)
    }

    /// Makes a mark the last one, since the task goes on there.
    pub fn back_to(&self, which: u64) -> *const Mark {
        let mark = &self.marks[which as usize];
        self.marked.set(which + 1);
        self.level.set(mark.get().level);
        self.interrupted.set(mark.get().interrupted);
        mark.as_ptr()
    }

    /// A number below `n`.
    pub fn below(&self, n: u64) -> u64 {
        let slot = self.slot();
        // xorshift64*: a handler in between does no harm.
        let mut x = slot.random.load(Relaxed);
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        slot.random.store(x, Relaxed);
        (x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    pub fn chance(&self, of_100: u64) -> bool {
        self.below(100) < of_100
    }

    /// Takes one action of the budget; whether there was one.
    pub fn may_act(&self) -> bool {
        let slot = self.slot();
        slot.count.load(Relaxed) < RECORDS as u32 - 128 && slot.budget.fetch_sub(1, Relaxed) > 0
    }

    /// A record that is no call's. Nothing interrupts the handler that writes it.
    pub fn record(&self, record: Record) {
        let index = self.slot().count.fetch_add(1, Relaxed);
        let records = self.slot().records.load(Relaxed) as *mut Record;
        // SAFETY: the index is this record's alone, and in bounds: `may_act`.
        unsafe { *records.add(index as usize) = record };
    }

    pub fn call(&self, number: i64, arguments: &[u64]) -> i64 {
        self.call_for(number, arguments, 0, 0)
    }

    pub fn call_for(&self, number: i64, arguments: &[u64], flags: u32, detail: u64) -> i64 {
        let deeper = if self.chance(20) { self.below(64) * 16 } else { 0 };
        let call = call(number, arguments, flags, detail, deeper);
        // SAFETY: what the call does is the caller's.
        unsafe { behave_call(&raw const call, self.slot()) }
    }

    pub fn int80(&self, number: i64) -> i64 {
        let call = call(number, &[], flag::FOREIGN, 0, 0);
        // SAFETY: the call takes no arguments.
        unsafe { behave_int80(&raw const call, self.slot()) }
    }

    /// The program does what it does not do: the test says so.
    pub fn broken(&self, number: u32, detail: u64) -> ! {
        self.record(record(kind::BROKEN, number, 0, detail));
        loop {
            // SAFETY: ends the process.
            unsafe { raw(libc::SYS_exit_group, [99, 0, 0, 0, 0, 0]) };
        }
    }
}

pub fn call(number: i64, arguments: &[u64], flags: u32, detail: u64, deeper: u64) -> Call {
    let at = |i: usize| arguments.get(i).copied().unwrap_or(0);
    Call {
        number: number as u64,
        arguments: [at(0), at(1), at(2), at(3), at(4)],
        flags: u64::from(flags),
        detail,
        more: 0,
        deeper,
    }
}

pub fn record(kind: u32, number: u32, pointer: u64, detail: u64) -> Record {
    // SAFETY: reads a register.
    let time = unsafe { std::arch::x86_64::_rdtsc() };
    Record {
        kind,
        flags: 0,
        number,
        pending: NONE,
        pointer,
        detail,
        time,
        result: 0,
        done: 0,
        pad: 0,
        more: 0,
    }
}
