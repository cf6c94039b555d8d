//! What the helper gives up before it reads anything that others wrote. None of it comes back.

use nix::errno::Errno;
use nix::libc;
use nix::sys::prctl;
use nix::sys::resource::{setrlimit, Resource};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::{getppid, setgroups, setresgid, setresuid, Gid, Uid};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

/// The user and group that nothing belongs to.
const NOBODY: u32 = 65534;
/// The most memory of the helper's own, in bytes.
const MEMORY: u64 = 128 << 20;
/// The most addresses. Mapped files take most of them.
const ADDRESSES: u64 = 2 << 30;
/// The most seconds of a processor's time in the helper's life.
const SECONDS: u64 = 120;
/// The most descriptors: the standard ones, and those of a request.
const DESCRIPTORS: u64 = 256;

/// Gives up all that is not needed to answer requests from `agent`.
///
/// # Errors
/// Something could not be given up. The caller must end then.
pub(super) fn enter(agent: impl AsFd) -> io::Result<()> {
    // A terminal's signals are for the agent, and so is the end of a service.
    SigSet::all().thread_block()?;
    close_others()?;
    limit()?;
    drop_bounding_set();
    leave_user();
    drop_capabilities()?;
    prctl::set_no_new_privs()?;
    // Nobody but root may trace it, and it leaves no core.
    prctl::set_dumpable(false)?;
    // Not before the user is another one: a change of credentials clears it (commit_creds,
    // kernel/cred.c).
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getsockopt(&agent, PeerCredentials)?.pid() != getppid().as_raw() {
        return Err(io::Error::other("the agent has ended"));
    }
    install(&filter().map_err(io::Error::other)?)
}

fn checked(result: i64) -> io::Result<()> {
    Errno::result(result)?;
    Ok(())
}

/// Closes everything but the standard descriptors.
fn close_others() -> io::Result<()> {
    // SAFETY: nothing of this process has opened a descriptor that it still uses.
    checked(unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) })
}

fn limit() -> io::Result<()> {
    for (resource, most) in [
        (Resource::RLIMIT_DATA, MEMORY),
        (Resource::RLIMIT_AS, ADDRESSES),
        (Resource::RLIMIT_CPU, SECONDS),
        (Resource::RLIMIT_NOFILE, DESCRIPTORS),
        (Resource::RLIMIT_NPROC, 0),
        (Resource::RLIMIT_FSIZE, 0),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
    ] {
        setrlimit(resource, most, most)?;
    }
    Ok(())
}

/// Drops what an exec could give, where that is allowed. There is no exec any more.
fn drop_bounding_set() {
    // The kernel has fewer than 64 capabilities, and knows no others (EINVAL).
    for capability in 0..64 {
        // SAFETY: no memory is passed.
        let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Becomes nobody, where that is allowed: an agent in a service may lack the capabilities for it.
/// Then the user stays, and has nothing but its files, which the filter keeps from it.
fn leave_user() {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    let left = setgroups(&[])
        .and_then(|()| setresgid(group, group, group))
        .and_then(|()| setresuid(user, user, user));
    if let Err(error) = left {
        tracing::debug!("the helper keeps its user: {error}");
    }
}

/// Drops all capabilities.
fn drop_capabilities() -> io::Result<()> {
    // As in linux/capability.h, for version 3: a thread's sets have 64 bits, in two parts.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [[0_u32; 3]; 2];
    // SAFETY: the kernel reads the two structs.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) })?;
    // SAFETY: no memory is passed.
    Errno::result(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    })?;
    Ok(())
}

/// The calls that are left: to receive a request, to map its files, to answer, to end. Any other
/// one ends the process.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let argument = |index, bits, value| {
        let masked = SeccompCmpOp::MaskedEq(bits);
        SeccompCondition::new(index, SeccompCmpArgLen::Qword, masked, value)
    };
    // Private memory that can be no code.
    let code = libc::PROT_EXEC as u64;
    let shared = libc::MAP_SHARED as u64;
    let map = SeccompRule::new(vec![argument(2, code, 0)?, argument(3, shared, 0)?])?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = [
        libc::SYS_recvmsg,
        libc::SYS_sendmsg,
        libc::SYS_close,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_brk,
        libc::SYS_madvise,
        // Hash maps are seeded.
        libc::SYS_getrandom,
        libc::SYS_exit_group,
    ]
    .into_iter()
    .map(|call| (call, Vec::new()))
    .collect();
    rules.insert(libc::SYS_mmap, vec![map]);
    // A debug build looks whether what it closes is open.
    let looks = SeccompRule::new(vec![argument(1, u64::MAX, libc::F_GETFD as u64)?])?;
    rules.insert(libc::SYS_fcntl, vec![looks]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::KillProcess,
        SeccompAction::Allow,
        TargetArch::x86_64,
    )?;
    filter.try_into()
}

/// Installs a filter by prctl(2): seccomp(2) is not among the calls that services are left with.
fn install(filter: &BpfProgram) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(io::Error::other)?,
        filter: filter.as_ptr().cast_mut().cast(),
    };
    // SAFETY: the kernel copies the program, whose instructions are struct sock_filter.
    Errno::result(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    })?;
    Ok(())
}
