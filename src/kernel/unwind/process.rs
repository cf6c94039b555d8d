//! The helper process, as the agent has it: started, asked, and ended when it does not answer.

use crate::kernel::unwind::helper::SUBCOMMAND;
use crate::kernel::unwind::messages::MESSAGE;
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{
    recv, sendmsg, socketpair, AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType,
    UnixAddr,
};
use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long the helper may take for a stack.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a helper that was killed may take to end before others are waited for. One that waits
/// for a disk ends when the disk has answered.
const DEATH: Duration = Duration::from_millis(200);
/// How many stacks a helper is asked for. Then another one takes its place: whatever a file has
/// made of it ends with it.
const STACKS: u32 = 1000;
/// The most helpers that were killed and have not ended.
const DYING: usize = 4;

/// Why a stack could not be read.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no helper.
    NotStarted(io::Error),
    /// The helper took too long, and was killed.
    TimedOut,
    /// The helper has ended.
    Ended(Option<ExitStatus>),
    /// What the helper answered is no answer.
    Nonsense,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotStarted(error) => write!(f, "the helper process does not start: {error}"),
            Failure::TimedOut => write!(f, "the helper process took over {PATIENCE:?}"),
            Failure::Ended(Some(status)) => write!(f, "the helper process has ended: {status}"),
            Failure::Ended(None) => write!(f, "the helper process has ended"),
            Failure::Nonsense => write!(f, "the helper process gave no answer to what was asked"),
        }
    }
}

/// A helper that runs. It is killed when it is dropped.
struct Helper {
    child: Child,
    socket: OwnedFd,
    asked: u32,
}

impl Helper {
    fn start() -> io::Result<Self> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        // The very file that this process runs, whatever is at its path by now.
        let child = Command::new("/proc/self/exe")
            .arg0("sysfsm")
            .arg(SUBCOMMAND)
            .env_clear()
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Helper { child, socket: ours, asked: 0 })
    }

    /// Sends a message with files. It does not wait: the helper reads before it answers, so that
    /// there is room.
    fn send(&self, message: &[u8], files: &[RawFd]) -> nix::Result<()> {
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        let rights = [ControlMessage::ScmRights(files)];
        let control = if files.is_empty() { &[] } else { &rights[..] };
        let parts = [IoSlice::new(message)];
        sendmsg::<UnixAddr>(self.socket.as_raw_fd(), &parts, control, flags, None)?;
        Ok(())
    }

    /// Waits for the answer.
    fn receive(&self) -> Result<Vec<u8>, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, timeout) {
                Ok(0) => return Err(Failure::TimedOut),
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        let mut message = vec![0; MESSAGE];
        let flags = MsgFlags::MSG_DONTWAIT;
        match recv(self.socket.as_raw_fd(), &mut message, flags) {
            Ok(0) | Err(_) => Err(Failure::Ended(None)),
            Ok(length) => {
                message.truncate(length);
                Ok(message)
            }
        }
    }
}

/// The helper, and the next ones after it.
#[derive(Default)]
pub(super) struct Helpers {
    current: Option<Helper>,
    /// Those that were killed, and have not ended.
    dying: Vec<Child>,
}

impl Helpers {
    /// Starts a helper, if there is none.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        if self.current.as_ref().is_some_and(|helper| helper.asked >= STACKS) {
            self.end();
        }
        if self.current.is_none() {
            self.dying.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if self.dying.len() >= DYING {
                let what = format!("{DYING} that were killed have not ended");
                return Err(Failure::NotStarted(io::Error::other(what)));
            }
            self.current = Some(Helper::start().map_err(Failure::NotStarted)?);
        }
        Ok(())
    }

    /// Asks for something, and waits for the answer as long as a stack may take.
    ///
    /// # Errors
    /// There is no answer. The helper was ended then.
    pub(super) fn ask(&mut self, message: &[u8], files: &[RawFd]) -> Result<Vec<u8>, Failure> {
        self.start()?;
        if self.current.as_ref().is_some_and(|helper| helper.send(message, files).is_err()) {
            // It has ended since it answered the last time: this stack has nothing to do with it.
            self.end();
            self.start()?;
            let sent = self.current.as_ref().map(|helper| helper.send(message, files));
            if sent != Some(Ok(())) {
                return Err(Failure::Ended(self.end()));
            }
        }
        let Some(helper) = &mut self.current else { return Err(Failure::Ended(None)) };
        helper.asked += 1;
        match helper.receive() {
            Err(Failure::Ended(_)) => Err(Failure::Ended(self.end())),
            Err(failure) => {
                self.end();
                Err(failure)
            }
            answer => answer,
        }
    }

    /// Ends the helper. How it has ended, if it did by itself.
    pub(super) fn end(&mut self) -> Option<ExitStatus> {
        let Helper { mut child, socket, .. } = self.current.take()?;
        // By itself it ends at once, or never.
        drop(socket);
        let mut status = wait(&mut child, DEATH);
        if status.is_none() {
            drop(child.kill());
            if wait(&mut child, DEATH).is_none() {
                self.dying.push(child);
            }
        }
        status.take()
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.end();
    }
}

/// How a process has ended, if it has after so long.
fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
            Ok(status) => return status,
            Err(_) => return None,
        }
    }
}
