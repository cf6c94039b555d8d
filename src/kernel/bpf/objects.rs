//! BPF objects of any kind: their ids, by which self-protection knows its own; pinning and opening
//! them; and reading what an iterator finds.

use crate::kernel::bpf::skeleton::types::{self, sysfsm_object_kind as Kind};
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use libbpf_rs::libbpf_sys::{
    bpf_iter_create, bpf_link_get_fd_by_id, bpf_link_info, bpf_map_info, bpf_obj_get,
    bpf_obj_get_info_by_fd, bpf_obj_pin, bpf_prog_info,
};
use plain::Plain;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The kind and id of a map.
///
/// # Errors
/// The descriptor is no map's.
pub(crate) fn map(fd: BorrowedFd<'_>) -> io::Result<types::sysfsm_object> {
    let info: bpf_map_info = info(fd)?;
    Ok(types::sysfsm_object { kind: Kind::SYSFSM_MAP.0, id: info.id })
}

/// The kind and id of a program.
///
/// # Errors
/// The descriptor is no program's.
pub(crate) fn program(fd: BorrowedFd<'_>) -> io::Result<types::sysfsm_object> {
    let info: bpf_prog_info = info(fd)?;
    Ok(types::sysfsm_object { kind: Kind::SYSFSM_PROGRAM.0, id: info.id })
}

/// The kind and id of a link, and those of its program.
///
/// # Errors
/// The descriptor is no link's.
pub(crate) fn link(fd: BorrowedFd<'_>) -> io::Result<[types::sysfsm_object; 2]> {
    let info: bpf_link_info = info(fd)?;
    Ok([
        types::sysfsm_object { kind: Kind::SYSFSM_LINK.0, id: info.id },
        types::sysfsm_object { kind: Kind::SYSFSM_PROGRAM.0, id: info.prog_id },
    ])
}

/// Whether there is a link with this id.
pub(crate) fn link_exists(id: u32) -> bool {
    // SAFETY: the call takes a number, and touches no memory of ours.
    owned(unsafe { bpf_link_get_fd_by_id(id) }).is_ok()
}

/// Pins an object at a path in a bpf file system.
///
/// # Errors
/// The path exists, is in no bpf file system, or has no directory.
pub(crate) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a zero byte, and lives until the call returns.
    let result = unsafe { bpf_obj_pin(object.as_raw_fd(), path.as_ptr()) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(())
}

/// The object that is pinned at a path.
///
/// # Errors
/// Nothing is pinned there, or it may not be opened.
pub(crate) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends with a zero byte, and lives until the call returns.
    owned(unsafe { bpf_obj_get(path.as_ptr()) })
}

/// Runs an iterator, by its link, and returns all that its program writes. `program` is its name,
/// for errors.
///
/// # Errors
/// [`KernelError::Iterate`].
pub(crate) fn iterate(link: BorrowedFd<'_>, program: &'static str) -> Result<Vec<u8>, KernelError> {
    let failed = |cause| KernelError::Iterate { program, cause };
    // SAFETY: the call takes an open descriptor, and touches no memory of ours.
    let iterator = owned(unsafe { bpf_iter_create(link.as_raw_fd()) }).map_err(failed)?;
    let mut bytes = Vec::new();
    File::from(iterator).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Runs an iterator, by its link, and returns the records that its program writes. `program` is its
/// name, for errors.
///
/// # Errors
/// [`KernelError::Iterate`].
pub(crate) fn records<T: Plain + Default>(
    link: BorrowedFd<'_>,
    program: &'static str,
) -> Result<Vec<T>, KernelError> {
    let bytes = iterate(link, program)?;
    Ok(bytes.chunks_exact(size_of::<T>()).filter_map(wire::record).collect())
}

/// The descriptor that a call of libbpf has returned, or the error that a negative result is.
pub(crate) fn owned(result: RawFd) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    // SAFETY: libbpf has just opened the descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// An info structure of bpf(2). It has only integers, so that any bytes are a value.
trait Info: Default {}
impl Info for bpf_map_info {}
impl Info for bpf_prog_info {}
impl Info for bpf_link_info {}

/// The info structure of an object.
fn info<T: Info>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = T::default();
    let mut size = u32::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes, which is the size of the structure, and any
    // bytes are a value of it.
    let result =
        unsafe { bpf_obj_get_info_by_fd(fd.as_raw_fd(), (&raw mut info).cast(), &raw mut size) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(info)
}
