//! A log in chunks of whole lines. Several threads parse the simple lines of different chunks,
//! while one thread goes through all lines in their order.

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

/// The number of bytes that are read at once.
const CHUNK_SIZE: usize = 256 * 1024;
/// The largest number of chunks that are read and whose lines were not gone through.
const MAX_IN_FLIGHT: usize = 6;
/// The largest number of worker threads. More would only wait for the thread that goes through the
/// lines.
const MAX_WORKERS: usize = 3;

/// A part of a log: whole lines, but for the last line of a log without a newline at its end.
#[derive(Debug, Default)]
struct Chunk {
    /// The text, and what earlier uses of the buffer left behind it.
    buffer: Vec<u8>,
    filled: usize,
    /// The middle of the first line was left out.
    shortened: bool,
    /// The position of each line's end.
    ends: Vec<u32>,
    /// Each line as a simple one, if it is one.
    parsed: Vec<Option<SimpleLine>>,
}

impl Chunk {
    fn text(&self) -> &[u8] {
        until(&self.buffer, self.filled)
    }

    /// Finds the lines and parses the simple ones.
    fn parse(&mut self, names: &NameTable) {
        let (mut ends, mut parsed) =
            (std::mem::take(&mut self.ends), std::mem::take(&mut self.parsed));
        let text = self.text();
        find_all(text, b'\n', &mut ends);
        if !text.ends_with(b"\n") {
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        let coloured = colour::any(text);
        let (mut begin, mut recent) = (0, RecentColumn::default());
        parsed.clear();
        parsed.extend(ends.iter().map(|&end| {
            let line = until(from(text, begin), end as usize - begin);
            let plain = !coloured && line.len() <= MAX_LINE && !(begin == 0 && self.shortened);
            begin = end as usize + 1;
            if plain {
                SimpleLine::parse(chomp(line), names, &mut recent)
            } else {
                None
            }
        }));
        (self.ends, self.parsed) = (ends, parsed);
    }

    /// Hands every line to `take`. `count` is the number of lines before, and is counted on.
    fn for_each_line(
        &self,
        count: &mut u64,
        mut take: impl FnMut(RawLine<'_>, Option<SimpleLine>),
    ) {
        let text = self.text();
        let mut begin = 0;
        for (&end, &simple) in self.ends.iter().zip(&self.parsed) {
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

/// Cuts an input into chunks.
struct ChunkReader<R> {
    input: R,
    /// The beginning of a line whose end was not read with the last chunk.
    rest: Vec<u8>,
}

impl<R: Read> ChunkReader<R> {
    /// Fills a chunk; `None` at the input's end. The flag says whether the input had enough to fill
    /// the chunk. An input that is written slowly is not waited for: its lines are to be taken as
    /// they come.
    fn next(&mut self, mut chunk: Chunk) -> io::Result<Option<(Chunk, bool)>> {
        chunk.shortened = false;
        let mut beginning = std::mem::take(&mut self.rest);
        loop {
            let before = beginning.len();
            if chunk.buffer.len() < before + CHUNK_SIZE {
                chunk.buffer.resize(before + CHUNK_SIZE, 0);
            }
            let (kept, buffer) = chunk.buffer.split_at_mut(before);
            kept.copy_from_slice(&beginning);
            let read = match self.input.read(buffer.get_mut(..CHUNK_SIZE).unwrap_or_default()) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            chunk.filled = before + read;
            if read == 0 {
                return Ok((before > 0).then_some((chunk, false)));
            }
            if let Some(end) = memrchr(b'\n', from(chunk.text(), before)) {
                let whole = before + end + 1;
                beginning.clear();
                beginning.extend_from_slice(from(chunk.text(), whole));
                self.rest = beginning;
                chunk.filled = whole;
                return Ok(Some((chunk, read == CHUNK_SIZE)));
            }
            // The line is longer than the chunk.
            append_bounded(
                &mut beginning,
                &mut chunk.shortened,
                from(until(&chunk.buffer, chunk.filled), before),
            );
        }
    }
}

/// A chunk of the queue.
#[derive(Debug)]
enum Slot {
    Read(Chunk),
    /// A thread is parsing the chunk.
    Parsing,
    Parsed(Chunk),
}

/// The chunks that were read and whose lines were not gone through, in their order. They are parsed
/// in any order.
struct ReorderQueue {
    slots: Mutex<Slots>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Slots {
    chunks: VecDeque<Slot>,
    /// The number of the first chunk.
    first: u64,
    over: bool,
}

impl Slots {
    /// Takes the first chunk that no thread has taken, with its number.
    fn take(&mut self) -> Option<(u64, Chunk)> {
        let at = self.chunks.iter().position(|s| matches!(s, Slot::Read(_)))?;
        match std::mem::replace(self.chunks.get_mut(at)?, Slot::Parsing) {
            Slot::Read(chunk) => Some((self.first + at as u64, chunk)),
            _ => None,
        }
    }
}

impl ReorderQueue {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, slots: MutexGuard<'a, Slots>) -> MutexGuard<'a, Slots> {
        self.changed.wait(slots).unwrap_or_else(PoisonError::into_inner)
    }

    /// Parses a chunk that was taken from the queue, and puts it back.
    fn parse(&self, (number, mut chunk): (u64, Chunk), names: &NameTable) {
        chunk.parse(names);
        let mut slots = self.lock();
        let at = usize::try_from(number - slots.first).unwrap_or(usize::MAX);
        if let Some(slot) = slots.chunks.get_mut(at) {
            *slot = Slot::Parsed(chunk);
        }
        self.changed.notify_all();
    }

    /// Parses chunks until the log is over. If this thread panics, the others stop waiting for it.
    fn work(&self, names: &NameTable) {
        let _stop = StopOnDrop(self);
        let mut slots = self.lock();
        while !slots.over {
            if let Some(taken) = slots.take() {
                drop(slots);
                self.parse(taken, names);
                slots = self.lock();
            } else {
                slots = self.wait(slots);
            }
        }
    }

    /// Takes the first chunk when it is parsed; `None` if there is no chunk, or none that will be
    /// parsed. While another thread parses the first chunk, this one parses others.
    fn next_parsed(&self, names: &NameTable) -> Option<Chunk> {
        let mut slots = self.lock();
        loop {
            match slots.chunks.front()? {
                Slot::Parsed(_) => {
                    slots.first += 1;
                    return match slots.chunks.pop_front() {
                        Some(Slot::Parsed(chunk)) => Some(chunk),
                        _ => None,
                    };
                }
                Slot::Read(_) | Slot::Parsing => {}
            }
            if let Some(taken) = slots.take() {
                drop(slots);
                self.parse(taken, names);
                slots = self.lock();
            } else if slots.over {
                return None;
            } else {
                slots = self.wait(slots);
            }
        }
    }

    fn push(&self, chunk: Chunk) {
        self.lock().chunks.push_back(Slot::Read(chunk));
        self.changed.notify_all();
    }
}

/// Ends the worker threads when it is dropped, also by a panic.
struct StopOnDrop<'a>(&'a ReorderQueue);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

/// Hands every line of a log to `take`, in their order, each with its parsed form if it is a simple
/// line. Returns the number of lines, also if the input fails in the end.
pub(super) fn for_each_line(
    input: impl Read,
    names: &NameTable,
    mut take: impl FnMut(RawLine<'_>, Option<SimpleLine>),
) -> (u64, io::Result<()>) {
    let workers = std::thread::available_parallelism().map_or(0, |n| n.get() - 1).min(MAX_WORKERS);
    // With one processor there is nothing to gain from reading ahead.
    let max_in_flight = if workers > 0 { MAX_IN_FLIGHT } else { 1 };
    let queue = ReorderQueue { slots: Mutex::default(), changed: Condvar::new() };
    let mut reader = ChunkReader { input, rest: Vec::new() };
    let mut count = 0;
    let result = std::thread::scope(|scope| {
        let _stop = StopOnDrop(&queue);
        let mut not_started = workers;
        let mut spare = Vec::new();
        let mut in_flight = 0;
        let mut end = None;
        while end.is_none() || in_flight > 0 {
            let mut input_is_fast = true;
            while end.is_none() && input_is_fast && in_flight < max_in_flight {
                match reader.next(spare.pop().unwrap_or_default()) {
                    Ok(Some((chunk, full))) => {
                        input_is_fast = full;
                        in_flight += 1;
                        queue.push(chunk);
                    }
                    Ok(None) => end = Some(Ok(())),
                    Err(e) => end = Some(Err(e)),
                }
            }
            if in_flight > 1 {
                for _ in 0..std::mem::take(&mut not_started) {
                    // Without a thread this one parses the chunks, too.
                    let thread = std::thread::Builder::new();
                    if thread.spawn_scoped(scope, || queue.work(names)).is_err() {
                        break;
                    }
                }
            }
            // The lines of a slow input are taken at once.
            for _ in 0..if input_is_fast { in_flight.min(1) } else { in_flight } {
                let Some(chunk) = queue.next_parsed(names) else { break };
                chunk.for_each_line(&mut count, &mut take);
                spare.push(chunk);
                in_flight -= 1;
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

    /// An input that gives a few bytes at a time, as a pipe does.
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

    fn in_chunks(input: impl Read) -> Vec<(Vec<u8>, u64, bool, bool)> {
        let names = NameTable::new();
        let mut out = Vec::new();
        let (count, result) = for_each_line(input, &names, |line, simple| {
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
    fn chunks_of_any_sizes_have_the_same_lines() {
        let mut text = Vec::new();
        for i in 0..40_000 {
            text.extend_from_slice(
                format!("12  read({i}, \"\", 1) = 0\r\n\n3  what = {i}\n").as_bytes(),
            );
        }
        for length in [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, CHUNK_SIZE, 3 * CHUNK_SIZE + 5] {
            text.extend_from_slice(b"write(1, \"");
            text.resize(text.len() + length, b'x');
            text.extend_from_slice(b"\") = 5\nnext(1) = 0\n");
        }
        text.extend_from_slice(b"4  close(3");
        let lines = in_lines(&text);
        assert!(lines.len() > 120_000);
        assert_eq!(in_chunks(Cursor::new(&text)), lines);
        for step in [1000, 65536, CHUNK_SIZE + 1] {
            assert_eq!(in_chunks(Trickle(&text, step)), lines);
        }
        assert_eq!(in_chunks(Trickle(b"a\nb", 1)), in_lines(b"a\nb"));
        assert!(in_chunks(Cursor::new(b"")).is_empty());
    }

    #[test]
    fn lines_before_an_error_of_the_input_are_taken() {
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
            for_each_line(Fails(Trickle(b"a\nb\nc", 2)), &NameTable::new(), |_, _| seen += 1);
        assert_eq!((count, seen), (2, 2));
        assert_eq!(result.unwrap_err().to_string(), "gone");
    }
}
