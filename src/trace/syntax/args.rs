//! The arguments of the few calls whose arguments matter.

use super::scan::{from, in_name, number, run, skip_blanks, until};
use memchr::memchr;

/// Iterates over arguments. They are separated by commas outside of brackets, strings and decoded
/// descriptors.
pub(crate) struct Args<'a>(Option<&'a [u8]>);

impl<'a> Args<'a> {
    pub(crate) fn new(args: &'a [u8]) -> Self {
        Args(Some(args))
    }
}

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = skip_blanks(self.0.take()?);
        let mut depth = 0_usize;
        let mut at = 0;
        while let Some(&b) = text.get(at) {
            at += match b {
                b',' if depth == 0 => {
                    self.0 = Some(from(text, at + 1));
                    return Some(unnamed(until(text, at)));
                }
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    1
                }
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    1
                }
                b'"' => 1 + string_len(from(text, at + 1)) + 1,
                // `3</a, b>`; a `>` in a path is written in octal.
                b'<' => memchr(b'>', from(text, at)).unwrap_or(0) + 1,
                _ => 1,
            };
        }
        (!text.is_empty()).then(|| unnamed(text.trim_ascii_end()))
    }
}

/// An argument without its name, which -N prints: `pathname="/bin/ls"`.
fn unnamed(arg: &[u8]) -> &[u8] {
    from(arg, run(arg, in_name)).strip_prefix(b"=").unwrap_or(arg)
}

/// The length of a string up to its closing quote, or to the end.
fn string_len(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        match b {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// The bytes of a string argument: `"/bin/ls"`, `"\x2f\x62"`, `"caf\303\251"`, `"/long"...`.
pub(crate) fn string(arg: &[u8]) -> Option<Vec<u8>> {
    let text = arg.strip_prefix(b"\"")?;
    Some(unescaped(until(text, string_len(text))))
}

/// The path that -y shows for a descriptor: `3</dir>`, `AT_FDCWD</dir>`.
pub(crate) fn decoded_path(arg: &[u8]) -> Option<Vec<u8>> {
    let text = from(arg, memchr(b'<', arg)? + 1);
    let text = until(text, memchr(b'>', text)?);
    text.starts_with(b"/").then(|| unescaped(text))
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some((&b, tail)) = rest.split_first() else { break };
        rest = tail;
        out.push(match b {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'a' => 0x07,
            b'b' => 0x08,
            b'0'..=b'7' => {
                let mut value = b - b'0';
                for _ in 0..2 {
                    let Some((&d @ b'0'..=b'7', tail)) = rest.split_first() else { break };
                    value = value.wrapping_mul(8).wrapping_add(d - b'0');
                    rest = tail;
                }
                value
            }
            b'x' => {
                let digits = run(until(rest, 2), |b| b.is_ascii_hexdigit());
                let value = std::str::from_utf8(until(rest, digits))
                    .ok()
                    .and_then(|t| u8::from_str_radix(t, 16).ok());
                rest = from(rest, digits);
                value.unwrap_or(b'x')
            }
            other => other,
        });
    }
    out
}

/// The path that an `execve(ARGS` or `execveat(ARGS` runs, as the log has it. The path is empty if
/// the log has none: for a descriptor alone (`fexecve`), whose file only -y shows, or for an
/// address (-e raw=execve).
pub(crate) fn exec_path(at: bool, args: &[u8]) -> Vec<u8> {
    let mut args = Args::new(args);
    let dir = if at { args.next() } else { None };
    let path = args.next().unwrap_or_default();
    let Some(path) = string(path) else { return Vec::new() };
    if path.starts_with(b"/") {
        return path;
    }
    match dir.and_then(decoded_path) {
        // AT_EMPTY_PATH: the descriptor itself is run (fexecve).
        Some(dir) if path.is_empty() => dir,
        Some(mut dir) => {
            if !dir.ends_with(b"/") {
                dir.push(b'/');
            }
            dir.extend_from_slice(&path);
            dir
        }
        None => path,
    }
}

/// What a clone-like call shares with its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sharing {
    /// `CLONE_THREAD`: the child is in the same thread group.
    pub thread: bool,
    /// `CLONE_SIGHAND`: both have one set of signal actions.
    pub sighand: bool,
    /// `CLONE_CLEAR_SIGHAND`: the child starts without handlers.
    pub clear: bool,
}

/// What the flags of a `clone(ARGS` or `clone3(ARGS` share. `None`: the line does not show the
/// flags, which strace up to 4.12 prints when the call returns.
pub(crate) fn sharing(args: &[u8]) -> Option<Sharing> {
    let flags = match super::scan::after(args, b"flags=") {
        Some(flags) => flags,
        // `clone(0x1200011, 0, …` (-e raw=clone), or flags without their name.
        None => Args::new(args)
            .find(|a| a.starts_with(b"CLONE_") || a.starts_with(b"SIG"))
            .or_else(|| {
                Args::new(args).next().filter(|a| number(a).is_some_and(|n| n != 0 && n < 1 << 34))
            })?,
    };
    let mut found = Sharing::default();
    let end = run(flags, |b| !matches!(b, b',' | b'}' | b')'));
    for flag in until(flags, end).split(|&b| b == b'|') {
        // Only the first word counts: `SIGCHLDstrace: Process 2049 attached` ends in a number that
        // is no flag.
        let flag = flag.split(|&b| b == b' ').next().unwrap_or_default();
        match flag {
            b"CLONE_THREAD" => found.thread = true,
            b"CLONE_SIGHAND" => found.sighand = true,
            b"CLONE_CLEAR_SIGHAND" => found.clear = true,
            // -X raw prints the number, -X verbose the number and the names.
            _ => {
                let bits =
                    if flag.first().is_some_and(u8::is_ascii_digit) { number(flag) } else { None };
                let bits = bits.unwrap_or_default();
                found.thread |= bits & 0x1_0000 != 0;
                found.sighand |= bits & 0x800 != 0;
                found.clear |= bits & 0x1_0000_0000 != 0;
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(at: bool, args: &str) -> String {
        String::from_utf8_lossy(&exec_path(at, args.as_bytes())).into_owned()
    }

    #[test]
    fn paths_of_exec() {
        assert_eq!(path(false, "\"/bin/ls\", [\"ls\"], 0x7ffd /* 20 vars */"), "/bin/ls");
        assert_eq!(
            path(false, "\"/a \\\"b\\\", \\303\\251\\t\\x41\\1012\", [\"ls\"]"),
            "/a \"b\", é\tAA2"
        );
        assert_eq!(path(false, "\"/x\"..., [], NULL"), "/x");
        assert_eq!(path(false, "pathname=\"/bin/ls\", argv=[\"ls\"], envp=0x7ffd"), "/bin/ls");
        assert_eq!(path(false, "0x55d0, [\"ls\"], 0x7ffd"), "");
        assert_eq!(path(false, "\"\\377\", []"), "\u{fffd}");
        assert_eq!(path(false, ""), "");
    }

    #[test]
    fn paths_of_execveat() {
        assert_eq!(path(true, "AT_FDCWD, \"a/b\", [\"b\"], NULL, 0"), "a/b");
        assert_eq!(path(true, "AT_FDCWD</home/u>, \"a/b\", [\"b\"], NULL, 0"), "/home/u/a/b");
        assert_eq!(
            path(true, "3</usr/bin/a, b>, \"\", [\"b\"], NULL, AT_EMPTY_PATH"),
            "/usr/bin/a, b"
        );
        assert_eq!(path(true, "3, \"\", [\"b\"], NULL, AT_EMPTY_PATH"), "");
        assert_eq!(path(true, "dirfd=3</d\\76>, pathname=\"x\", argv=[]"), "/d>/x");
        assert_eq!(path(true, "3</usr>, \"/bin/ls\", [], NULL, 0"), "/bin/ls");
    }

    #[test]
    fn flags_of_clone_in_every_version() {
        let thread = Some(Sharing { thread: true, sighand: true, clear: false });
        let child = Some(Sharing::default());
        let s = |t: &str| sharing(t.as_bytes());
        assert_eq!(
            s("child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f"),
            child
        );
        assert_eq!(
            s("child_stack=0, flags=CLONE_VM|CLONE_FS|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM"),
            thread
        );
        assert_eq!(s("{flags=CLONE_VM|CLONE_SIGHAND|CLONE_THREAD, child_tid=0x7f}, 88"), thread);
        assert_eq!(s("{flags=0, exit_signal=SIGCHLD, stack=NULL, stack_size=0}, 88"), child);
        assert_eq!(
            s("{flags=CLONE_CLEAR_SIGHAND}, 88"),
            Some(Sharing { clear: true, ..Sharing::default() })
        );
        assert_eq!(s("child_stack=NULL, flags=0x10900"), thread);
        assert_eq!(
            s("child_stack=NULL, flags=0x10900 /* CLONE_VM|CLONE_SIGHAND|CLONE_THREAD */, x"),
            thread
        );
        assert_eq!(s("0x1200011, 0, 0, 0x7f"), child);
        assert_eq!(s("0x7f00, CLONE_SIGHAND|CLONE_THREAD|SIGCHLD"), thread);
        assert_eq!(
            s("child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLDstrace: Process 6108 attached"),
            child
        );
        assert_eq!(s(""), None);
        assert_eq!(s("0x7ffd00001000, 88"), None);
    }
}
