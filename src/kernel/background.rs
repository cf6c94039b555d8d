//! Work that would keep its caller waiting.

use nix::libc::{_exit, close};
use nix::sys::wait::waitpid;
use nix::unistd::{fork, setsid, ForkResult};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Closes descriptors in a process of its own, which ends when it has. If none can be made, they are closed here.
pub(super) fn drop_in(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    // Who reads our output must see its end, so that the process holds nothing else open.
    let kept: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let others: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .map(|entries| entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    // SAFETY: up to its `_exit` the child does what is async-signal-safe only (fork, setsid, close), and allocates and
    // frees nothing.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            // At once: its child does the work, and is nobody's to wait for.
            let _ = waitpid(child, None);
            drop(descriptors);
        }
        Ok(ForkResult::Child) => {
            // SAFETY: as above.
            if matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
                let _ = setsid();
                let others = others.iter().filter(|fd| !kept.contains(fd));
                for &descriptor in others.chain(&kept) {
                    // SAFETY: no code that owns it runs in this process any more.
                    unsafe { close(descriptor) };
                }
            }
            // SAFETY: what the parent has left to do at its exit is not to be done twice.
            unsafe { _exit(0) }
        }
        Err(e) => tracing::debug!("cannot make a process that frees the choke points: {e}"),
    }
}
