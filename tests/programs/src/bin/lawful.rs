//! A program whose lawful work must not suffer from what the kernel does to its calls, or from a
//! denial of one of them.
//!
//! usage: lawful probes               functions of its own are traced, by a uprobe and a uretprobe; how often each
//!                                    was hit
//!        lawful forge NUMBER         makes a call that only the kernel makes
//!        lawful exec FORM PATH...    execs PATH with PATH... as its arguments; FORM: execve, execveat, empty (an
//!                                    execveat by descriptor), thread (by execve), thread-at
//!        lawful core                 a denied call, and a crash
//!        lawful pending CALL         a read of `io_uring`'s is pending meanwhile: mkdir, splice, i386:tee; what the
//!                                    call returned, and what the read
//!        lawful retry COUNT          as many denied calls; how many were made
//!        lawful first                the machine's first process: one forbidden call, then lawful ones
//!        lawful policy               prints a policy of this program's, under which all calls are lawful but one
//!                                    after the marker

#![allow(unsafe_code, clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

use libc::{c_long, syscall};
use std::arch::naked_asm;
use std::ffi::CString;
use std::fs;
use std::hint::{black_box, spin_loop};
use std::io::{self, Error, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::ptr;
use std::time::{Duration, Instant};
use sysfsm_fixtures::battery::call::{between_markers, Abi, Call};
use sysfsm_fixtures::ring::Ring;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["probes"] => probes(),
        ["forge", number] => forge(number.parse().unwrap()),
        ["exec", form, path @ ..] => exec(form, path),
        ["core"] => core(),
        ["pending", call] => pending(call),
        ["retry", count] => retry(count.parse().unwrap()),
        ["first"] => first(),
        ["policy"] => policy(),
        _ => panic!("usage: lawful probes|forge NUMBER|exec FORM PATH...|core|pending CALL|retry COUNT|first|policy"),
    }
}

/// The error of a call's result, 0 for none.
fn errno(result: c_long) -> i32 {
    if result < 0 {
        Error::last_os_error().raw_os_error().unwrap_or(-1)
    } else {
        0
    }
}

/// Begins with a nop of five bytes, the place of which the kernel may put a call to its trampoline
/// into (Linux 6.18, `arch_uprobe_optimize`).
#[unsafe(naked)]
extern "C" fn traced() {
    naked_asm!("nop dword ptr [rax + rax]", "ret")
}

/// Where a function lies in the file of this program.
fn offset(function: usize) -> u64 {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let function = function as u64;
    let found = maps.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let (begin, end) = fields.next()?.split_once('-')?;
        let from = fields.nth(1)?;
        (hex(begin)..hex(end)).contains(&function).then(|| function - hex(begin) + hex(from))
    });
    found.unwrap()
}

/// Traces a function of this thread: by perf, so that nothing is left behind.
fn probe(path: &CString, offset: u64, at_return: bool) -> OwnedFd {
    let kind = fs::read_to_string("/sys/bus/event_source/devices/uprobe/type").unwrap();
    let kind: u32 = kind.trim().parse().unwrap();
    // struct perf_event_attr: type, size; config; config1 and config2 are the path and the offset.
    let mut attributes = [0_u64; 16];
    attributes[0] = u64::from(kind) | 128 << 32;
    attributes[1] = at_return.into();
    attributes[7] = path.as_ptr() as u64;
    attributes[8] = offset;
    // SAFETY: the kernel reads the structure, and the path, which live until it returns.
    let opened =
        unsafe { syscall(libc::SYS_perf_event_open, attributes.as_ptr(), 0, -1, -1, 0_u64) };
    assert!(opened >= 0, "perf_event_open: {}", Error::last_os_error());
    // SAFETY: the kernel has just opened it for us.
    unsafe { OwnedFd::from_raw_fd(opened.try_into().unwrap()) }
}

fn hits(probe: &OwnedFd) -> u64 {
    let mut count = 0_u64;
    // SAFETY: it is read into the number that it is.
    let read = unsafe { libc::read(probe.as_raw_fd(), (&raw mut count).cast(), 8) };
    assert_eq!(read, 8);
    count
}

fn probes() {
    let path = CString::new(fs::read_link("/proc/self/exe").unwrap().to_str().unwrap()).unwrap();
    let offset = offset(traced as *const () as usize);
    let probes = [probe(&path, offset, false), probe(&path, offset, true)];
    for _ in 0..10 {
        black_box(traced)();
    }
    println!("{} {}", hits(&probes[0]), hits(&probes[1]));
}

fn forge(number: c_long) {
    // SAFETY: the call has no arguments, and its trampoline is not there.
    let result = unsafe { syscall(number) };
    println!("{}", errno(result));
}

fn exec(form: &str, path: &[&str]) {
    let arguments: Vec<CString> = path.iter().map(|word| CString::new(*word).unwrap()).collect();
    let mut pointers: Vec<_> = arguments.iter().map(|word| word.as_ptr() as usize).collect();
    pointers.push(0);
    let there = arguments[0].as_ptr() as usize;
    let vector = pointers.as_ptr() as usize;
    let nothing = c"".as_ptr() as usize;
    // SAFETY: the strings and the vector live until the call has read them: whoever execs waits for
    // the call.
    let execve = move || unsafe { syscall(libc::SYS_execve, there, vector, 0) };
    // SAFETY: as above.
    let at = move |descriptor: i32, path: usize, flags: i32| unsafe {
        syscall(libc::SYS_execveat, descriptor, path, vector, 0, flags)
    };
    let result = match form {
        "execve" => execve(),
        "execveat" => at(libc::AT_FDCWD, there, 0),
        "empty" => {
            let file = fs::File::open(path[0]).unwrap();
            at(file.as_raw_fd(), nothing, libc::AT_EMPTY_PATH)
        }
        "thread" => std::thread::spawn(execve).join().unwrap(),
        "thread-at" => std::thread::spawn(move || at(libc::AT_FDCWD, there, 0)).join().unwrap(),
        _ => panic!("no such form"),
    };
    panic!("{form}: {result} {}", Error::last_os_error());
}

/// The marker, then what may not follow it.
fn forbidden(path: &CString) -> c_long {
    // SAFETY: the marker takes numbers, and the path lives until the call returns.
    unsafe {
        syscall(libc::SYS_getpriority, 0, 0);
        syscall(libc::SYS_mkdir, path.as_ptr(), 0o700)
    }
}

/// What may follow the marker.
fn lawful() {
    // SAFETY: it takes a number.
    unsafe { syscall(libc::SYS_getpgid, 0) };
}

fn core() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the kernel reads the limit. Without the handler of Rust's own a fault is the end.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const unlimited);
        libc::signal(libc::SIGSEGV, libc::SIG_DFL);
    }
    let path = CString::new("forbidden").unwrap();
    forbidden(&path);
    // SAFETY: it is what is to be tried: no memory is there.
    unsafe { black_box(ptr::null_mut::<u8>()).write_volatile(1) };
}

fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    // SAFETY: it writes the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    ends
}

/// A call that is denied, while a read of `io_uring`'s is pending that ends before the next call.
fn pending(call: &str) {
    let [input, output] = pipe();
    let (full, empty) = (pipe(), pipe());
    let mut ring = Ring::new(4).unwrap();
    // SAFETY: the writer makes lawful calls, and ends.
    unsafe {
        libc::write(full[1], c"data".as_ptr().cast(), 4);
        if libc::fork() == 0 {
            libc::usleep(300_000);
            libc::write(output, c"x".as_ptr().cast(), 1);
            libc::_exit(0);
        }
    }
    let mut byte = 0_u8;
    ring.read(input, &raw mut byte);
    // Written before, as a call in between would end the denial.
    println!("begun");
    io::stdout().flush().unwrap();
    let path = CString::new("forbidden").unwrap();
    let result = match call {
        "mkdir" => {
            let failed = forbidden(&path);
            i64::from(-errno(failed))
        }
        // SAFETY: it takes numbers.
        "splice" => unsafe {
            syscall(libc::SYS_getpriority, 0, 0);
            syscall(libc::SYS_splice, full[0], 0, empty[1], 0, 1, 0)
        },
        "i386:tee" => {
            let arguments = [full[0].into(), empty[1].into(), 4, 0, 0, 0];
            between_markers(Abi::I386, &Call { number: 315, arguments })
        }
        _ => panic!("no such call"),
    };
    let begun = Instant::now();
    let read = loop {
        match ring.result() {
            Some(result) => break result,
            None if begun.elapsed() > Duration::from_secs(20) => break -1000,
            None => spin_loop(),
        }
    };
    lawful();
    println!("{result} {read}");
}

fn retry(count: u32) {
    let path = CString::new("forbidden").unwrap();
    for _ in 0..count {
        assert_eq!(errno(forbidden(&path)), libc::EPERM);
        lawful();
    }
    println!("{count}");
}

/// Ends the machine, as no other process is there to do that: `VERDICT first` says how it went.
fn first() {
    let begun = Instant::now();
    let path = CString::new("/scratch/forbidden").unwrap();
    // It has its effect at level kill.
    let refused = forbidden(&path);
    lawful();
    let made = fs::create_dir("/scratch/lawful");
    // SAFETY: the child ends at once, and its status is not asked for.
    let reaped = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        libc::waitpid(child, ptr::null_mut(), 0) == child
    };
    let again = forbidden(&path);
    lawful();
    let wrote = fs::write("/scratch/lawful/file", "lawful");
    let well = made.is_ok() && reaped && wrote.is_ok() && std::process::id() == 1;
    println!("| the first process: {refused} {made:?} {reaped} {again} {wrote:?}");
    println!("VERDICT first {} {}", i32::from(!well), begun.elapsed().as_secs());
    println!("DONE");
    io::stdout().flush().unwrap();
    // SAFETY: nothing is left to be written.
    unsafe { libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF) };
}

fn policy() {
    let names: Vec<String> =
        (0..1024).filter_map(sysfsm::syscall::name).map(|name| format!("\"{name}\"")).collect();
    let rows: Vec<String> = names
        .iter()
        .map(|context| match context.as_str() {
            "\"getpriority\"" => format!("{context}: [\"getpgid\"]"),
            _ => format!("{context}: [{}]", names.join(",")),
        })
        .collect();
    println!(
        "{{\"sysfsm\": 1, \"binary\": \"{}\", \"depth\": 2, \"transitions\": {{{}}}}}",
        fs::read_link("/proc/self/exe").unwrap().display(),
        rows.join(",")
    );
}
