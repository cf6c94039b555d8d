//! Processes that do nothing but make one call, so that the kernel often preempts them in the programs
//! on the call's function.

use super::call::lawful;
use std::process::ExitCode;

/// How many.
const CROWD: usize = 6;

/// Calls that end the process, wait, make others, or last, whatever their arguments are.
const NOT_FOR_A_CROWD: [i64; 7] = [
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fork,
    libc::SYS_pause,
    libc::SYS_rt_sigreturn,
    libc::SYS_vfork,
    libc::SYS_vhangup,
];

/// Makes the call with arguments that no call takes, until it is killed, as are its children then.
pub fn run(number: i64) -> ExitCode {
    let number = if NOT_FOR_A_CROWD.contains(&number) { libc::SYS_getppid } else { number };
    for _ in 1..CROWD {
        // SAFETY: the process has one thread, so that its copy may do anything.
        if unsafe { libc::fork() } == 0 {
            // SAFETY: the call takes numbers.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            spin(number);
        }
    }
    println!("ready");
    spin(number)
}

fn spin(number: i64) -> ! {
    loop {
        lawful(number, [-1; 6]);
    }
}
