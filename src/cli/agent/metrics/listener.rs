//! The sockets at which metrics are served: a file, or a loopback port.

use super::address::Address;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The owner and the group may connect.
const MODE: u32 = 0o660;

/// A listening socket.
pub(super) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// The file of a socket. It is removed with this value.
pub(super) struct Socket {
    path: PathBuf,
    /// Device and inode: another file of that name stays.
    identity: (u64, u64),
}

/// An accepted connection.
pub(super) trait Connection: Read + Write + Send {
    /// Limits how long one read or write may take; more than zero.
    fn limit(&self, at_most: Duration) -> io::Result<()>;
    /// Ends what is written.
    fn hang_up(&self) -> io::Result<()>;
}

impl Connection for UnixStream {
    fn limit(&self, at_most: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }

    fn hang_up(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Connection for TcpStream {
    fn limit(&self, at_most: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }

    fn hang_up(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Listener {
    pub(super) fn bind(address: &Address) -> io::Result<(Self, Option<Socket>)> {
        match address {
            Address::Unix(path) => {
                let (listener, socket) = bind(path)?;
                Ok((Listener::Unix(listener), Some(socket)))
            }
            Address::Loopback(address) => Ok((Listener::Tcp(TcpListener::bind(address)?), None)),
        }
    }

    /// Waits for a connection.
    pub(super) fn accept(&self) -> io::Result<Box<dyn Connection>> {
        Ok(match self {
            Listener::Unix(listener) => Box::new(listener.accept()?.0),
            Listener::Tcp(listener) => Box::new(listener.accept()?.0),
        })
    }
}

/// Makes a socket file. A file that a killed agent has left is replaced.
fn bind(path: &Path) -> io::Result<(UnixListener, Socket)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file is there that is no socket",
            ));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
        }
        _ => {}
    }
    // The file gets its name last: nobody finds it with another mode, or finds no listener.
    let mut next = path.as_os_str().to_owned();
    next.push(".new");
    let next = PathBuf::from(next);
    let _ = fs::remove_file(&next);
    let listener = UnixListener::bind(&next)?;
    let finish = || {
        fs::set_permissions(&next, fs::Permissions::from_mode(MODE))?;
        let found = fs::symlink_metadata(&next)?;
        fs::rename(&next, path)?;
        Ok((found.dev(), found.ino()))
    };
    let identity = finish().inspect_err(|_: &io::Error| {
        let _ = fs::remove_file(&next);
    })?;
    Ok((listener, Socket { path: path.to_path_buf(), identity }))
}

impl Drop for Socket {
    fn drop(&mut self) {
        let found = fs::symlink_metadata(&self.path).map(|found| (found.dev(), found.ino()));
        if found.is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_socket_that_nobody_listens_at_is_replaced_and_no_other_file_is() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (listener, socket) = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, MODE);
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        assert!(UnixStream::connect(&path).is_ok());
        drop((listener, socket));
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn the_file_of_another_one_stays() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        let (_listener, socket) = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (_other, _its) = bind(&path).unwrap();
        drop(socket);
        assert!(path.exists());
    }
}
