//! Takes in the lines of logs: classifies each line and hands it to the interpreter, or sets it
//! aside.

use super::chunks;
use super::interpret::Interpreter;
use crate::event::{Event, EventKind, Place, Sink, Tid};
use crate::trace::syntax::body::{self, Body};
use crate::trace::syntax::colour;
use crate::trace::syntax::columns::RecentColumn;
use crate::trace::syntax::lines::RawLine;
use crate::trace::syntax::notes::{self, Notes};
use crate::trace::syntax::output::event_after_output;
use crate::trace::syntax::scan::{after, decimal, from};
use crate::trace::syntax::simple_line::{Part, SimpleLine};
use crate::trace::threads::pool::Key;
use crate::trace::threads::report::{Report, SetAside};
use crate::trace::threads::thread::Thread;
use std::io::{self, BufRead};
use std::sync::Arc;

/// Reads logs of strace, of any version and with any options, and emits their events.
///
/// Memory grows with the number of threads that live, not with the log.
///
/// ```
/// use sysfsm::event::EventKind;
/// use sysfsm::syscall::nr;
/// use sysfsm::trace::Reader;
///
/// let log = "12 execve(\"/bin/true\", [\"true\"], 0x7ffd /* 9 vars */) = 0\n\
///            12 brk(NULL <unfinished ...>\n\
///            12 <... brk resumed>) = 0x5581\n";
/// let mut events = Vec::new();
/// let mut reader = Reader::new();
/// reader.read(0, log.as_bytes(), &mut |event| events.push((event.tid, event.kind)))?;
///
/// assert_eq!(
///     events,
///     [
///         (12, EventKind::Call(nr::EXECVE)),
///         (12, EventKind::Exec("/bin/true".into())),
///         (12, EventKind::Call(nr::BRK)),
///         (12, EventKind::End), // the log ends
///     ]
/// );
/// assert_eq!((reader.report().lines, reader.report().calls), (3, 2));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Reader {
    pub(super) interpreter: Interpreter,
    notes: Notes,
    /// For lines without their colours.
    scratch: Vec<u8>,
    fast_path: Option<FastPath>,
}

/// The thread of the last line, as long as every line is a whole simple call of that thread. Most
/// lines of a log are of this kind. They need no look at the thread: each is one event.
struct FastPath {
    /// The thread's name in its lines.
    speaker: Option<Tid>,
    key: Key,
    /// The id under which the thread's events are emitted.
    tid: Tid,
    /// [`Thread::line`] and [`Thread::before`], which are stored when the fast path ends.
    line: u64,
    before: u64,
}

impl Default for Reader {
    fn default() -> Self {
        Reader::new()
    }
}

impl Reader {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Reader {
            interpreter: Interpreter::new(),
            notes: Notes::default(),
            scratch: Vec::new(),
            fast_path: None,
        }
    }

    /// What was found so far, besides the events.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.interpreter.state.report
    }

    /// Reads one log, which has a pid space of its own. All its threads end with it. `file` is the
    /// log's index in [`Place`]s.
    ///
    /// # Errors
    ///
    /// The errors of `input`. The events before the error are emitted, and the threads are ended.
    pub fn read(
        &mut self,
        file: u32,
        mut input: impl BufRead,
        sink: &mut impl FnMut(Event),
    ) -> io::Result<()> {
        self.read_log(file, &mut input, sink)
    }

    /// [`Reader::read`] without its type parameters.
    pub(super) fn read_log(
        &mut self,
        file: u32,
        input: &mut dyn BufRead,
        sink: Sink,
    ) -> io::Result<()> {
        let names = Arc::clone(&self.interpreter.names);
        let (lines, result) = chunks::for_each_line(input, &names, |raw, simple| {
            self.parsed_line(file, raw, simple, sink);
        });
        self.leave_fast_path();
        self.finish(Place { file, line: lines }, sink);
        result
    }

    /// The log, or the family of files, is over.
    pub(super) fn finish(&mut self, end: Place, sink: Sink) {
        self.interpreter.finish(end, sink);
        let counts = std::mem::take(&mut self.interpreter.counts);
        let notes = std::mem::take(&mut self.notes);
        let warning = counts.warning(end.file, notes.summary);
        self.interpreter.state.report.warnings.extend(warning);
    }

    /// Takes one line that was not parsed yet.
    pub(super) fn line(&mut self, file: u32, raw: RawLine<'_>, sink: Sink) {
        let plain = !raw.shortened && !colour::any(raw.text);
        let simple = if plain {
            SimpleLine::parse(raw.text, &self.interpreter.names, &mut RecentColumn::default())
        } else {
            None
        };
        self.take(file, raw, simple, sink);
    }

    /// Takes one line of a log. `simple`: the line as a simple one, if it is one.
    #[inline]
    fn parsed_line(&mut self, file: u32, raw: RawLine<'_>, simple: Option<SimpleLine>, sink: Sink) {
        let place = Place { file, line: raw.number };
        if let (Some(fast_path), Some(SimpleLine { tid, number, part: Part::Whole { failed } })) =
            (&mut self.fast_path, simple)
            && fast_path.speaker == tid
        {
            fast_path.before = fast_path.line;
            fast_path.line = place.line;
            let Interpreter { state, counts, .. } = &mut self.interpreter;
            state.report.lines += 1;
            state.report.calls += 1;
            counts.place = place;
            counts.simple_call(number, failed);
            sink(Event { tid: fast_path.tid, place, kind: EventKind::Call(number) });
            return;
        }
        self.leave_fast_path();
        self.take(file, raw, simple, sink);
        if let Some(SimpleLine { tid, part: Part::Whole { .. } | Part::End { .. }, .. }) = simple {
            self.enter_fast_path(tid);
        }
    }

    /// Begins the fast path of the thread that has just spoken, if the thread is in no call and
    /// none of its events has to wait.
    fn enter_fast_path(&mut self, speaker: Option<Tid>) {
        let Some(key) = self.interpreter.speaker.last_to_speak(speaker) else { return };
        let free =
            |t: &&Thread| !t.ended && t.abi.is_none() && t.open.is_none() && t.emits_at_once();
        self.fast_path = self.interpreter.state.thread(key).filter(free).map(|thread| FastPath {
            speaker,
            key,
            tid: thread.tid,
            line: thread.line,
            before: thread.before,
        });
    }

    fn leave_fast_path(&mut self) {
        let Some(fast_path) = self.fast_path.take() else { return };
        if let Some(thread) = self.interpreter.state.thread_mut(fast_path.key) {
            (thread.line, thread.before) = (fast_path.line, fast_path.before);
        }
    }

    /// Takes one line the long way. `simple`: the line as a simple one, if it is one.
    fn take(&mut self, file: u32, raw: RawLine<'_>, simple: Option<SimpleLine>, sink: Sink) {
        let place = Place { file, line: raw.number };
        self.interpreter.state.report.lines += 1;
        self.interpreter.counts.place = place;
        if let Some(simple) = simple
            && self.interpreter.simple(simple, place, sink)
        {
            self.interpreter.understood(simple.tid, raw.text);
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let text = colour::plain(raw.text, &mut scratch);
        if !self.interpreter.event_line(text, place, sink) && !self.other_line(text, place, sink) {
            let kind = match raw {
                RawLine { shortened: true, .. } => SetAside::TooLong,
                RawLine { ended: false, .. } => SetAside::Cut,
                _ => SetAside::Junk,
            };
            self.interpreter.state.report.set_aside(kind, place);
        }
        self.scratch = scratch;
    }

    /// Takes a line that does not begin as strace's lines of events do: the rest of an earlier
    /// line, a message, or an event behind the program's own output. Returns false if the line is
    /// none of these.
    fn other_line(&mut self, text: &[u8], place: Place, sink: Sink) -> bool {
        if self.interpreter.continues_partial(text, place, sink) {
            return true;
        }
        // strace up to 4.26 reports the ABI on stderr, as a message.
        if let Some(note) = text.strip_prefix(b"strace: ")
            && let Body::Mode(abi) = body::parse(note)
        {
            let pid = after(note, b"PID=").and_then(decimal);
            let tid = pid
                .and_then(|(pid, _)| Tid::try_from(pid).ok())
                .filter(|&t| self.interpreter.state.find(t).is_some());
            self.interpreter.mode(tid, abi, place, sink);
            return true;
        }
        if self.notes.is_note(text)
            || notes::bare_message(text)
            || text.iter().all(u8::is_ascii_whitespace)
        {
            if let Some(tid) = notes::attached(text) {
                self.interpreter.attached(tid, place, sink);
            }
            return true;
        }
        event_after_output(text, &self.interpreter.names)
            .is_some_and(|at| self.interpreter.event_line(from(text, at), place, sink))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::trace::syntax::lines::Lines;
    use std::path::Path;

    /// The events of a log, none of whose lines is taken for a simple one.
    fn the_long_way(text: &[u8]) -> (Vec<Event>, Report) {
        let (mut reader, mut events) = (Reader::new(), Vec::new());
        let sink = &mut |event| events.push(event);
        let mut lines = Lines::new(text);
        lines
            .each(|raw| {
                reader.take(0, raw, None, sink);
                true
            })
            .unwrap();
        reader.finish(Place { file: 0, line: lines.count() }, sink);
        (events, reader.report().clone())
    }

    fn the_quick_way(text: &[u8]) -> (Vec<Event>, Report) {
        let (mut reader, mut events) = (Reader::new(), Vec::new());
        reader.read(0, text, &mut |event| events.push(event)).unwrap();
        (events, reader.report().clone())
    }

    /// Adds every file of a folder, and of its folders.
    fn logs(folder: &Path, all: &mut Vec<Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                logs(&path, all);
            } else {
                all.push(std::fs::read(path).unwrap());
            }
        }
    }

    #[test]
    fn simple_lines_mean_what_they_mean_the_long_way() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trace");
        let mut all = Vec::new();
        logs(&tests.join("strace"), &mut all);
        logs(&tests.join("golden"), &mut all);
        assert!(all.len() > 40, "{}", all.len());
        // Whole lines of all logs in any order, which no thread could have made.
        let lines: Vec<&[u8]> =
            all.iter().flat_map(|log| log.split_inclusive(|&b| b == b'\n')).collect();
        let mut state = 1_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % below
        };
        let mixed: Vec<Vec<u8>> = (0..200)
            .map(|_| {
                let part = |_| {
                    let at = next(lines.len());
                    lines[at..lines.len().min(at + 1 + next(6))].concat()
                };
                (0..60).flat_map(part).collect()
            })
            .collect();
        for log in all.iter().chain(&mixed) {
            assert_eq!(the_quick_way(log), the_long_way(log), "{}", String::from_utf8_lossy(log));
        }
    }
}
