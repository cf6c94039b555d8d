//! What an attacker's code does first. Nothing here allocates or calls anything before the attack's
//! own call.

use std::arch::{asm, naked_asm};
use std::ffi::CStr;
use std::ptr;

/// `mov eax, 42; ret`
const CODE: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];

/// A page of the program's own data.
#[repr(align(4096))]
struct Page([u8; 4096]);

/// Runs the attack; whether it had its effect. Some do not come back.
pub fn run(name: &str, argument: &str) -> bool {
    match name {
        "shell" => shell(),
        "connect-back" => connect_back(argument),
        "write-file" => write_file(argument),
        "mprotect-code" => mprotect_code(),
        "mmap-code" => mmap_code(),
        "ptrace" => ptrace(),
        "kill-other" => kill_other(),
        "int80" => int80(),
        "x32" => x32(),
        "stray-sigreturn" => stray_sigreturn(),
        "unknown-call" => unknown_call(),
        _ => false,
    }
}

/// Says so, and ends the process at once.
pub fn ran_through() -> ! {
    let text = b"ran through\n";
    // SAFETY: the text is as long as it is said to be.
    unsafe {
        libc::write(1, text.as_ptr().cast(), text.len());
        libc::_exit(42)
    }
}

fn shell() -> bool {
    let arguments =
        [c"sh".as_ptr(), c"-c".as_ptr(), c"echo ran through; exit 42".as_ptr(), ptr::null()];
    // SAFETY: the arguments are C strings, and the array of them ends with a null.
    unsafe { libc::execve(c"/bin/sh".as_ptr(), arguments.as_ptr(), ptr::null()) == 0 }
}

/// To the port of 127.0.0.1 that a listener of the attacker's has.
fn connect_back(port: &str) -> bool {
    let Ok(port) = port.parse::<u16>() else { return false };
    let address = libc::sockaddr_in {
        sin_family: 2, // AF_INET
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    // SAFETY: the address is as long as it is said to be.
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        libc::connect(socket, (&raw const address).cast(), 16) == 0
    }
}

fn write_file(path: &str) -> bool {
    let mut bytes = [0_u8; 200];
    let Some(slot) = bytes.get_mut(..path.len()) else { return false };
    slot.copy_from_slice(path.as_bytes());
    let Ok(path) = CStr::from_bytes_until_nul(&bytes) else { return false };
    // SAFETY: the path is a C string, the text is as long as it is said to be.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600);
        libc::write(file, b"pwned\n".as_ptr().cast(), 6) == 6
    }
}

/// # Safety
/// `at` is the start of a page that may be written and executed.
unsafe fn run_code(at: *mut u8) -> bool {
    // SAFETY: the page has room for the code, which is a function of this kind.
    let code: extern "C" fn() -> i32 = unsafe {
        ptr::copy_nonoverlapping(CODE.as_ptr(), at, CODE.len());
        std::mem::transmute(at)
    };
    code() == 42
}

fn mprotect_code() -> bool {
    static mut PAGE: Page = Page([0; 4096]);
    let page = &raw mut PAGE;
    // SAFETY: the page is nobody else's.
    unsafe {
        // Where it lies, so that the compiler keeps it.
        let at = (&raw mut (*page).0).cast::<u8>();
        libc::mprotect(at.cast(), 4096, libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC) == 0
            && run_code(at)
    }
}

fn mmap_code() -> bool {
    let access = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
    // SAFETY: a new mapping, executed only where there is one.
    unsafe {
        let at = libc::mmap(
            ptr::null_mut(),
            4096,
            access,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        at != libc::MAP_FAILED && run_code(at.cast())
    }
}

/// Has the parent trace it: the only ptrace that needs no second process.
fn ptrace() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0 }
}

/// Signal 0: asks whether it could.
fn kill_other() -> bool {
    // SAFETY: no memory is involved.
    unsafe { libc::kill(1, 0) == 0 }
}

/// getpid by the 32-bit ABI. Its number there, 20, is writev in the 64-bit table.
fn int80() -> bool {
    let pid: i64;
    // SAFETY: the call takes nothing and touches nothing but eax; the entry clears r8 to r11.
    unsafe {
        asm!("int 0x80", inlateout("rax") 20_i64 => pid,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    pid > 0
}

/// getpid by the x32 ABI; few kernels have it, and the number is foreign to all of them.
fn x32() -> bool {
    // SAFETY: no memory is involved.
    let got = unsafe { libc::syscall(0x4000_0000 + libc::SYS_getpid) };
    got > 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
}

fn unknown_call() -> bool {
    // SAFETY: the kernel has no such call.
    unsafe { libc::syscall(4000) == -1 }
}

/// Returns from a handler that nobody entered, into a frame that the attacker has prepared: every
/// register is theirs.
fn stray_sigreturn() -> bool {
    const REGISTERS: usize = 23;
    static mut STACK: [u128; 4096] = [0; 4096];
    // SAFETY: all zeros are a valid context; what matters of it is set below.
    let mut frame: libc::ucontext_t = unsafe { std::mem::zeroed() };
    frame.uc_stack.ss_flags = libc::SS_DISABLE;
    let mut registers = [0_i64; REGISTERS];
    let mut set = |register: i32, value: i64| {
        if let Some(slot) = usize::try_from(register).ok().and_then(|r| registers.get_mut(r)) {
            *slot = value;
        }
    };
    let landing: extern "C" fn() -> ! = landed;
    let stack = (&raw mut STACK).cast::<u8>().wrapping_add(4096 * 16 - 8);
    set(libc::REG_RIP, (landing as usize).cast_signed() as i64);
    // A function expects the stack as a call leaves it.
    set(libc::REG_RSP, (stack as usize).cast_signed() as i64);
    set(libc::REG_EFL, 0x202);
    // cs, and ss at the top (arch/x86/include/asm/segment.h).
    set(libc::REG_CSGSFS, 0x33 | 0x2b << 48);
    frame.uc_mcontext.gregs = registers;
    frame.uc_flags = 0b110; // UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
                            // SAFETY: never comes back; the frame is whole.
    unsafe { sigreturn(&raw const frame) }
}

/// The kernel takes the frame from the stack pointer (`arch/x86/kernel/signal_64.c`).
#[unsafe(naked)]
unsafe extern "C" fn sigreturn(frame: *const libc::ucontext_t) -> ! {
    naked_asm!("mov rsp, rdi", "mov eax, 15", "syscall", "ud2")
}

extern "C" fn landed() -> ! {
    ran_through()
}
