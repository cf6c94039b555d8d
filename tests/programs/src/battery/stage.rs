//! Where an attack takes place: what the driver has prepared, and tells the attacker.

use std::fmt;

/// Descriptors that the attacker inherits: one end of a UNIX stream, whose other end the driver
/// has, and the driver's TCP listener. The driver keeps a copy of each, so that the attacker's end
/// alone changes nothing.
pub const PAIR: i32 = 90;
pub const LISTENER: i32 = 91;

/// What the directory of a stage holds:
///
/// | name | what |
/// |---|---|
/// | `file` | 7 bytes, mode 600, from the year 2001, with the attribute `trusted.there` |
/// | `text` | 7 other bytes |
/// | `empty`, `mnt`, `mounted`, `new` | directories; `new` holds a directory `old` |
/// | `pipe` | a pipe; the driver reads from it |
/// | `listener` | a UNIX stream socket on which the driver listens |
/// | `modprobe` | makes the file `modprobed`; what the kernel runs to load a module |
/// | `script` | makes the file `executed`, prints `RESULT 0`, and reads a line |
#[derive(Debug, Clone)]
pub struct Stage {
    pub dir: String,
    /// A process that the attacker may attack.
    pub helper: i32,
    /// The driver's ports on 127.0.0.1.
    pub tcp: u16,
    pub udp: u16,
    /// A port that nobody uses.
    pub free: u16,
    /// A key that no other attack uses, for objects that have one.
    pub key: i32,
}

impl Stage {
    /// From a line as `Display` writes it, with the attack's name before it.
    pub fn parse(line: &str) -> Option<(&str, Self)> {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let stage = Stage {
            dir: words.next()?.to_string(),
            helper: words.next()?.parse().ok()?,
            tcp: words.next()?.parse().ok()?,
            udp: words.next()?.parse().ok()?,
            free: words.next()?.parse().ok()?,
            key: words.next()?.parse().ok()?,
        };
        Some((name, stage))
    }

    /// The name of a POSIX message queue that no other attack uses, as the kernel's calls take it.
    pub fn queue(&self) -> String {
        format!("battery-{}", self.key)
    }

    /// The path of something in the stage's directory.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stage { dir, helper, tcp, udp, free, key } = self;
        write!(f, "{dir} {helper} {tcp} {udp} {free} {key}")
    }
}
