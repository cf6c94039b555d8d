//! Where metrics can be asked for: a socket file, or a port that only this machine reaches.

use crate::text::shown;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A port of a loopback address.
    Loopback(SocketAddr),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HINT: &str = "hint: write unix:PATH, 127.0.0.1:PORT or [::1]:PORT";
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err(format!("a path is missing\n{HINT}"))
            } else {
                Ok(Address::Unix(path.into()))
            };
        }
        let address: SocketAddr =
            text.parse().map_err(|_| format!("this is no address\n{HINT}"))?;
        if !address.ip().is_loopback() {
            // Metrics help an attacker, and requests are not authenticated.
            return Err(format!(
                "others can reach this address: only loopback addresses are served\n{HINT}"
            ));
        }
        Ok(Address::Loopback(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", shown(&path)),
            Address::Loopback(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["unix:/run/sysfsm/metrics.sock", "127.0.0.1:9100", "127.1.2.3:1", "[::1]:9100"]
        {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_this_machine_is_served() {
        for text in [
            "0.0.0.0:9100",
            "[::]:9100",
            "192.0.2.1:9100",
            "[2001:db8::1]:9100",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(text.parse::<Address>().unwrap_err().contains("only loopback"), "{text}");
        }
        for text in [
            "",
            "unix:",
            "9100",
            ":9100",
            "127.0.0.1",
            "localhost:9100",
            "/run/x",
            "127.0.0.1:70000",
        ] {
            assert!(
                text.parse::<Address>().unwrap_err().contains("hint: write unix:PATH"),
                "{text}"
            );
        }
    }
}
