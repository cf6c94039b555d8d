//! A program that claims that another path was given to its exec: it overwrites the text that the
//! kernel left on its stack (`AT_EXECFN`).
//!
//! `claimant claim PATH`: claims the path. `claimant wait PATH`: puts the text on a page that no
//! reader gets, before anybody has looked. `claimant serve PATH`: claims the path, with a file
//! system mounted at `served` that never answers, in a mount namespace of its own. Then it says
//! `ready`; at a line of input it makes a call that its policy does not have.
//!
//! With other arguments it ends at once: as the interpreter of a script.

#![allow(unsafe_code, clippy::expect_used)]

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::{stdin, stdout, Write as _};
use std::mem::forget;
use std::os::fd::AsRawFd as _;
use std::ptr;

/// `UFFDIO_API` and `UFFDIO_REGISTER` of `linux/userfaultfd.h`.
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFD_API: u64 = 0xaa;
const MODE_MISSING: u64 = 1;
const PAGE: usize = 4096;

/// The place of the text.
fn given() -> *mut u8 {
    // SAFETY: no arguments but a number.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"))
}

fn claim(path: &str) {
    let text = CString::new(path).expect("a path");
    let length = text.as_bytes_with_nul().len();
    // SAFETY: of the text on the stack.
    let room = unsafe { libc::strlen(given().cast()) } + 1;
    assert!(length <= room, "{path} is longer than the path that was given");
    // SAFETY: the text is on the stack, which may be written, and has as many bytes.
    unsafe { ptr::copy_nonoverlapping(text.as_ptr().cast(), given(), length) };
}

/// Takes the page of the text away, and gives whoever reads it nothing.
fn hold_back() {
    // SAFETY: a new descriptor, which stays open.
    let pages = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
    let pages = i32::try_from(pages).expect("a descriptor");
    assert!(pages >= 0, "userfaultfd: {}", std::io::Error::last_os_error());
    let mut api = [UFFD_API, 0, 0];
    // SAFETY: `struct uffdio_api` has three such words.
    let done = unsafe { libc::ioctl(pages, UFFDIO_API, api.as_mut_ptr()) };
    assert_eq!(done, 0, "UFFDIO_API: {}", std::io::Error::last_os_error());
    let page = given().map_addr(|address| address & !(PAGE - 1));
    // The page is the last of the stack, and a register call wants a mapping of its own sort.
    let mut range = [page.addr() as u64, PAGE as u64, MODE_MISSING, 0];
    // SAFETY: `struct uffdio_register` has four such words.
    let done = unsafe { libc::ioctl(pages, UFFDIO_REGISTER, range.as_mut_ptr()) };
    assert_eq!(done, 0, "UFFDIO_REGISTER: {}", std::io::Error::last_os_error());
    // SAFETY: what is above the environment is not read any more.
    let done = unsafe { libc::madvise(page.cast(), PAGE, libc::MADV_DONTNEED) };
    assert_eq!(done, 0, "MADV_DONTNEED: {}", std::io::Error::last_os_error());
}

/// Mounts a file system at `served` whose server, this program, never answers.
fn serve() {
    // SAFETY: a number only.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    assert_eq!(done, 0, "unshare: {}", std::io::Error::last_os_error());
    let server = OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
    let options = CString::new(options).expect("options");
    // SAFETY: C strings; no mount leaves this namespace after the first call.
    unsafe {
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let done = libc::mount(ptr::null(), c"/".as_ptr(), ptr::null(), private, ptr::null());
        assert_eq!(done, 0, "private: {}", std::io::Error::last_os_error());
        let (what, at) = (c"served".as_ptr(), c"served".as_ptr());
        let done = libc::mount(what, at, c"fuse".as_ptr(), 0, options.as_ptr().cast());
        assert_eq!(done, 0, "fuse: {}", std::io::Error::last_os_error());
    }
    forget(server);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, path] = arguments.as_slice() else { return };
    match what.as_str() {
        "claim" => claim(path),
        "wait" => hold_back(),
        "serve" => {
            serve();
            claim(path);
        }
        _ => return,
    }
    let _ = stdout().write_all(b"ready\n");
    let _ = stdin().read_line(&mut String::new());
    // SAFETY: no arguments.
    let user = unsafe { libc::getppid() };
    let _ = writeln!(stdout(), "lives {}", user > 0);
}
