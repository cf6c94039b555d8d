//! Reads logs: one line after another, each to the thread that it speaks of.

use super::chunks;
use crate::event::{Event, EventKind, Place, Sink, Tid};
use crate::syscall::{nr, Abi};
use crate::trace::syntax::args::{exec_path, sharing, Sharing};
use crate::trace::syntax::body::{self, Body};
use crate::trace::syntax::colour;
use crate::trace::syntax::columns::{self, Columns, Recent};
use crate::trace::syntax::dispositions::sigaction;
use crate::trace::syntax::ending::{child, failed, value, Ending};
use crate::trace::syntax::lines::RawLine;
use crate::trace::syntax::names::{Named, Names};
use crate::trace::syntax::notes::{self, Notes};
use crate::trace::syntax::simple_line::{Ordinary, Part};
use crate::trace::threads::pool::Key;
use crate::trace::threads::report::{Case, Report, SetAside, Warning};
use crate::trace::threads::speaker::{after_output, Speaker, NAMELESS};
use crate::trace::threads::state::State;
use crate::trace::threads::thread::{Kind, Life, Open};
use std::io::{self, BufRead};
use std::sync::Arc;

/// The calls by which a program gets memory.
const MEMORY: [u32; 2] = [nr::MMAP, nr::BRK];
/// A log of so many calls, none of which gets memory, is suspicious.
const SOME_CALLS: u64 = 16;
/// A log of so many calls without one that failed is suspicious.
const MANY_CALLS: u64 = 200;

/// Reads logs of strace, of any version and with any options, and tells what happened in them.
///
/// What is kept grows with the number of threads that live, not with the log.
pub struct Reader {
    pub(super) state: State,
    pub(super) speaker: Speaker,
    pub(super) log: Log,
    names: Arc<Names>,
    notes: Notes,
    scratch: Vec<u8>,
    /// What the last line that was left open belongs to.
    broken: Option<Broken>,
    /// In a family: the leader's file goes on after that thread's file.
    pub(super) superseded_by: Option<Tid>,
    /// The thread that speaks without being interrupted.
    streak: Option<Streak>,
}

/// A thread that makes one whole call after another: most of a log is made of such streaks.
struct Streak {
    /// How its lines name it.
    speaker: Option<Tid>,
    key: Key,
    /// The id under which its events go out.
    tid: Tid,
    /// Its last two lines, for [`Life`] when the streak is over.
    line: u64,
    before: u64,
}

/// What is counted of one log, for its warnings.
#[derive(Debug, Default)]
pub(super) struct Log {
    calls: u64,
    failures: u64,
    execs: u64,
    /// Some call gets memory.
    memory: bool,
    /// The last line.
    pub place: Place,
}

impl Log {
    /// An ordinary call, which is not the first.
    #[inline]
    fn goes_on(&mut self, number: u32, failed: bool) {
        self.calls += 1;
        self.failures += u64::from(failed);
        self.memory |= MEMORY.contains(&number);
    }

    /// A call is entered. Whether it is an exec tells, of the first one, whether the log is there
    /// `from_start`.
    fn enters(&mut self, named: Named, from_start: &mut bool) {
        if self.calls == 0 {
            *from_start = named == Named::Number(nr::EXECVE);
        }
        self.calls += 1;
        self.memory |=
            MEMORY.iter().any(|&nr| named == Named::Number(nr)) || named == Named::Only32;
    }
}

/// A line, for those who have to go back to it.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a [u8],
    place: Place,
    shortened: bool,
    ended: bool,
}

/// A line that goes on elsewhere.
#[derive(Debug, Clone, Copy)]
enum Broken {
    /// This thread's open call.
    Call(Key),
    /// A call that ended its thread: what follows tells nothing more.
    Exit,
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
            state: State::new(),
            speaker: Speaker::default(),
            log: Log::default(),
            names: Arc::new(Names::new()),
            notes: Notes::default(),
            scratch: Vec::new(),
            broken: None,
            superseded_by: None,
            streak: None,
        }
    }

    /// What was found out so far, besides the events.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.state.report
    }

    /// Reads one log, with a pid space of its own. `file` is its index for [`Place`]s. All its
    /// threads end with it.
    ///
    /// # Errors
    ///
    /// Those of `input`. The events so far have gone out, and the threads are ended.
    pub fn read(
        &mut self,
        file: u32,
        mut input: impl BufRead,
        sink: &mut impl FnMut(Event),
    ) -> io::Result<()> {
        self.read_log(file, &mut input, sink)
    }

    pub(super) fn read_log(
        &mut self,
        file: u32,
        input: &mut dyn BufRead,
        sink: Sink,
    ) -> io::Result<()> {
        let names = Arc::clone(&self.names);
        let (lines, result) =
            chunks::each(input, &names, |raw, ordinary| self.stream(file, raw, ordinary, sink));
        self.end_streak();
        self.finish(Place { file, line: lines }, sink);
        result
    }

    /// The log, or the family, is over.
    pub(super) fn finish(&mut self, end: Place, sink: Sink) {
        self.give_up_broken();
        self.state.finish(end, sink);
        let log = std::mem::take(&mut self.log);
        let report = &mut self.state.report;
        let file = end.file;
        if log.calls == 0 {
            report.warnings.push(if self.notes.summary {
                Warning::SummaryOnly { file }
            } else {
                Warning::NoCalls { file }
            });
        } else if log.execs == 0 {
            report.warnings.push(Warning::NoExec { file });
        } else if log.calls > MANY_CALLS && log.failures == 0 {
            report.warnings.push(Warning::NoFailures { file, calls: log.calls });
        } else if log.calls > SOME_CALLS && !log.memory {
            report.warnings.push(Warning::NoMemory { file, calls: log.calls });
        }
        self.notes = Notes::default();
        self.speaker.reset();
        self.broken = None;
        self.superseded_by = None;
    }

    /// Takes one line.
    pub(super) fn line(&mut self, file: u32, raw: RawLine<'_>, sink: Sink) {
        let plain = !raw.shortened && !colour::any(raw.text);
        let ordinary =
            if plain { Ordinary::of(raw.text, &self.names, &mut Recent::default()) } else { None };
        self.take(file, raw, ordinary, sink);
    }

    /// Takes one line of a log, of which is known what it says if it is ordinary.
    #[inline]
    fn stream(&mut self, file: u32, raw: RawLine<'_>, ordinary: Option<Ordinary>, sink: Sink) {
        let place = Place { file, line: raw.number };
        if let (Some(streak), Some(Ordinary { tid, number, part: Part::Whole { failed } })) =
            (&mut self.streak, ordinary)
        {
            if streak.speaker == tid {
                streak.before = streak.line;
                streak.line = place.line;
                self.state.report.lines += 1;
                self.state.report.calls += 1;
                self.log.place = place;
                self.log.goes_on(number, failed);
                sink(Event { tid: streak.tid, place, kind: EventKind::Call(number) });
                return;
            }
        }
        self.end_streak();
        self.take(file, raw, ordinary, sink);
        if let Some(Ordinary { tid, part: Part::Whole { .. } | Part::End { .. }, .. }) = ordinary {
            self.begin_streak(tid);
        }
    }

    /// From here on the thread's whole calls need no more than to be told and counted: it is in no
    /// call, and none of its events has to wait.
    fn begin_streak(&mut self, speaker: Option<Tid>) {
        let Some(key) = self.speaker.last_to_speak(speaker) else { return };
        let free = |l: &&Life| !l.ended && l.abi.is_none() && l.open.is_none() && l.flows();
        self.streak = self.state.life(key).filter(free).map(|life| Streak {
            speaker,
            key,
            tid: life.tid,
            line: life.line,
            before: life.before,
        });
    }

    fn end_streak(&mut self) {
        let Some(streak) = self.streak.take() else { return };
        if let Some(life) = self.state.life_mut(streak.key) {
            (life.line, life.before) = (streak.line, streak.before);
        }
    }

    /// Takes one line, of which is known what it says if it is ordinary.
    fn take(&mut self, file: u32, raw: RawLine<'_>, ordinary: Option<Ordinary>, sink: Sink) {
        self.state.report.lines += 1;
        let place = Place { file, line: raw.number };
        self.log.place = place;
        if let Some(ordinary) = ordinary {
            if self.ordinary(ordinary, place, sink) {
                self.told(ordinary.tid, raw.text);
                return;
            }
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let text = colour::plain(raw.text, &mut scratch);
        let line = Line { text, place, shortened: raw.shortened, ended: raw.ended };
        if !self.understand(line, sink) {
            self.other(line, sink);
        }
        self.scratch = scratch;
    }

    /// A line has told something: of this thread, if it names one.
    fn told(&mut self, tid: Option<Tid>, text: &[u8]) {
        if tid.is_some() {
            self.state.named = true;
            self.speaker.column |= text.first().is_some_and(u8::is_ascii_digit);
        }
    }

    /// Takes an ordinary line. Returns false if what it means depends on more than what it says.
    fn ordinary(&mut self, ordinary: Ordinary, place: Place, sink: Sink) -> bool {
        let Ordinary { tid, number, part } = ordinary;
        let named = Named::Number(number);
        let resumed = if let Part::End { .. } = part { Some(named) } else { None };
        let key = self.speaker.who(&mut self.state, tid, resumed, place, sink);
        let Some(life) = self.state.lives.get_mut(key) else { return false };
        match part {
            Part::Whole { .. } | Part::Beginning if life.abi.is_some() => return false,
            // The call before has no result.
            Part::Whole { .. } | Part::Beginning if life.open.is_some() => {
                self.leave_open(key, sink);
            }
            Part::Whole { .. } | Part::Beginning => {}
            Part::End { failed } => {
                let same = matches!(&life.open, Some(open) if open.named == named);
                if same {
                    life.open = None;
                    self.log.failures += u64::from(failed);
                }
                return same;
            }
        }
        self.log.enters(named, &mut self.state.from_start);
        self.state.report.calls += 1;
        let Some(life) = self.state.lives.get_mut(key) else { return false };
        match part {
            Part::Whole { failed } | Part::End { failed } => self.log.failures += u64::from(failed),
            Part::Beginning => {
                life.open = Some(Open { named, kind: Kind::Plain, place, cut: false });
                life.becomes = None;
                self.broken = Some(Broken::Call(key));
            }
        }
        self.state.emit(key, EventKind::Call(number), place, sink);
        true
    }

    /// Takes a line that begins as strace's lines do. Otherwise nothing happens, and it returns
    /// false.
    fn understand(&mut self, line: Line<'_>, sink: Sink) -> bool {
        let Columns { tid, body } = columns::split(line.text);
        let place = line.place;
        match body::parse(body) {
            Body::Call { name, x32, rest } => {
                if !self.call(line, tid, name, x32, rest, sink) {
                    return false;
                }
            }
            Body::Resumed { name, rest } => self.resumed(tid, name, rest, place, sink),
            Body::Signal(signal) => {
                let key = self.speaker.who(&mut self.state, tid, None, place, sink);
                self.state.deliver(key, signal, place, sink);
            }
            Body::Stopped => {}
            Body::Exited => self.gone(tid, true, place, sink),
            Body::Killed => self.gone(tid, false, place, sink),
            Body::Superseded(by) => self.superseded(tid, by, place, sink),
            Body::Mode(abi) => {
                let key = self.speaker.who(&mut self.state, tid, None, place, sink);
                self.mode(key, abi);
            }
            Body::Mark => self.mend_broken(),
            Body::Other => return false,
        }
        self.told(tid, line.text);
        true
    }

    /// A call's line. Returns false if it is none after all.
    fn call(
        &mut self,
        line: Line<'_>,
        tid: Option<Tid>,
        name: &[u8],
        x32: bool,
        rest: &[u8],
        sink: Sink,
    ) -> bool {
        let place = line.place;
        let named = self.names.look_up(name);
        let ending = Ending::of(rest);
        if ending == Ending::None {
            // The program's own output may look alike: `time(s): 3`.
            let stray = self.speaker.column && tid.is_none() && self.speaker.only.is_none();
            if named == Named::Unknown || stray {
                return false;
            }
        } else if named == Named::Unknown && name.iter().any(u8::is_ascii_uppercase) {
            return false;
        }
        let key = self.speaker.who(&mut self.state, tid, None, place, sink);
        self.leave_open(key, sink);
        let abi = if x32 { Some(Abi::X32) } else { self.state.life(key).and_then(|l| l.abi) };
        if named == Named::Number(nr::RT_SIGRETURN) || name == b"sigreturn" {
            self.state.return_from_handler(key, sink);
        }
        let event = self.event(named, name, abi, place);
        self.log.enters(named, &mut self.state.from_start);
        self.state.emit(key, event, place, sink);
        let args = match ending {
            Ending::Result { args, .. } | Ending::Open { args, .. } => args,
            Ending::None => rest,
        };
        // With a result it did not exit: strace's fault injection, or a seccomp filter, kept it
        // from that.
        let stays = matches!(ending, Ending::Result { result, .. } if !result.starts_with(b"?"));
        if let (Named::Number(number @ (nr::EXIT | nr::EXIT_GROUP)), false) = (named, stays) {
            self.state.exit(key, number == nr::EXIT_GROUP, place, sink);
            if ending == Ending::None {
                self.breaks_off(Broken::Exit, rest, place, sink);
            }
            return true;
        }
        let kind = kind(named, name, args);
        if let (Kind::Plain, Ending::Result { result, .. }) = (&kind, ending) {
            self.log.failures += u64::from(failed(result));
            return true;
        }
        let makes_child = matches!(kind, Kind::Clone { .. });
        if let Some(life) = self.state.life_mut(key) {
            life.open = Some(Open { named, kind, place, cut: ending == Ending::None });
            if let Ending::Open { pid, .. } = ending {
                life.becomes = pid;
            }
        }
        if makes_child {
            self.state.opens_clone(key);
        }
        match ending {
            Ending::Result { result, .. } => self.complete(key, None, result, place, sink),
            Ending::Open { .. } => self.broken = Some(Broken::Call(key)),
            Ending::None => self.breaks_off(Broken::Call(key), rest, place, sink),
        }
        true
    }

    /// A line breaks off, maybe for a message of strace's, which ends it.
    fn breaks_off(&mut self, broken: Broken, rest: &[u8], place: Place, sink: Sink) {
        self.broken = Some(broken);
        if let Some(tid) = notes::attached(rest) {
            self.attached(tid, place, sink);
        }
    }

    /// The event of a call, and what is to be reported of it.
    fn event(&mut self, named: Named, name: &[u8], abi: Option<Abi>, place: Place) -> EventKind {
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
                report.tally(Case::ThirtyTwoBit, place);
                EventKind::Foreign(Abi::I386, text())
            }
        }
    }

    /// A new call begins: the one before has no result.
    fn leave_open(&mut self, key: Key, sink: Sink) {
        let Some(open) = self.state.life(key).and_then(|l| l.open.as_ref()) else { return };
        if open.cut {
            let place = open.place;
            self.state.report.set_aside(SetAside::Cut, place);
        }
        self.state.close(key, sink);
    }

    /// A call has returned. `late`: arguments that strace printed only now.
    fn complete(&mut self, key: Key, late: Option<&[u8]>, result: &[u8], place: Place, sink: Sink) {
        self.log.failures += u64::from(failed(result));
        let Some(open) = self.state.life_mut(key).and_then(|l| l.open.as_mut()) else { return };
        match &mut open.kind {
            Kind::Exec(path) if value(result) == Some(0) => {
                let path = std::mem::take(path);
                self.state.close(key, sink);
                self.exec(key, &path, place, sink);
                return;
            }
            Kind::Clone { .. } => {
                if let Some(tid) = child(result) {
                    self.state.returns_child(key, tid, late.and_then(sharing), place, sink);
                    return;
                }
                // It is killed inside the call, and the child may live.
                if result == b"?" {
                    return;
                }
            }
            Kind::Sigaction(Some((signal, action))) if value(result) == Some(0) => {
                let (signal, action) = (*signal, *action);
                self.state.set_action(key, signal, action);
            }
            Kind::Plain | Kind::Exec(_) | Kind::Sigaction(_) => {}
        }
        self.state.close(key, sink);
    }

    pub(super) fn exec(&mut self, key: Key, path: &[u8], place: Place, sink: Sink) {
        self.log.execs += 1;
        if path.is_empty() {
            self.state.report.tally(Case::NamelessExec, place);
        }
        self.state.exec(key, path, place, sink);
    }

    /// `<... name resumed>…`
    fn resumed(&mut self, tid: Option<Tid>, name: &[u8], rest: &[u8], place: Place, sink: Sink) {
        let named = self.names.look_up(name);
        let ending = Ending::of(rest);
        // Whoever exits has ended at the call's entry.
        if matches!(named, Named::Number(nr::EXIT | nr::EXIT_GROUP)) {
            if ending == Ending::None {
                self.breaks_off(Broken::Exit, rest, place, sink);
            }
            return;
        }
        let execs = matches!(named, Named::Number(nr::EXECVE | nr::EXECVEAT));
        let mut key = self.speaker.who(&mut self.state, tid, Some(named), place, sink);
        let same = |o: &Open| o.named == named || name == b"???";
        if !self.state.life(key).and_then(|l| l.open.as_ref()).is_some_and(same) {
            // The exec of a thread that is not the leader returns under the leader's id; with -q
            // nothing says so before.
            let sibling = self.state.life(key).map(|l| l.group).and_then(|group| {
                let mut lives = self.state.lives.iter();
                lives
                    .find(|(_, l)| execs && l.group == group && l.in_exec() && !l.ended)
                    .map(|(k, _)| k)
            });
            let leader = self.state.life(key).map_or(0, |l| l.tid);
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
                if let Some(open) = self.state.life_mut(key).and_then(|l| l.open.as_mut()) {
                    open.cut = true;
                }
                self.breaks_off(Broken::Call(key), rest, place, sink);
            }
        }
    }

    /// A second half without the first: what the thread did before it, nobody knows.
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
        self.state.report.tally(Case::NoBeginning, place);
        self.state.close(key, sink);
        let known = self.state.life(key).is_some_and(|l| l.first != place);
        if known {
            self.state.emit(
                key,
                EventKind::Unknown(String::from_utf8_lossy(name).as_ref().into()),
                place,
                sink,
            );
        }
        if let Ending::Result { result, .. } = ending {
            if execs && value(result) == Some(0) {
                self.exec(key, b"", place, sink);
            }
        }
    }

    /// `+++ exited` and `+++ killed`. A thread that made its exit call has ended already.
    fn gone(&mut self, tid: Option<Tid>, exited: bool, place: Place, sink: Sink) {
        let key = match self.speaker.only.or(tid) {
            Some(tid) => {
                self.state.exited.retain(|&t| t != tid);
                self.state.find(tid)
            }
            None if self.state.exited.pop_back().is_some() => None,
            None => Speaker::alone(&self.state, None),
        };
        let Some(key) = key else { return };
        if exited {
            self.state.suspect(key, place);
        }
        if let Some(life) = self.state.life_mut(key) {
            if let Some(open) = life.open.as_mut() {
                open.cut = false;
            }
        }
        self.state.leaves_unborn(key, place, sink);
        self.state.end(key, place, sink);
    }

    /// `+++ superseded by execve in pid T +++`: the leader is gone, T goes on under its id.
    fn superseded(&mut self, tid: Option<Tid>, by: Tid, place: Place, sink: Sink) {
        let thread = self.state.find(by);
        if let Some(only) = self.speaker.only {
            self.superseded_by = Some(by);
            if let Some(leader) = self.state.find(only) {
                self.state.end(leader, place, sink);
            }
            return;
        }
        let Some(key) = thread else { return };
        // On stderr the leader may have no name any more: it is the last thread.
        let leader = tid.or_else(|| {
            let life = self.state.life(key)?;
            life.becomes.or_else(|| self.state.groups.get(life.group).map(|g| g.leader))
        });
        self.state.rename(key, leader.unwrap_or(NAMELESS), place, sink);
        if let Some(open) = self.state.life_mut(key).and_then(|l| l.open.as_mut()) {
            open.cut = false;
        }
    }

    fn mode(&mut self, key: Key, abi: Option<Abi>) {
        if let Some(life) = self.state.life_mut(key) {
            life.abi = abi;
        }
    }

    /// strace says that it traces a thread from now on.
    fn attached(&mut self, tid: Tid, place: Place, sink: Sink) {
        if self.speaker.only.is_some() {
            return;
        }
        let key = match self.state.find(tid) {
            Some(key) => key,
            None if self.state.clones.len() == 1 => self.state.newcomer(tid, place, sink),
            None => return,
        };
        if let Some(life) = self.state.life_mut(key) {
            life.spoke = true;
        }
    }

    /// The broken line goes on elsewhere, as strace now says.
    fn mend_broken(&mut self) {
        if let Some(Broken::Call(key)) = self.broken.take() {
            if let Some(open) = self.state.life_mut(key).and_then(|l| l.open.as_mut()) {
                open.cut = false;
            }
        }
    }

    /// At the log's end: lines that broke off and never went on.
    pub(super) fn give_up_broken(&mut self) {
        let lives = self.state.lives.iter();
        let cut = lives.filter_map(|(_, l)| l.open.as_ref()).filter(|o| o.cut).map(|o| o.place);
        let mut places: Vec<Place> = cut.collect();
        places.sort_unstable();
        for place in places {
            self.state.report.set_aside(SetAside::Cut, place);
        }
    }

    /// Takes a line that does not begin as strace's lines of events do.
    fn other(&mut self, line: Line<'_>, sink: Sink) {
        let Line { text, place, .. } = line;
        if self.continues_broken(text, place, sink) {
            return;
        }
        // strace up to 4.26 says so on stderr, as a message.
        if let Some(note) = text.strip_prefix(b"strace: ") {
            if let Body::Mode(abi) = body::parse(note) {
                let pid = crate::trace::syntax::scan::after(note, b"PID=")
                    .and_then(crate::trace::syntax::scan::decimal);
                let tid = pid
                    .and_then(|(pid, _)| Tid::try_from(pid).ok())
                    .filter(|&t| self.state.find(t).is_some());
                let key = self.speaker.who(&mut self.state, tid, None, place, sink);
                self.mode(key, abi);
                return;
            }
        }
        if self.notes.is_note(text)
            || notes::bare_message(text)
            || text.iter().all(u8::is_ascii_whitespace)
        {
            if let Some(tid) = notes::attached(text) {
                self.attached(tid, place, sink);
            }
            return;
        }
        if let Some(at) = after_output(text, &self.names) {
            if self
                .understand(Line { text: crate::trace::syntax::scan::from(text, at), ..line }, sink)
            {
                return;
            }
        }
        let kind = match line {
            Line { shortened: true, .. } => SetAside::TooLong,
            Line { ended: false, .. } => SetAside::Cut,
            _ => SetAside::Junk,
        };
        self.state.report.set_aside(kind, place);
    }

    /// The rest of a line that a message or the program's own output broke: `) = 3`,
    /// `, child_tidptr=0x7f) = 12`, ` <unfinished ...>`.
    fn continues_broken(&mut self, text: &[u8], place: Place, sink: Sink) -> bool {
        let key = match self.broken {
            Some(Broken::Call(key)) => key,
            Some(Broken::Exit) => {
                let goes_on = Ending::of(text) != Ending::None;
                self.broken.take_if(|_| goes_on);
                return goes_on;
            }
            None => return false,
        };
        // Under -z strace 6.1 goes on so after an `<unfinished ...>` too.
        let rest = text.starts_with(b")");
        if !self.state.life(key).and_then(|l| l.open.as_ref()).is_some_and(|o| o.cut || rest) {
            return false;
        }
        match Ending::of(text) {
            Ending::Result { args, result } => {
                self.broken = None;
                // `clone(Process 12 attached` and here the arguments: strace up to 4.6.
                self.complete(key, Some(args), result, place, sink);
                true
            }
            Ending::Open { pid, .. } => {
                if let Some(life) = self.state.life_mut(key) {
                    life.becomes = pid.or(life.becomes);
                }
                self.mend_broken();
                true
            }
            Ending::None => false,
        }
    }
}

/// What the return of a call will do.
fn kind(named: Named, name: &[u8], args: &[u8]) -> Kind {
    match named {
        Named::Number(nr::EXECVE) => Kind::Exec(exec_path(false, args)),
        Named::Number(nr::EXECVEAT) => Kind::Exec(exec_path(true, args)),
        Named::Number(nr::CLONE | nr::CLONE3) => {
            Kind::Clone { sharing: sharing(args), child: None }
        }
        Named::Number(nr::FORK | nr::VFORK) => {
            Kind::Clone { sharing: Some(Sharing::default()), child: None }
        }
        Named::Number(nr::RT_SIGACTION) => Kind::Sigaction(sigaction(args)),
        Named::Only32 if name == b"sigaction" => Kind::Sigaction(sigaction(args)),
        _ => Kind::Plain,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::trace::syntax::lines::Lines;
    use std::path::Path;

    /// What a log tells if no line of it is taken for ordinary.
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

    fn as_ever(text: &[u8]) -> (Vec<Event>, Report) {
        let (mut reader, mut events) = (Reader::new(), Vec::new());
        reader.read(0, text, &mut |event| events.push(event)).unwrap();
        (events, reader.report().clone())
    }

    /// Every log of a folder of the tests, and of its folders.
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
    fn ordinary_lines_mean_what_they_mean_the_long_way() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trace");
        let mut all = Vec::new();
        logs(&tests.join("strace"), &mut all);
        logs(&tests.join("golden"), &mut all);
        assert!(all.len() > 40, "{}", all.len());
        // Whole lines of all of them, in any order: what follows what is nowhere as it should be.
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
                let piece = |_| {
                    let at = next(lines.len());
                    lines[at..lines.len().min(at + 1 + next(6))].concat()
                };
                (0..60).flat_map(piece).collect()
            })
            .collect();
        for log in all.iter().chain(&mixed) {
            assert_eq!(as_ever(log), the_long_way(log), "{}", String::from_utf8_lossy(log));
        }
    }
}
