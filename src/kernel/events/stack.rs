//! The user stack of a violating thread, as the kernel has copied it, with the mappings of its
//! process at that time.

use crate::kernel::bpf::skeleton::types;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::mem;
use std::ops::Range;
use std::sync::Arc;

/// How much of `/proc/PID/maps` is read. A process may make it as long as it likes.
const READ: u64 = 1 << 20;

/// A part of a file that is mapped into a process as code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The addresses of the mapping.
    pub addresses: Range<u64>,
    /// The offset in the file where the mapping begins.
    pub offset: u64,
    /// The file system's device, in the words of `/proc/PID/maps`.
    pub device: String,
    /// The file's inode number. The path may be another file's by now.
    pub inode: u64,
    /// The file's path.
    pub path: String,
}

/// A thread's registers and the top of its stack at a call, and the mappings of its process a
/// moment later.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) pid: u32,
    /// The number of the process's policy.
    pub(crate) policy: u32,
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) bp: u64,
    pub(crate) bytes: Vec<u8>,
    /// By address. Empty if the process had ended by then, or has another id in this process
    /// namespace.
    pub(crate) mappings: Arc<Vec<Mapping>>,
}

/// Mappings that were read recently. They stand in for those of a process that has ended: its own
/// from an earlier event, or those of the process that it was forked from.
#[derive(Default)]
pub(crate) struct RecentMappings(RefCell<VecDeque<Process>>);

struct Process {
    pid: u32,
    policy: u32,
    mappings: Arc<Vec<Mapping>>,
}

impl RecentMappings {
    /// The mappings of the process of an event.
    fn mappings(&self, event: &types::sysfsm_event) -> Arc<Vec<Mapping>> {
        const KEPT: usize = 32;
        // The id may be another process's by now, or in this process namespace.
        let fits = |mappings: &[Mapping]| mappings.iter().any(|m| m.addresses.contains(&event.ip));
        let mut recent = self.0.borrow_mut();
        if let Ok(mappings) = read(event.pid)
            && fits(&mappings)
        {
            let mappings = Arc::new(mappings);
            recent.retain(|p| p.pid != event.pid);
            recent.truncate(KEPT - 1);
            recent.push_front(Process {
                pid: event.pid,
                policy: event.kind.policy,
                mappings: mappings.clone(),
            });
            return mappings;
        }
        let known = |p: &&Process| p.policy == event.kind.policy && fits(&p.mappings);
        let same = recent.iter().filter(known).find(|p| p.pid == event.pid);
        let found = same.or_else(|| recent.iter().find(known));
        found.map_or_else(Arc::default, |p| p.mappings.clone())
    }
}

impl Snapshot {
    /// The snapshot of an event; `None` if it has no stack. Reads the process's mappings at once.
    pub(crate) fn read(
        recent: &RecentMappings,
        event: &types::sysfsm_event,
        bytes: &[u8],
    ) -> Option<Self> {
        let size = mem::size_of::<types::sysfsm_complain_sample>();
        if bytes.len() < size {
            return None;
        }
        let mappings = recent.mappings(event);
        let word = |at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let stack = mem::offset_of!(types::sysfsm_complain_sample, stack);
        let read =
            word(mem::offset_of!(types::sysfsm_complain_sample, size))? & u64::from(u32::MAX);
        let end = stack.checked_add(usize::try_from(read).ok()?)?;
        Some(Snapshot {
            pid: event.pid,
            policy: event.kind.policy,
            ip: event.ip,
            sp: word(mem::offset_of!(types::sysfsm_complain_sample, sp))?,
            bp: word(mem::offset_of!(types::sysfsm_complain_sample, bp))?,
            bytes: bytes.get(stack..end)?.to_vec(),
            mappings,
        })
    }

    /// The mappings that the stack leads to: that of the call, then those that a word of the stack
    /// may be a return address into, the innermost first. Unwinding meets no others.
    pub(crate) fn reached(&self) -> Vec<&Mapping> {
        let mut found: Vec<&Mapping> = Vec::new();
        let words = self.bytes.chunks_exact(8);
        let words = words.filter_map(|word| Some(u64::from_ne_bytes(word.try_into().ok()?)));
        // A return address may be just behind its mapping's end.
        for address in [self.ip].into_iter().chain(words.map(|word| word.wrapping_sub(1))) {
            let after = self.mappings.partition_point(|m| m.addresses.start <= address);
            let mapping = after.checked_sub(1).and_then(|at| self.mappings.get(at));
            if let Some(mapping) = mapping.filter(|m| m.addresses.contains(&address))
                && !found.iter().any(|known| known.addresses == mapping.addresses)
            {
                found.push(mapping);
            }
        }
        found
    }
}

/// The mappings of a process.
fn read(pid: u32) -> io::Result<Vec<Mapping>> {
    let mut text = Vec::new();
    File::open(format!("/proc/{pid}/maps"))?.take(READ).read_to_end(&mut text)?;
    Ok(parse(&text))
}

/// Parses `/proc/PID/maps`. Mappings that are no code, or have no file, are left out.
fn parse(text: &[u8]) -> Vec<Mapping> {
    String::from_utf8_lossy(text).lines().filter_map(line).collect()
}

/// Parses a line: `7f01c000-7f01d000 r-xp 00001000 fe:01 1234    /usr/lib/libc.so.6`
fn line(line: &str) -> Option<Mapping> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let (rights, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (device, rest) = rest.split_once(' ')?;
    let (inode, path) = rest.split_once(' ')?;
    let path = path.trim_start();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    (rights.contains('x') && path.starts_with('/')).then_some(())?;
    Some(Mapping {
        addresses: hex(start)?..hex(end)?,
        offset: hex(offset)?,
        device: device.into(),
        inode: inode.parse().ok()?,
        path: path.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_read_as_proc_writes_them() {
        let text = b"55d0c000-55d0e000 r--p 00002000 fe:01 1049                       /usr/bin/a b\n\
            7ffd0000-7ffd2000 rw-p 00000000 00:00 0                          [stack]\n\
            7f010000-7f012000 rw-p 00000000 00:00 0 \n\
            7f02c000-7f02d000 r-xp 00001000 00:1f 9                          /usr/lib/x.so (deleted)\n";
        let found = parse(text);
        assert_eq!(
            found,
            [Mapping {
                addresses: 0x7f02_c000..0x7f02_d000,
                offset: 0x1000,
                device: "00:1f".into(),
                inode: 9,
                path: "/usr/lib/x.so (deleted)".into(),
            }]
        );
    }

    #[test]
    fn a_stack_leads_to_the_mappings_of_its_words() {
        let mapping = |start: u64| Mapping {
            addresses: start..start + 10,
            offset: 0,
            device: "00:01".into(),
            inode: 1,
            path: "/x".into(),
        };
        let words: [u64; 5] = [25, 7, 50, 70, 50];
        let snapshot = Snapshot {
            pid: 1,
            policy: 1,
            ip: 100,
            sp: 0,
            bp: 0,
            bytes: words.iter().flat_map(|word| word.to_ne_bytes()).collect(),
            mappings: Arc::new([0, 20, 40, 60, 80, 100].map(mapping).into()),
        };
        let starts: Vec<u64> = snapshot.reached().iter().map(|m| m.addresses.start).collect();
        assert_eq!(starts, [100, 20, 0, 40, 60]);
    }
}
