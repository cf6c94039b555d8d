//! The names of the programs that a recording sees: their absolute paths.

use crate::kernel::bpf::skeleton::types::{self, sysfsm_path_origin as Origin};
use crate::text::UntrustedText;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The programs' names, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// By number, the path of a program.
    pub known: BTreeMap<u32, String>,
    /// By number, the programs that no path leads to: the path that was given to exec.
    pub nameless: BTreeMap<u32, UntrustedText>,
}

impl Names {
    /// Adds a program that the kernel has seen for the first time (`struct
    /// sysfsm_new_program_event`).
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let Ok(event) = plain::from_bytes::<types::sysfsm_new_program_event>(bytes) else { return };
        let path: Vec<u8> = text(&event.path).take_while(|&byte| byte != 0).collect();
        let names: Vec<u8> = text(&event.names.text).take(event.names.length as usize).collect();
        let given = PathBuf::from(OsStr::from_bytes(&path));
        let name = match Origin(event.path_origin) {
            Origin::SYSFSM_PATH_GIVEN => Some(given.clone()),
            Origin::SYSFSM_PATH_FOUND => Some(down(&names)),
            Origin::SYSFSM_PATH_BELOW => Some(clean(&down(&names).join(&given))),
            _ => None,
        };
        match name {
            Some(name) => {
                self.known.insert(event.program, name.to_string_lossy().into_owned());
            }
            None => {
                self.nameless.insert(event.program, given.as_os_str().into());
            }
        }
    }
}

/// The bytes of a C string.
fn text(from: &[i8]) -> impl Iterator<Item = u8> + '_ {
    from.iter().map(|c| c.to_ne_bytes()[0])
}

/// A path from its names, each with a zero byte, which go up from the file to the root.
fn down(names: &[u8]) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(
        names.split(|&byte| byte == 0).rev().map(OsStr::from_bytes).filter(|name| !name.is_empty()),
    );
    path
}

/// The path without `.`. A path with `..` becomes the canonical one, if the file exists.
pub(crate) fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    if path.components().any(|c| c == Component::ParentDir)
        && let Ok(path) = fs::canonicalize(path)
    {
        return path;
    }
    path.components().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_go_up_and_a_path_goes_down() {
        assert_eq!(down(b"cat\0bin\0usr\0"), Path::new("/usr/bin/cat"));
        assert_eq!(down(b""), Path::new("/"));
    }

    #[test]
    fn a_clean_path_has_no_dots() {
        assert_eq!(clean(Path::new("/tmp/./x/.//y")), Path::new("/tmp/x/y"));
        let canonical = fs::canonicalize("/usr/bin").unwrap();
        assert_eq!(clean(Path::new("/usr/lib/../bin")), canonical);
        // The path of a file that does not exist stays as it is.
        assert_eq!(clean(Path::new("/none/../such")), Path::new("/none/../such"));
    }
}
