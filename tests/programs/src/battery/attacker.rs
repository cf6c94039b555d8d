//! What the attacks are prepared with: lawful calls, and memory below 4 GiB, where both ABIs reach
//! it.

use super::call::lawful;
use super::stage::Stage;
use std::ptr;

/// Room for what one attack puts into memory.
const ROOM: usize = 64 * 1024;

/// The attacker, at one attack.
pub struct Attacker {
    pub stage: Stage,
    /// A child, where an attack has one.
    pub child: i64,
    memory: *mut u8,
    used: usize,
}

#[allow(clippy::unused_self)] // It is the attacker that calls, whether it needs its memory for it or not.
impl Attacker {
    pub fn new(stage: Stage) -> Self {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
        // SAFETY: a new mapping. It is never given back: what the kernel was told of stays where it
        // is.
        let memory = unsafe { libc::mmap(ptr::null_mut(), ROOM, access, flags, -1, 0) };
        assert_ne!(memory, libc::MAP_FAILED, "no memory below 4 GiB");
        Attacker { stage, child: 0, memory: memory.cast(), used: 0 }
    }

    /// Makes a lawful call that has to succeed.
    pub fn lawful(&self, number: i64, arguments: [i64; 6]) -> i64 {
        let result = lawful(number, arguments);
        assert!(result >= 0, "preparing: call {number} failed with {result}");
        result
    }

    /// Puts bytes into low memory; where they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> i64 {
        assert!(self.used + bytes.len() <= ROOM, "too much for one attack");
        // SAFETY: there is room for them, and nobody else writes there.
        let at = unsafe {
            let at = self.memory.add(self.used);
            ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len());
            at
        };
        self.used = (self.used + bytes.len()).next_multiple_of(16);
        i64::try_from(at.expose_provenance()).unwrap_or(0)
    }

    /// A C string.
    pub fn text(&mut self, text: &str) -> i64 {
        self.bytes(&[text.as_bytes(), b"\0"].concat())
    }

    /// Whole numbers of 8 bytes.
    pub fn words(&mut self, words: &[i64]) -> i64 {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        self.bytes(&bytes)
    }

    /// Whole numbers of 4 bytes.
    pub fn halves(&mut self, halves: &[i32]) -> i64 {
        let bytes: Vec<u8> = halves.iter().flat_map(|h| h.to_ne_bytes()).collect();
        self.bytes(&bytes)
    }

    /// Two of them, that a call has written.
    pub fn read_halves(&self, at: i64) -> [i32; 2] {
        let at = ptr::with_exposed_provenance(usize::try_from(at).unwrap_or(0));
        // SAFETY: it is where `halves` has put as many, aligned.
        unsafe { ptr::read(at) }
    }

    /// Stores a word of 4 bytes in memory that the attacker has mapped.
    pub fn put(&self, at: i64, word: u32) {
        let at = ptr::with_exposed_provenance_mut(usize::try_from(at).unwrap_or(0));
        // SAFETY: the attack has mapped it for that, and the kernel alone reads it.
        unsafe { ptr::write_volatile(at, word) };
    }

    /// The path of something on the stage.
    pub fn path(&mut self, name: &str) -> i64 {
        self.text(&self.stage.path(name))
    }

    /// Opens something on the stage, lawfully.
    pub fn open(&mut self, name: &str, flags: i32) -> i64 {
        let path = self.path(name);
        self.lawful(libc::SYS_open, [path, flags.into(), 0, 0, 0, 0])
    }

    /// A socket, lawfully.
    pub fn socket(&self, family: i32, kind: i32) -> i64 {
        self.lawful(libc::SYS_socket, [family.into(), kind.into(), 0, 0, 0, 0])
    }

    /// A `sockaddr_in` of 127.0.0.1, 16 bytes long.
    pub fn address(&mut self, port: u16) -> i64 {
        let [high, low] = port.to_be_bytes();
        self.bytes(&[2, 0, high, low, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// A `sockaddr_un` of something on the stage, and its length.
    pub fn unix_address(&mut self, name: &str) -> (i64, i64) {
        let bytes = [&[1, 0], self.stage.path(name).as_bytes(), &[0]].concat();
        (self.bytes(&bytes), i64::try_from(bytes.len()).unwrap_or(0))
    }

    /// A TCP socket that is connected with the driver's, lawfully.
    pub fn connected(&mut self) -> i64 {
        let socket = self.socket(libc::AF_INET, libc::SOCK_STREAM);
        let address = self.address(self.stage.tcp);
        self.lawful(libc::SYS_connect, [socket, address, 16, 0, 0, 0]);
        socket
    }
}
