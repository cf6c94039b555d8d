//! Closing descriptors in the background, since closing the last one of a BPF link takes the kernel
//! long.

use nix::fcntl::OFlag;
use nix::libc::{_exit, close, read};
use nix::sys::wait::waitpid;
use nix::unistd::{fork, pipe2, setsid, ForkResult};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Closes descriptors in a process of its own, which ends then. If no process can be created, the
/// descriptors are closed here.
pub(crate) fn drop_in(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    // Closing the last descriptor of a link does the work. So the process waits until this one has
    // closed its descriptors, which is when the pipe has no writer any more.
    let Ok((closed, closing)) = pipe2(OFlag::O_CLOEXEC) else { return };
    // A reader of our output must see its end. So the process keeps nothing else open.
    let kept: Vec<RawFd> = descriptors.iter().chain([&closed]).map(AsRawFd::as_raw_fd).collect();
    let others: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .map(|entries| {
            entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
        })
        .unwrap_or_default();
    // SAFETY: up to its `_exit` the child makes only async-signal-safe calls (fork, setsid, close,
    // read), and allocates and frees nothing.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            // The child ends at once. Its own child does the work, and is adopted by init.
            let _ = waitpid(child, None);
            drop(descriptors);
            drop(closing);
        }
        Ok(ForkResult::Child) => {
            // SAFETY: as for the first fork.
            if matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
                let _ = setsid();
                for &descriptor in others.iter().filter(|fd| !kept.contains(fd)) {
                    // SAFETY: no code that owns the descriptor runs in this process any more.
                    unsafe { close(descriptor) };
                }
                let mut nothing = 0_u8;
                // SAFETY: the buffer is one byte of this stack frame.
                unsafe { read(closed.as_raw_fd(), (&raw mut nothing).cast(), 1) };
                for &descriptor in &kept {
                    // SAFETY: no code that owns the descriptor runs in this process any more.
                    unsafe { close(descriptor) };
                }
            }
            // SAFETY: the child ends without the exit handlers, which are the parent's to run.
            unsafe { _exit(0) }
        }
        Err(e) => tracing::debug!("cannot make a process that frees the enforcement points: {e}"),
    }
}
