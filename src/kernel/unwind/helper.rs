//! The helper process: it receives stacks and files, and answers with frames.

use crate::kernel::unwind::frames::frames;
use crate::kernel::unwind::messages::{Request, MAPPINGS, MESSAGE};
use crate::kernel::unwind::sandbox;
use nix::cmsg_space;
use nix::libc;
use nix::sys::socket::{
    getsockopt, recvmsg, sendmsg, sockopt, ControlMessageOwned, MsgFlags, SockType, UnixAddr,
};
use std::convert::Infallible;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// The subcommand by which the agent starts this process.
pub const SUBCOMMAND: &str = "unwind-stacks";

/// Answers requests from the socket that is the standard input, until the other end is closed.
///
/// # Errors
/// There is no such socket, or the privileges of this process cannot be given up. A request that
/// cannot be answered ends the process.
pub fn run() -> io::Result<Infallible> {
    let input = io::stdin();
    let socket = input.as_fd();
    if getsockopt(&socket, sockopt::SockType)? != SockType::SeqPacket {
        return Err(io::Error::other("the standard input is no socket of an agent's"));
    }
    sandbox::enter(socket)?;
    let answered = answer_all(socket);
    // SAFETY: it ends the process at once. What the end of a process does else is not allowed here.
    unsafe { libc::_exit(i32::from(answered.is_err())) }
}

fn answer_all(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut message = vec![0; MESSAGE];
    loop {
        let (length, files) = receive(socket, &mut message)?;
        if length == 0 {
            return Ok(());
        }
        let request = message.get(..length).and_then(Request::parse);
        let request = request.ok_or_else(|| io::Error::other("no request"))?;
        let answer = serde_json::to_vec(&frames(&request, files))?;
        let parts = [IoSlice::new(&answer)];
        sendmsg::<UnixAddr>(socket.as_raw_fd(), &parts, &[], MsgFlags::MSG_NOSIGNAL, None)?;
    }
}

/// Receives a message: its length, and the files that come with it.
fn receive(socket: BorrowedFd<'_>, message: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; MAPPINGS]);
    let mut parts = [IoSliceMut::new(message)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
    let mut files = Vec::new();
    for control in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            // SAFETY: the kernel has just made these descriptors for this process.
            files.extend(descriptors.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((received.bytes, files))
}
