//! The ids under which bpf(2) hands out what is loaded: self-protection knows its own by them.

use super::skeleton::types;
use libbpf_rs::libbpf_sys::{bpf_link_info, bpf_map_info, bpf_obj_get_info_by_fd, bpf_prog_info};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// A map.
pub(super) fn map(fd: BorrowedFd<'_>) -> io::Result<types::sysfsm_object> {
    let info: bpf_map_info = info(fd)?;
    Ok(types::sysfsm_object { kind: 0, id: info.id })
}

/// A program.
pub(super) fn program(fd: BorrowedFd<'_>) -> io::Result<types::sysfsm_object> {
    let info: bpf_prog_info = info(fd)?;
    Ok(types::sysfsm_object { kind: 1, id: info.id })
}

/// A link, and the program that it holds.
pub(super) fn link(fd: BorrowedFd<'_>) -> io::Result<[types::sysfsm_object; 2]> {
    let info: bpf_link_info = info(fd)?;
    Ok([types::sysfsm_object { kind: 2, id: info.id }, types::sysfsm_object { kind: 1, id: info.prog_id }])
}

/// One of libbpf's info structures: of integers only, so that zeros are a value.
trait Info: Default {}
impl Info for bpf_map_info {}
impl Info for bpf_prog_info {}
impl Info for bpf_link_info {}

fn info<T: Info>(fd: BorrowedFd<'_>) -> io::Result<T> {
    let mut info = T::default();
    let mut size = u32::try_from(size_of::<T>()).unwrap_or(0);
    // SAFETY: the kernel writes at most `size` bytes, those of a structure that any bytes are a value of.
    let result = unsafe { bpf_obj_get_info_by_fd(fd.as_raw_fd(), (&raw mut info).cast(), &raw mut size) };
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    Ok(info)
}
