//! A server that believes its clients: the victim of `make demo`. Every session has a name and a
//! function that will release it. Both commands that handle the name trust the length that the
//! client gives, as real servers have done: `ECHO` reads too far (it leaks where libc lies), `NAME`
//! writes too far (it overwrites the function).
//!
//! It proves nothing by itself; `attacker` takes it over. It listens on a free port of 127.0.0.1,
//! prints which, serves SESSIONS clients, one after the other, and ends.
//!
//! protocol: `NAME n\n` and n bytes | `ECHO n\n` (answers n bytes) | `BYE\n`
//!
//! usage: gullible SESSIONS

#![allow(unsafe_code, clippy::print_stdout)]

use std::ffi::c_void;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ptr;
use std::time::Duration;

/// Longest message; far more than a name has.
const MESSAGE: usize = 256;

#[repr(C)]
struct Session {
    name: [u8; 64],
    release: unsafe extern "C" fn(*mut c_void),
    /// So that an over-read stays inside the session: this is a demonstration.
    spare: [u8; MESSAGE],
}

fn open() -> *mut Session {
    let session = Session { name: [0; 64], release: libc::free, spare: [0; MESSAGE] };
    // SAFETY: as large as a session, and aligned for anything.
    unsafe {
        let at = libc::malloc(size_of::<Session>()).cast::<Session>();
        assert!(!at.is_null(), "out of memory");
        at.write(session);
        at
    }
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let session = open();
    let mut line = String::new();
    loop {
        line.clear();
        reader.by_ref().take(80).read_line(&mut line)?;
        let (command, length) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), "0"));
        let length = length.parse::<usize>().unwrap_or(0).min(MESSAGE);
        let mut message = [0; MESSAGE];
        let message = message.get_mut(..length).unwrap_or_default();
        match command {
            "NAME" => {
                reader.read_exact(message)?;
                // SAFETY: none! The length is the client's: this is the first flaw.
                unsafe { ptr::copy_nonoverlapping(message.as_ptr(), session.cast(), length) };
            }
            "ECHO" => {
                // SAFETY: none! The length is the client's: this is the second flaw.
                unsafe { ptr::copy_nonoverlapping(session.cast(), message.as_mut_ptr(), length) };
                writer.write_all(message)?;
            }
            _ => break,
        }
    }
    // SAFETY: none! The function may be anybody's by now.
    unsafe { ((*session).release)(session.cast()) };
    Ok(())
}

fn main() -> io::Result<()> {
    let sessions = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("listening on {}", listener.local_addr()?.port());
    for _ in 0..sessions {
        let (stream, _) = listener.accept()?;
        // A client that goes away is no reason to stop.
        drop(serve(&stream));
    }
    Ok(())
}
