//! Has stacks unwound, one after another, on a thread of its own: enforcement waits for nothing.

use crate::kernel::events::stack::Snapshot;
use crate::kernel::unwind::files::open_mapped;
use crate::kernel::unwind::messages::{Found, Mapped, Request, MAPPINGS};
use crate::kernel::unwind::process::{Failure, Helpers};
use nix::sys::signal::SigSet;
use std::collections::HashMap;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::sync::mpsc::{channel, sync_channel, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How many stacks may wait.
const QUEUE: usize = 512;
/// How many helpers the stacks of one policy may cost. Then no more of its stacks are read: the
/// others' would wait for them.
const DEATHS: u32 = 5;

/// A frame of the user stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackFrame {
    /// The address of the call, or the return address.
    pub address: u64,
    /// The file that is mapped there.
    pub module: Option<String>,
    /// The function's name.
    pub symbol: Option<String>,
    /// The offset from the symbol; without a symbol the address as the file has it.
    pub offset: Option<u64>,
}

/// The frames of a stack, the innermost first; or why the stack was lost.
pub type Unwound = Result<Vec<StackFrame>, String>;

/// Has stacks unwound by the helper process.
pub struct Unwinder<T> {
    requests: Option<SyncSender<(T, Snapshot)>>,
    answers: Receiver<(T, Unwound)>,
    pending: usize,
    refused: u64,
}

impl<T: Send + 'static> Unwinder<T> {
    /// Starts the helper, and the thread that asks it.
    #[must_use]
    pub fn start() -> Self {
        let (requests, asked) = sync_channel::<(T, Snapshot)>(QUEUE);
        let (answer, answers) = channel();
        // The thread ends with the process, or when the unwinder is dropped, and the helper with
        // the thread.
        drop(thread::Builder::new().name("unwinder".into()).spawn(move || {
            // Signals are for the thread that polls: they end its waits.
            if let Err(e) = SigSet::all().thread_block() {
                tracing::debug!("cannot block signals: {e}");
            }
            let mut reader = StackReader::default();
            if let Err(failure) = reader.helpers.start() {
                tracing::debug!("{failure}");
            }
            for (tag, snapshot) in asked {
                if answer.send((tag, reader.unwind(&snapshot))).is_err() {
                    break;
                }
            }
        }));
        Unwinder { requests: Some(requests), answers, pending: 0, refused: 0 }
    }

    /// Asks for the frames of a stack. The answer has this tag. Where too many wait there is none.
    pub fn ask(&mut self, tag: T, snapshot: Snapshot) {
        let sent = self.requests.as_ref().is_some_and(|q| q.try_send((tag, snapshot)).is_ok());
        self.pending += usize::from(sent);
        self.refused += u64::from(!sent);
    }

    /// The answers so far, each with its tag.
    pub fn answers(&mut self) -> Vec<(T, Unwound)> {
        let found: Vec<_> = self.answers.try_iter().collect();
        self.pending -= found.len();
        found
    }

    /// The answers to everything that was asked, as far as they come before `patience` is over.
    pub fn finish(&mut self, patience: Duration) -> Vec<(T, Unwound)> {
        self.requests = None;
        let deadline = Instant::now() + patience;
        let mut found = Vec::new();
        while self.pending > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(answer) = self.answers.recv_timeout(left) else { break };
            found.push(answer);
            self.pending -= 1;
        }
        self.refused += self.pending as u64;
        self.pending = 0;
        found
    }

    /// How many stacks have no answer: too many waited, or the end came.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Reads stacks by the helper.
#[derive(Default)]
struct StackReader {
    helpers: Helpers,
    /// By policy, how many helpers its stacks have cost.
    deaths: HashMap<u32, u32>,
}

impl StackReader {
    fn unwind(&mut self, snapshot: &Snapshot) -> Unwound {
        let deaths = self.deaths.entry(snapshot.policy).or_default();
        if *deaths >= DEATHS {
            return Err(format!("stacks of this policy have cost {DEATHS} helper processes"));
        }
        let (request, files) = request(snapshot);
        let descriptors: Vec<RawFd> = files.iter().map(OwnedFd::as_raw_fd).collect();
        let answer = self.helpers.ask(&request.message(), &descriptors).and_then(|message| {
            let frames = request.answer(&message);
            if frames.is_none() {
                // Whatever it is by now, it is no helper.
                self.helpers.end();
            }
            frames.ok_or(Failure::Nonsense)
        });
        match answer {
            Ok(frames) => Ok(frames.into_iter().map(|f| frame(snapshot, &request, f)).collect()),
            Err(failure) => {
                *deaths += u32::from(!matches!(failure, Failure::NotStarted(_)));
                Err(failure.to_string())
            }
        }
    }
}

/// What the helper is asked, with the files.
fn request(snapshot: &Snapshot) -> (Request, Vec<OwnedFd>) {
    let mut files = Vec::new();
    let mappings = snapshot
        .reached()
        .into_iter()
        .take(MAPPINGS)
        .map(|mapping| {
            let file = open_mapped(snapshot.pid, mapping).map(|(file, size)| {
                files.push(file);
                size
            });
            Mapped { addresses: mapping.addresses.clone(), offset: mapping.offset, file }
        })
        .collect();
    let (ip, sp, bp) = (snapshot.ip, snapshot.sp, snapshot.bp);
    (Request { ip, sp, bp, mappings, stack: snapshot.bytes.clone() }, files)
}

/// A frame of an answer. The module's path is not the helper's.
fn frame(snapshot: &Snapshot, request: &Request, found: Found) -> StackFrame {
    let mapped = found.mapping.and_then(|index| request.mappings.get(index));
    let module = mapped.and_then(|mapped| {
        let mapping = snapshot.mappings.iter().find(|m| m.addresses == mapped.addresses)?;
        Some(mapping.path.clone())
    });
    StackFrame { address: found.address, module, symbol: found.symbol, offset: found.offset }
}
