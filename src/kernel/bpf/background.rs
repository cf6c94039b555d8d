//! Work that would keep its caller waiting.

use nix::fcntl::OFlag;
use nix::libc::{_exit, close, read};
use nix::sys::wait::waitpid;
use nix::unistd::{fork, pipe2, setsid, ForkResult};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Closes descriptors in a process of its own, which ends when it has. If none can be made, they
/// are closed here.
pub(crate) fn drop_in(descriptors: Vec<OwnedFd>) {
    if descriptors.is_empty() {
        return;
    }
    // Whoever closes last does the work, so that the process waits for us to have closed: until the
    // pipe has no writer.
    let Ok((closed, closing)) = pipe2(OFlag::O_CLOEXEC) else { return };
    // Who reads our output must see its end, so that the process holds nothing else open.
    let kept: Vec<RawFd> = descriptors.iter().chain([&closed]).map(AsRawFd::as_raw_fd).collect();
    let others: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .map(|entries| {
            entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
        })
        .unwrap_or_default();
    // SAFETY: up to its `_exit` the child does what is async-signal-safe only (fork, setsid, close,
    // read), and allocates and frees nothing.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            // At once: its child does the work, and is nobody's to wait for.
            let _ = waitpid(child, None);
            drop(descriptors);
            drop(closing);
        }
        Ok(ForkResult::Child) => {
            // SAFETY: as above.
            if matches!(unsafe { fork() }, Ok(ForkResult::Child)) {
                let _ = setsid();
                for &descriptor in others.iter().filter(|fd| !kept.contains(fd)) {
                    // SAFETY: no code that owns it runs in this process any more.
                    unsafe { close(descriptor) };
                }
                let mut nothing = 0_u8;
                // SAFETY: one byte, which is ours.
                unsafe { read(closed.as_raw_fd(), (&raw mut nothing).cast(), 1) };
                for &descriptor in &kept {
                    // SAFETY: as above.
                    unsafe { close(descriptor) };
                }
            }
            // SAFETY: what the parent has left to do at its exit is not to be done twice.
            unsafe { _exit(0) }
        }
        Err(e) => tracing::debug!("cannot make a process that frees the enforcement points: {e}"),
    }
}
