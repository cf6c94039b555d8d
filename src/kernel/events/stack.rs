//! The user stack of a violating thread, as the kernel has copied it, with the mappings of its
//! process at that time.

use crate::kernel::bpf::skeleton::types;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

/// A part of a file that is mapped into a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The addresses of the mapping.
    pub addresses: Range<u64>,
    /// The offset in the file where the mapping begins.
    pub offset: u64,
    /// The file's inode number. The path may be another file's by now.
    pub inode: u64,
    /// Whether the mapping is code.
    pub executable: bool,
    /// The file's path.
    pub path: String,
}

/// A thread's registers and the top of its stack at a call, and the mappings of its process a
/// moment later.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) pid: u32,
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) bp: u64,
    pub(crate) bytes: Vec<u8>,
    /// Empty if the process had ended by then, or has another id in this process namespace.
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
        let fits = |mappings: &[Mapping]| {
            mappings.iter().any(|m| m.executable && m.addresses.contains(&event.ip))
        };
        let mut recent = self.0.borrow_mut();
        let read = fs::read(format!("/proc/{}/maps", event.pid)).map(|text| parse(&text));
        if let Ok(mappings) = read
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
            ip: event.ip,
            sp: word(mem::offset_of!(types::sysfsm_complain_sample, sp))?,
            bp: word(mem::offset_of!(types::sysfsm_complain_sample, bp))?,
            bytes: bytes.get(stack..end)?.to_vec(),
            mappings,
        })
    }

    /// The word of the stack at an address; `None` if it was not copied.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        Some(u64::from_ne_bytes(self.bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
    }
}

/// Parses `/proc/PID/maps`. Mappings without a file are left out.
fn parse(text: &[u8]) -> Vec<Mapping> {
    String::from_utf8_lossy(text).lines().filter_map(line).collect()
}

/// Parses a line: `7f01c000-7f01d000 r-xp 00001000 fe:01 1234    /usr/lib/libc.so.6`
fn line(line: &str) -> Option<Mapping> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let (rights, rest) = rest.split_once(' ')?;
    let (offset, rest) = rest.split_once(' ')?;
    let (_device, rest) = rest.split_once(' ')?;
    let (inode, path) = rest.split_once(' ')?;
    let path = path.trim_start();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    path.starts_with('/').then_some(())?;
    Some(Mapping {
        addresses: hex(start)?..hex(end)?,
        offset: hex(offset)?,
        inode: inode.parse().ok()?,
        executable: rights.contains('x'),
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
        let want = |addresses, offset, inode, executable, path: &str| Mapping {
            addresses,
            offset,
            inode,
            executable,
            path: path.into(),
        };
        assert_eq!(
            found,
            [
                want(0x55d0_c000..0x55d0_e000, 0x2000, 1049, false, "/usr/bin/a b"),
                want(0x7f02_c000..0x7f02_d000, 0x1000, 9, true, "/usr/lib/x.so (deleted)"),
            ]
        );
    }
}
