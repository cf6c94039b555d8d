//! ELF files as an attacker writes them: code that makes a system call, and tables by which nobody
//! should unwind its caller.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Where the code is, in the file and in memory.
const CODE: u64 = 4096;
/// Where the tables are.
const TABLES: u64 = 8192;
/// `mov eax, edi; syscall; ret`
const STUB: [u8; 5] = [0x89, 0xf8, 0x0f, 0x05, 0xc3];

/// A crafted file.
pub struct Crafted {
    /// How the stack's frame is found: instructions of an unwind table.
    pub rules: Vec<u8>,
    /// The name of the code.
    pub name: Vec<u8>,
    /// What the headers say of the size of the unwind table, if it is not its size.
    pub claimed: Option<u64>,
    /// The size of the file, if it is not that of what is in it.
    pub length: Option<u64>,
}

impl Crafted {
    /// One that tells the truth.
    pub fn good() -> Self {
        // The frame is 8 bytes above the stack pointer, the return address below it.
        let rules = vec![0x0c, 7, 8, 0x90, 1];
        Crafted { rules, name: b"stub".to_vec(), claimed: None, length: None }
    }

    /// One whose frame is where an expression ends, which jumps back to its beginning.
    pub fn endless() -> Self {
        let rules = vec![0x0f, 3, 0x2f, 0xfd, 0xff, 0x90, 1];
        Crafted { rules, ..Crafted::good() }
    }

    /// The unwind table: one entry for all functions, and one for the code.
    fn unwind_table(&self) -> Vec<u8> {
        let entry = |body: &[&[u8]]| {
            let mut body = body.concat();
            // Instructions that do nothing.
            body.resize(body.len().next_multiple_of(8) + 4, 0);
            [&u32::try_from(body.len()).unwrap().to_le_bytes()[..], &body].concat()
        };
        // Version 1, no augmentation, units of 1 and -8, the return address in column 16.
        let common = entry(&[&[0, 0, 0, 0, 1, 0, 1, 0x78, 16]]);
        let back = u32::try_from(common.len() + 4).unwrap().to_le_bytes();
        let code = entry(&[&back, &CODE.to_le_bytes(), &4096_u64.to_le_bytes(), &self.rules]);
        [common, code, vec![0; 4]].concat()
    }

    /// Writes the file.
    pub fn write(&self, path: &Path) {
        let table = self.unwind_table();
        let names = b"\0.text\0.eh_frame\0.symtab\0.strtab\0".to_vec();
        let strings = [b"\0", self.name.as_slice(), b"\0"].concat();
        // A symbol is its name, kind, section, address and size: none, and a global function.
        let mut symbols = vec![0; 24];
        symbols.extend([1, 0, 0, 0, 0x12, 0, 1, 0]);
        symbols.extend([CODE, 64].map(u64::to_le_bytes).concat());
        let mut at = TABLES;
        let mut place = |bytes: &[u8]| {
            let found = at;
            at = (at + bytes.len() as u64).next_multiple_of(16);
            found
        };
        let (table_at, names_at) = (place(&table), place(&names));
        let (strings_at, symbols_at, sections_at) = (place(&strings), place(&symbols), place(&[]));
        // Name, kind, flags, address, offset, size, link, info, alignment, size of an entry.
        let section = |name: u32, kind: u32, place: u64, size: u64, links: [u32; 2], each: u64| {
            let address = if kind == 1 { place } else { 0 };
            let flags = if kind == 1 { 2_u64 } else { 0 };
            let numbers = [flags, address, place, size].map(u64::to_le_bytes).concat();
            let links = links.map(u32::to_le_bytes).concat();
            let last = [1, each].map(u64::to_le_bytes).concat();
            [[name, kind].map(u32::to_le_bytes).concat(), numbers, links, last].concat()
        };
        let claimed = self.claimed.unwrap_or(table.len() as u64);
        let sections = [
            vec![0; 64],
            section(1, 1, CODE, 64, [0, 0], 0),
            section(7, 1, table_at, claimed, [0, 0], 0),
            section(17, 2, symbols_at, symbols.len() as u64, [4, 1], 24),
            section(25, 3, strings_at, strings.len() as u64, [0, 0], 0),
            section(0, 3, names_at, names.len() as u64, [0, 0], 0),
        ]
        .concat();
        let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
        header.extend([0, 64, sections_at].map(u64::to_le_bytes).concat());
        header.extend([0; 4]);
        header.extend([64_u16, 56, 1, 64, 6, 5].map(u16::to_le_bytes).concat());
        // One segment, of all that is before the sections.
        header.extend([1_u32, 5].map(u32::to_le_bytes).concat());
        let (first, size) = (0, sections_at);
        header.extend([first, first, first, size, size, 4096].map(u64::to_le_bytes).concat());

        let mut file = File::create(path).unwrap();
        file.write_all(&header).unwrap();
        for (bytes, at) in [
            (&STUB[..], CODE),
            (&table, table_at),
            (&names, names_at),
            (&strings, strings_at),
            (&symbols, symbols_at),
            (&sections, sections_at),
        ] {
            file.write_all_at(bytes, at).unwrap();
        }
        if let Some(length) = self.length {
            file.set_len(length).unwrap();
        }
    }
}
