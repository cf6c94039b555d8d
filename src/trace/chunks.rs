//! A log in pieces of whole lines, so that several processors can tell what its ordinary lines say,
//! while one goes through them in their order.

use crate::trace::syntax::colour;
use crate::trace::syntax::columns::RecentColumn;
use crate::trace::syntax::lines::{append_bounded, chomp, RawLine, MAX_LINE};
use crate::trace::syntax::names::NameTable;
use crate::trace::syntax::scan::{find_all, from, until};
use crate::trace::syntax::simple_line::SimpleLine;
use memchr::memrchr;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How much is read at once.
const PIECE: usize = 256 * 1024;
/// So many pieces are ahead of the one whose lines are gone through.
const AHEAD: usize = 6;
/// With more helpers the one who goes through the lines is what all wait for.
const HELPERS: usize = 3;

/// A part of a log: whole lines, but for the last one of a log that breaks off.
#[derive(Debug, Default)]
struct Piece {
    /// The text, and room for more: it is not cleared from one use to the next.
    room: Vec<u8>,
    filled: usize,
    /// The middle of its first line was left out.
    shortened: bool,
    /// Where each line ends.
    ends: Vec<u32>,
    /// What each line says if it is ordinary.
    said: Vec<Option<SimpleLine>>,
}

impl Piece {
    fn text(&self) -> &[u8] {
        until(&self.room, self.filled)
    }

    /// Tells what the lines say.
    fn tell(&mut self, names: &NameTable) {
        let (mut ends, mut said) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.said));
        let text = self.text();
        find_all(text, b'\n', &mut ends);
        if !text.ends_with(b"\n") {
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        let coloured = colour::any(text);
        let (mut begin, mut recent) = (0, RecentColumn::default());
        said.clear();
        said.extend(ends.iter().map(|&end| {
            let line = until(from(text, begin), end as usize - begin);
            let plain = !coloured && line.len() <= MAX_LINE && !(begin == 0 && self.shortened);
            begin = end as usize + 1;
            if plain {
                SimpleLine::parse(chomp(line), names, &mut recent)
            } else {
                None
            }
        }));
        (self.ends, self.said) = (ends, said);
    }

    /// Goes through the lines, of which `count` came before.
    fn each(&self, count: &mut u64, mut take: impl FnMut(RawLine<'_>, Option<SimpleLine>)) {
        let text = self.text();
        let mut begin = 0;
        for (&end, &simple) in self.ends.iter().zip(&self.said) {
            let end = end as usize;
            *count += 1;
            let line = until(from(text, begin), end - begin);
            let shortened = begin == 0 && self.shortened;
            let raw =
                RawLine { text: chomp(line), number: *count, shortened, ended: end < text.len() };
            if line.len() <= MAX_LINE {
                take(raw, simple);
            } else {
                let (mut kept, mut shortened) = (Vec::new(), shortened);
                append_bounded(&mut kept, &mut shortened, line);
                take(RawLine { text: chomp(&kept), shortened, ..raw }, None);
            }
            begin = end + 1;
        }
    }
}

/// Cuts an input into pieces.
struct Cutter<R> {
    input: R,
    /// The beginning of the line that the last piece was too short for.
    rest: Vec<u8>,
}

impl<R: Read> Cutter<R> {
    /// Fills a piece; `None` at the input's end. Also says whether there was enough to fill it:
    /// whoever writes the input slowly wants each line to be looked at when it comes.
    fn next(&mut self, mut piece: Piece) -> io::Result<Option<(Piece, bool)>> {
        piece.shortened = false;
        let mut begun = std::mem::take(&mut self.rest);
        loop {
            let before = begun.len();
            if piece.room.len() < before + PIECE {
                piece.room.resize(before + PIECE, 0);
            }
            let (kept, room) = piece.room.split_at_mut(before);
            kept.copy_from_slice(&begun);
            let read = match self.input.read(room.get_mut(..PIECE).unwrap_or_default()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            piece.filled = before + read;
            if read == 0 {
                return Ok((before > 0).then_some((piece, false)));
            }
            if let Some(end) = memrchr(b'\n', from(piece.text(), before)) {
                let whole = before + end + 1;
                begun.clear();
                begun.extend_from_slice(from(piece.text(), whole));
                self.rest = begun;
                piece.filled = whole;
                return Ok(Some((piece, read == PIECE)));
            }
            // A line that is longer than a piece.
            append_bounded(
                &mut begun,
                &mut piece.shortened,
                from(until(&piece.room, piece.filled), before),
            );
        }
    }
}

/// A piece on its way.
#[derive(Debug)]
enum Stage {
    Cut(Piece),
    /// Somebody is at it.
    Taken,
    Told(Piece),
}

/// The pieces that are on their way, in their order.
struct Board {
    stages: Mutex<Stages>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Stages {
    pieces: VecDeque<Stage>,
    /// The number of the first one.
    first: u64,
    over: bool,
}

impl Stages {
    /// Takes the first piece that nobody is at, with its number.
    fn take(&mut self) -> Option<(u64, Piece)> {
        let at = self.pieces.iter().position(|s| matches!(s, Stage::Cut(_)))?;
        match std::mem::replace(self.pieces.get_mut(at)?, Stage::Taken) {
            Stage::Cut(piece) => Some((self.first + at as u64, piece)),
            _ => None,
        }
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Stages> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, stages: MutexGuard<'a, Stages>) -> MutexGuard<'a, Stages> {
        self.changed.wait(stages).unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells one piece, taken from the board, and puts it back.
    fn tell(&self, (number, mut piece): (u64, Piece), names: &NameTable) {
        piece.tell(names);
        let mut stages = self.lock();
        let at = usize::try_from(number - stages.first).unwrap_or(usize::MAX);
        if let Some(stage) = stages.pieces.get_mut(at) {
            *stage = Stage::Told(piece);
        }
        self.changed.notify_all();
    }

    /// Until all is over. Who is helped must not wait for one that panics.
    fn help(&self, names: &NameTable) {
        let _over = Over(self);
        let mut stages = self.lock();
        while !stages.over {
            if let Some(taken) = stages.take() {
                drop(stages);
                self.tell(taken, names);
                stages = self.lock();
            } else {
                stages = self.wait(stages);
            }
        }
    }

    /// The first piece, told; none if there is none, or never will be. While somebody else is at
    /// it, the caller is at the others.
    fn first(&self, names: &NameTable) -> Option<Piece> {
        let mut stages = self.lock();
        loop {
            match stages.pieces.front()? {
                Stage::Told(_) => {
                    stages.first += 1;
                    return match stages.pieces.pop_front() {
                        Some(Stage::Told(piece)) => Some(piece),
                        _ => None,
                    };
                }
                Stage::Cut(_) | Stage::Taken => {}
            }
            if let Some(taken) = stages.take() {
                drop(stages);
                self.tell(taken, names);
                stages = self.lock();
            } else if stages.over {
                return None;
            } else {
                stages = self.wait(stages);
            }
        }
    }

    fn put(&self, piece: Piece) {
        self.lock().pieces.push_back(Stage::Cut(piece));
        self.changed.notify_all();
    }
}

/// Ends the helpers, whatever happens to whom they help.
struct Over<'a>(&'a Board);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

/// Hands every line of a log to `take`, in their order, with what it says if it is ordinary.
/// Returns how many there were, also of an input that failed in the end.
pub(super) fn each(
    input: impl Read,
    names: &NameTable,
    mut take: impl FnMut(RawLine<'_>, Option<SimpleLine>),
) -> (u64, io::Result<()>) {
    let helpers = std::thread::available_parallelism().map_or(0, |n| n.get() - 1).min(HELPERS);
    // One processor has nothing to gain from being ahead.
    let most = if helpers > 0 { AHEAD } else { 1 };
    let board = Board { stages: Mutex::default(), changed: Condvar::new() };
    let mut cutter = Cutter { input, rest: Vec::new() };
    let mut count = 0;
    let result = std::thread::scope(|scope| {
        let _over = Over(&board);
        let mut waiting = helpers;
        let mut spare = Vec::new();
        let mut flying = 0;
        let mut end = None;
        while end.is_none() || flying > 0 {
            let mut fast = true;
            while end.is_none() && fast && flying < most {
                match cutter.next(spare.pop().unwrap_or_default()) {
                    Ok(Some((piece, full))) => {
                        fast = full;
                        flying += 1;
                        board.put(piece);
                    }
                    Ok(None) => end = Some(Ok(())),
                    Err(e) => end = Some(Err(e)),
                }
            }
            if flying > 1 {
                for _ in 0..std::mem::take(&mut waiting) {
                    scope.spawn(|| board.help(names));
                }
            }
            // What comes slowly is gone through at once.
            for _ in 0..if fast { flying.min(1) } else { flying } {
                let Some(piece) = board.first(names) else { break };
                piece.each(&mut count, &mut take);
                spare.push(piece);
                flying -= 1;
            }
        }
        end.unwrap_or(Ok(()))
    });
    (count, result)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::trace::syntax::lines::Lines;
    use std::io::{BufReader, Cursor};

    /// Gives a few bytes at a time, as a pipe does.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(into.len()).min(self.0.len());
            let (now, later) = self.0.split_at(n);
            into.get_mut(..n).unwrap().copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn in_pieces(input: impl Read) -> Vec<(Vec<u8>, u64, bool, bool)> {
        let names = NameTable::new();
        let mut out = Vec::new();
        let (count, result) = each(input, &names, |line, simple| {
            assert!(
                simple.is_none()
                    || simple == SimpleLine::parse(line.text, &names, &mut RecentColumn::default())
            );
            out.push((line.text.to_vec(), line.number, line.shortened, line.ended));
        });
        result.unwrap();
        assert_eq!(count, out.len() as u64);
        out
    }

    fn in_lines(text: &[u8]) -> Vec<(Vec<u8>, u64, bool, bool)> {
        let mut out = Vec::new();
        let mut lines = Lines::new(BufReader::new(text));
        lines
            .each(|line| {
                out.push((line.text.to_vec(), line.number, line.shortened, line.ended));
                true
            })
            .unwrap();
        out
    }

    #[test]
    fn pieces_have_the_same_lines_whatever_their_sizes() {
        let mut text = Vec::new();
        for i in 0..40_000 {
            text.extend_from_slice(
                format!("12  read({i}, \"\", 1) = 0\r\n\n3  what = {i}\n").as_bytes(),
            );
        }
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, PIECE, 3 * PIECE + 5] {
            text.extend_from_slice(b"write(1, \"");
            text.resize(text.len() + length, b'x');
            text.extend_from_slice(b"\") = 5\nnext(1) = 0\n");
        }
        text.extend_from_slice(b"4  close(3");
        let lines = in_lines(&text);
        assert!(lines.len() > 120_000);
        assert_eq!(in_pieces(Cursor::new(&text)), lines);
        for step in [1000, 65536, PIECE + 1] {
            assert_eq!(in_pieces(Trickle(&text, step)), lines);
        }
        assert_eq!(in_pieces(Trickle(b"a\nb", 1)), in_lines(b"a\nb"));
        assert!(in_pieces(Cursor::new(b"")).is_empty());
    }

    #[test]
    fn what_an_input_gave_before_it_failed_is_gone_through() {
        struct Fails<'a>(Trickle<'a>);
        impl Read for Fails<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                match self.0.read(into)? {
                    0 => Err(io::Error::other("gone")),
                    n => Ok(n),
                }
            }
        }
        let mut seen = 0;
        let (count, result) =
            each(Fails(Trickle(b"a\nb\nc", 2)), &NameTable::new(), |_, _| seen += 1);
        assert_eq!((count, seen), (2, 2));
        assert_eq!(result.unwrap_err().to_string(), "gone");
    }
}
