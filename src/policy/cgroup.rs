//! The path of a cgroup that a policy is for, or whose runs are recorded.

use crate::text::{shown, UntrustedText};

/// How many levels a named cgroup may be below the highest one, and how many bytes its path may
/// have: the kernel's side has no room for more (`bpf/sysfsm.h`, compared in `kernel/header.rs`).
pub(crate) const MAX_CGROUP_LEVELS: usize = 15;
pub(crate) const MAX_CGROUP_PATH: usize = 256;

/// Checks the path of a cgroup in the hierarchy of version 2.
///
/// # Errors
/// What is wrong with it, and a hint.
pub fn cgroup_path(path: &str) -> Result<UntrustedText, (String, String)> {
    let parts = || path.split('/').skip(1);
    let named =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
    if path != "/" && (!path.starts_with('/') || !parts().all(named)) {
        return Err((
            format!("`{}` is no cgroup's path", shown(path)),
            "write its path below /sys/fs/cgroup, as in \"/system.slice/nginx.service\"".into(),
        ));
    }
    let (levels, bytes) = (parts().count(), path.len());
    if levels > MAX_CGROUP_LEVELS || bytes > MAX_CGROUP_PATH {
        return Err((
            format!("`{}` is {levels} levels deep, and has {bytes} bytes", shown(path)),
            format!(
                "name one above it, at most {MAX_CGROUP_LEVELS} levels deep and of {MAX_CGROUP_PATH} \
                 bytes: what is below belongs to it"
            ),
        ));
    }
    Ok(path.into())
}
