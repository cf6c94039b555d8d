//! Interprets the lines of one log: which call enters, which returns, and what that makes of the
//! threads.

use super::log_counts::LogCounts;
use crate::event::{EventKind, Place, Sink, Tid};
use crate::syscall::{nr, Abi};
use crate::trace::syntax::args::{exec_path, sharing, Sharing};
use crate::trace::syntax::body::{self, Body, SIGSEGV};
use crate::trace::syntax::columns::{self, Columns};
use crate::trace::syntax::dispositions::sigaction;
use crate::trace::syntax::ending::{child, failed, value, Ending};
use crate::trace::syntax::names::{NameTable, Named};
use crate::trace::syntax::notes;
use crate::trace::syntax::simple_line::{Part, SimpleLine};
use crate::trace::threads::pool::Key;
use crate::trace::threads::report::{SetAside, WarningKind};
use crate::trace::threads::speaker::{Speaker, NAMELESS};
use crate::trace::threads::state::State;
use crate::trace::threads::thread::{CallKind, OpenCall};
use std::sync::Arc;

/// What is known of the log that is being read, or of the family of files.
pub(super) struct Interpreter {
    pub state: State,
    pub speaker: Speaker,
    pub counts: LogCounts,
    pub names: Arc<NameTable>,
    /// The last line that had no end, as long as its rest may still come.
    partial: Option<PartialLine>,
    /// In a family of files: the thread whose exec ended this file's thread. The rest of the file
    /// belongs to that thread.
    pub superseded_by: Option<Tid>,
}

/// A line without an end, whose rest may come in a later line.
#[derive(Debug, Clone, Copy)]
enum PartialLine {
    /// The line of this thread's open call.
    Call(Key),
    /// The line of a call that ended its thread. The rest says nothing new.
    Exit,
}

impl Interpreter {
    pub(super) fn new() -> Self {
        Interpreter {
            state: State::new(),
            speaker: Speaker::default(),
            counts: LogCounts::default(),
            names: Arc::new(NameTable::new()),
            partial: None,
            superseded_by: None,
        }
    }

    /// The log, or the family of files, is over: its threads end, and the next log starts afresh.
    pub(super) fn finish(&mut self, end: Place, sink: Sink) {
        self.report_cut_calls();
        self.state.finish(end, sink);
        self.speaker.reset();
        self.partial = None;
        self.superseded_by = None;
    }

    /// A line was understood. `tid` is the thread that the line names, if it names one.
    pub(super) fn understood(&mut self, tid: Option<Tid>, text: &[u8]) {
        if tid.is_some() {
            self.state.named = true;
            self.speaker.column |= text.first().is_some_and(u8::is_ascii_digit);
        }
    }

    /// Interprets a simple line. Returns false if the line's meaning depends on more than its
    /// [`SimpleLine`]; then the thread was looked up, and nothing else has happened.
    pub(super) fn simple(&mut self, simple: SimpleLine, place: Place, sink: Sink) -> bool {
        let SimpleLine { tid, number, part } = simple;
        let named = Named::Number(number);
        let resumed = if let Part::End { .. } = part { Some(named) } else { None };
        let key = self.speaker.thread_of(&mut self.state, tid, resumed, place, sink);
        let Some(thread) = self.state.threads.get_mut(key) else { return false };
        match part {
            Part::Whole { .. } | Part::Beginning if thread.abi.is_some() => return false,
            // The thread's last call has no result.
            Part::Whole { .. } | Part::Beginning if thread.open.is_some() => {
                self.leave_open(key, sink);
            }
            Part::Whole { .. } | Part::Beginning => {}
            Part::End { failed } => {
                let same = matches!(&thread.open, Some(open) if open.named == named);
                if same {
                    thread.open = None;
                    self.counts.failures += u64::from(failed);
                }
                return same;
            }
        }
        self.counts.call_enters(named, &mut self.state.from_start);
        self.state.report.calls += 1;
        let Some(thread) = self.state.threads.get_mut(key) else { return false };
        match part {
            Part::Whole { failed } | Part::End { failed } => {
                self.counts.failures += u64::from(failed);
            }
            Part::Beginning => {
                thread.open = Some(OpenCall { named, kind: CallKind::Plain, place, cut: false });
                thread.becomes = None;
                self.partial = Some(PartialLine::Call(key));
            }
        }
        self.state.emit(key, EventKind::Call(number), place, sink);
        true
    }

    /// Interprets a line that begins as strace's lines of events do. Returns false for any other
    /// line; then nothing has happened.
    pub(super) fn event_line(&mut self, text: &[u8], place: Place, sink: Sink) -> bool {
        let Columns { tid, body } = columns::split(text);
        match body::parse(body) {
            Body::Call { name, x32, rest } => {
                if !self.call(tid, name, x32, rest, place, sink) {
                    return false;
                }
            }
            Body::Resumed { name, rest } => self.resumed(tid, name, rest, place, sink),
            Body::Signal(signal) => {
                let key = self.speaker.thread_of(&mut self.state, tid, None, place, sink);
                self.state.deliver(key, signal, false, place, sink);
            }
            Body::KernelSegv => {
                let key = self.speaker.thread_of(&mut self.state, tid, None, place, sink);
                self.state.deliver(key, SIGSEGV, true, place, sink);
            }
            Body::Stopped => {}
            Body::Exited => self.thread_gone(tid, true, place, sink),
            Body::Killed => self.thread_gone(tid, false, place, sink),
            Body::Superseded(by) => self.leader_superseded(tid, by, place, sink),
            Body::Mode(abi) => self.mode(tid, abi, place, sink),
            Body::Mark => self.mend_partial(),
            Body::Other => return false,
        }
        self.understood(tid, text);
        true
    }

    /// A call enters, by `name(rest`. Returns false if the line is no call after all.
    fn call(
        &mut self,
        tid: Option<Tid>,
        name: &[u8],
        x32: bool,
        rest: &[u8],
        place: Place,
        sink: Sink,
    ) -> bool {
        let named = self.names.look_up(name);
        let ending = Ending::of(rest);
        if ending == Ending::None {
            // The program's own output may look like a call: `time(s): 3`.
            let stray = self.speaker.column && tid.is_none() && self.speaker.only.is_none();
            if named == Named::Unknown || stray {
                return false;
            }
        } else if named == Named::Unknown && name.iter().any(u8::is_ascii_uppercase) {
            return false;
        }
        let key = self.speaker.thread_of(&mut self.state, tid, None, place, sink);
        self.leave_open(key, sink);
        let abi = if x32 { Some(Abi::X32) } else { self.state.thread(key).and_then(|t| t.abi) };
        if named == Named::Number(nr::RT_SIGRETURN) || name == b"sigreturn" {
            self.state.return_from_handler(key, sink);
        }
        let event = self.entry(named, name, abi, place);
        self.counts.call_enters(named, &mut self.state.from_start);
        self.state.emit(key, event, place, sink);
        let args = match ending {
            Ending::Result { args, .. } | Ending::Open { args, .. } => args,
            Ending::None => rest,
        };
        // An exit call that has a result did not exit: strace's fault injection or a seccomp filter
        // prevented it.
        let stays = matches!(ending, Ending::Result { result, .. } if !result.starts_with(b"?"));
        if let (Named::Number(number @ (nr::EXIT | nr::EXIT_GROUP)), false) = (named, stays) {
            self.state.exit(key, number == nr::EXIT_GROUP, place, sink);
            if ending == Ending::None {
                self.line_is_partial(PartialLine::Exit, rest, place, sink);
            }
            return true;
        }
        let kind = call_kind(named, name, args);
        if let (CallKind::Plain, Ending::Result { result, .. }) = (&kind, ending) {
            self.counts.failures += u64::from(failed(result));
            return true;
        }
        let makes_child = matches!(kind, CallKind::Clone { .. });
        if let Some(thread) = self.state.thread_mut(key) {
            thread.open = Some(OpenCall { named, kind, place, cut: ending == Ending::None });
            if let Ending::Open { pid, .. } = ending {
                thread.becomes = pid;
            }
        }
        if makes_child {
            self.state.enters_clone(key);
        }
        match ending {
            Ending::Result { result, .. } => self.complete(key, None, result, place, sink),
            Ending::Open { .. } => self.partial = Some(PartialLine::Call(key)),
            Ending::None => self.line_is_partial(PartialLine::Call(key), rest, place, sink),
        }
        true
    }

    /// A line has no end. A message of strace's may have interrupted the line and stand behind it.
    fn line_is_partial(&mut self, partial: PartialLine, rest: &[u8], place: Place, sink: Sink) {
        self.partial = Some(partial);
        if let Some(tid) = notes::attached(rest) {
            self.attached(tid, place, sink);
        }
    }

    /// The event of a call's entry. The report counts the call, or what is unusual about it.
    fn entry(&mut self, named: Named, name: &[u8], abi: Option<Abi>, place: Place) -> EventKind {
        let text = || -> Arc<str> { String::from_utf8_lossy(name).as_ref().into() };
        let report = &mut self.state.report;
        match (abi, named) {
            (None, Named::Number(number)) => {
                report.calls += 1;
                EventKind::Call(number)
            }
            (None, Named::Unknown) => {
                report.set_aside(SetAside::UnknownCall, place);
                EventKind::Unknown(text())
            }
            (Some(Abi::X32), _) => EventKind::Foreign(Abi::X32, text()),
            (None, Named::Only32) | (Some(Abi::I386), _) => {
                report.warn(WarningKind::ThirtyTwoBit, place);
                EventKind::Foreign(Abi::I386, text())
            }
        }
    }

    /// A new call enters, so that the thread's open call, if there is one, has no result.
    fn leave_open(&mut self, key: Key, sink: Sink) {
        let Some(open) = self.state.thread(key).and_then(|t| t.open.as_ref()) else { return };
        if open.cut {
            let place = open.place;
            self.state.report.set_aside(SetAside::Cut, place);
        }
        self.state.close_call(key, sink);
    }

    /// The thread's open call has returned. `late` are the arguments that strace printed only at
    /// the return.
    fn complete(&mut self, key: Key, late: Option<&[u8]>, result: &[u8], place: Place, sink: Sink) {
        self.counts.failures += u64::from(failed(result));
        let Some(open) = self.state.thread_mut(key).and_then(|t| t.open.as_mut()) else { return };
        match &mut open.kind {
            CallKind::Exec(path) if value(result) == Some(0) => {
                let path = std::mem::take(path);
                self.state.close_call(key, sink);
                self.exec(key, &path, place, sink);
                return;
            }
            CallKind::Clone { .. } => {
                if let Some(tid) = child(result) {
                    self.state.returns_child(key, tid, late.and_then(sharing), place, sink);
                    return;
                }
                // The thread is killed inside of the call, and the child may live.
                if result == b"?" {
                    return;
                }
            }
            CallKind::Sigaction(Some((signal, action))) if value(result) == Some(0) => {
                let (signal, action) = (*signal, *action);
                self.state.set_action(key, signal, action);
            }
            CallKind::Plain | CallKind::Exec(_) | CallKind::Sigaction(_) => {}
        }
        self.state.close_call(key, sink);
    }

    /// An exec has succeeded. An empty `path`: the log does not say which binary.
    fn exec(&mut self, key: Key, path: &[u8], place: Place, sink: Sink) {
        self.counts.execs += 1;
        if path.is_empty() {
            self.state.report.warn(WarningKind::NamelessExec, place);
        }
        self.state.exec(key, path, place, sink);
    }

    /// A call goes on: `<... name resumed>rest`.
    fn resumed(&mut self, tid: Option<Tid>, name: &[u8], rest: &[u8], place: Place, sink: Sink) {
        let named = self.names.look_up(name);
        let ending = Ending::of(rest);
        // A thread that exits ended when its exit call entered.
        if matches!(named, Named::Number(nr::EXIT | nr::EXIT_GROUP)) {
            if ending == Ending::None {
                self.line_is_partial(PartialLine::Exit, rest, place, sink);
            }
            return;
        }
        let execs = matches!(named, Named::Number(nr::EXECVE | nr::EXECVEAT));
        let mut key = self.speaker.thread_of(&mut self.state, tid, Some(named), place, sink);
        let same = |o: &OpenCall| o.named == named || name == b"???";
        if !self.state.thread(key).and_then(|t| t.open.as_ref()).is_some_and(same) {
            // The exec of a thread that is not the leader returns under the leader's id. With -q no
            // line says so before.
            let sibling = self.state.thread(key).map(|t| t.group).and_then(|group| {
                let mut threads = self.state.threads.iter();
                threads
                    .find(|(_, t)| execs && t.group == group && t.in_exec() && !t.ended)
                    .map(|(k, _)| k)
            });
            let leader = self.state.thread(key).map_or(0, |t| t.tid);
            let Some(sibling) = sibling else {
                self.no_beginning(key, name, execs, ending, place, sink);
                return;
            };
            self.state.rename(sibling, leader, place, sink);
            key = sibling;
        }
        match ending {
            Ending::Result { args, result } => self.complete(key, Some(args), result, place, sink),
            Ending::Open { .. } => {}
            Ending::None => {
                if let Some(open) = self.state.thread_mut(key).and_then(|t| t.open.as_mut()) {
                    open.cut = true;
                }
                self.line_is_partial(PartialLine::Call(key), rest, place, sink);
            }
        }
    }

    /// A call goes on whose beginning the log does not have. What the thread did before is not
    /// known.
    fn no_beginning(
        &mut self,
        key: Key,
        name: &[u8],
        execs: bool,
        ending: Ending<'_>,
        place: Place,
        sink: Sink,
    ) {
        self.state.report.set_aside(SetAside::NoBeginning, place);
        self.state.report.warn(WarningKind::NoBeginning, place);
        self.state.close_call(key, sink);
        let known = self.state.thread(key).is_some_and(|t| t.first != place);
        if known {
            self.state.emit(
                key,
                EventKind::Unknown(String::from_utf8_lossy(name).as_ref().into()),
                place,
                sink,
            );
        }
        if let Ending::Result { result, .. } = ending
            && execs
            && value(result) == Some(0)
        {
            self.exec(key, b"", place, sink);
        }
    }

    /// A thread is gone: `+++ exited` or `+++ killed`. A thread that made its exit call ended
    /// before.
    fn thread_gone(&mut self, tid: Option<Tid>, exited: bool, place: Place, sink: Sink) {
        let key = match self.speaker.only.or(tid) {
            Some(tid) => {
                self.state.exited.retain(|&t| t != tid);
                self.state.find(tid)
            }
            None if self.state.exited.pop_back().is_some() => None,
            None => Speaker::sole_speaker(&self.state, None),
        };
        let Some(key) = key else { return };
        if exited {
            self.state.check_exit(key, place);
        }
        if let Some(thread) = self.state.thread_mut(key)
            && let Some(open) = thread.open.as_mut()
        {
            open.cut = false;
        }
        self.state.may_leave_child(key, place, sink);
        self.state.end(key, place, sink);
    }

    /// `+++ superseded by execve in pid BY +++`: the leader is gone, and the thread `by` goes on
    /// under the leader's id.
    fn leader_superseded(&mut self, tid: Option<Tid>, by: Tid, place: Place, sink: Sink) {
        let survivor = self.state.find(by);
        if let Some(only) = self.speaker.only {
            self.superseded_by = Some(by);
            if let Some(leader) = self.state.find(only) {
                self.state.end(leader, place, sink);
            }
            return;
        }
        let Some(key) = survivor else { return };
        // On stderr the line may not name the leader: it is the last thread.
        let leader = tid.or_else(|| {
            let thread = self.state.thread(key)?;
            thread.becomes.or_else(|| self.state.groups.get(thread.group).map(|g| g.leader))
        });
        self.state.rename(key, leader.unwrap_or(NAMELESS), place, sink);
        if let Some(open) = self.state.thread_mut(key).and_then(|t| t.open.as_mut()) {
            open.cut = false;
        }
    }

    /// The thread's calls are made through this ABI from now on. `None`: the 64-bit one.
    pub(super) fn mode(&mut self, tid: Option<Tid>, abi: Option<Abi>, place: Place, sink: Sink) {
        let key = self.speaker.thread_of(&mut self.state, tid, None, place, sink);
        if let Some(thread) = self.state.thread_mut(key) {
            thread.abi = abi;
        }
    }

    /// strace says that it traces a thread from now on.
    pub(super) fn attached(&mut self, tid: Tid, place: Place, sink: Sink) {
        if self.speaker.only.is_some() {
            return;
        }
        let key = match self.state.find(tid) {
            Some(key) => key,
            None if self.state.clones.len() == 1 => self.state.newcomer(tid, place, sink),
            None => return,
        };
        if let Some(thread) = self.state.thread_mut(key) {
            thread.spoke = true;
        }
    }

    /// strace marks the partial line as one that goes on later, so that the line is not cut.
    fn mend_partial(&mut self) {
        if let Some(PartialLine::Call(key)) = self.partial.take()
            && let Some(open) = self.state.thread_mut(key).and_then(|t| t.open.as_mut())
        {
            open.cut = false;
        }
    }

    /// At the end of the log or of a file: reports the lines that had no end and never went on.
    pub(super) fn report_cut_calls(&mut self) {
        let threads = self.state.threads.iter();
        let cut = threads.filter_map(|(_, t)| t.open.as_ref()).filter(|o| o.cut).map(|o| o.place);
        let mut places: Vec<Place> = cut.collect();
        places.sort_unstable();
        for place in places {
            self.state.report.set_aside(SetAside::Cut, place);
        }
    }

    /// Interprets the rest of the partial line, which a message or the program's own output had
    /// interrupted: `) = 3`, `, child_tidptr=0x7f) = 12`, ` <unfinished ...>`. Returns false if the
    /// line is no such rest.
    pub(super) fn continues_partial(&mut self, text: &[u8], place: Place, sink: Sink) -> bool {
        let key = match self.partial {
            Some(PartialLine::Call(key)) => key,
            Some(PartialLine::Exit) => {
                let goes_on = Ending::of(text) != Ending::None;
                self.partial.take_if(|_| goes_on);
                return goes_on;
            }
            None => return false,
        };
        // Under -z strace 6.1 prints such a rest after an `<unfinished ...>` too.
        let rest = text.starts_with(b")");
        if !self.state.thread(key).and_then(|t| t.open.as_ref()).is_some_and(|o| o.cut || rest) {
            return false;
        }
        match Ending::of(text) {
            Ending::Result { args, result } => {
                self.partial = None;
                // strace up to 4.6: `clone(Process 12 attached`, and the arguments in this line.
                self.complete(key, Some(args), result, place, sink);
                true
            }
            Ending::Open { pid, .. } => {
                if let Some(thread) = self.state.thread_mut(key) {
                    thread.becomes = pid.or(thread.becomes);
                }
                self.mend_partial();
                true
            }
            Ending::None => false,
        }
    }
}

/// What a call will do when it returns.
fn call_kind(named: Named, name: &[u8], args: &[u8]) -> CallKind {
    match named {
        Named::Number(nr::EXECVE) => CallKind::Exec(exec_path(false, args)),
        Named::Number(nr::EXECVEAT) => CallKind::Exec(exec_path(true, args)),
        Named::Number(nr::CLONE | nr::CLONE3) => {
            CallKind::Clone { sharing: sharing(args), child: None }
        }
        Named::Number(nr::FORK | nr::VFORK) => {
            CallKind::Clone { sharing: Some(Sharing::default()), child: None }
        }
        Named::Number(nr::RT_SIGACTION) => CallKind::Sigaction(sigaction(args)),
        Named::Only32 if name == b"sigaction" => CallKind::Sigaction(sigaction(args)),
        _ => CallKind::Plain,
    }
}
