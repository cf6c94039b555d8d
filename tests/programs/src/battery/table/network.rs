//! Sockets: TCP and UDP on 127.0.0.1, and UNIX sockets.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::super::stage::{LISTENER, PAIR};
use super::{entry, Entry};
use libc::{AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_STREAM};

/// The time to live that setsockopt sets.
const TTL: i32 = 77;

/// A `msghdr` of 6 bytes to the driver's UDP port, and what follows it in a `mmsghdr`.
fn message(a: &mut Attacker) -> i64 {
    let (to, text) = (a.address(a.stage.udp), a.text("forbid"));
    let vector = a.words(&[text, 6]);
    // name, its length, iov, its length, control, its length, flags; and the count of bytes sent.
    a.words(&[to, 16, vector, 1, 0, 0, 0, 0])
}

/// A TCP socket that has the free port, lawfully.
fn bound(a: &mut Attacker) -> i64 {
    let (socket, address) = (a.socket(AF_INET, SOCK_STREAM), a.address(a.stage.free));
    a.lawful(libc::SYS_bind, args![socket, address, 16]);
    socket
}

/// The driver's listener, with a connection that nobody has taken yet.
fn awaited(a: &mut Attacker) -> i32 {
    a.connected();
    LISTENER
}

pub const ENTRIES: &[Entry] = &[
    entry(
        "connect-tcp",
        libc::SYS_connect,
        |a| args![a.socket(AF_INET, SOCK_STREAM), a.address(a.stage.tcp), 16],
        Outside::connected,
    )
    .i386(362),
    entry(
        "connect-udp",
        libc::SYS_connect,
        |a| args![a.socket(AF_INET, SOCK_DGRAM), a.address(a.stage.udp), 16],
        |o| o.udp_line(o.stage.udp),
    )
    .i386(362),
    entry(
        "connect-unix",
        libc::SYS_connect,
        |a| {
            let (address, length) = a.unix_address("listener");
            args![a.socket(AF_UNIX, SOCK_STREAM), address, length]
        },
        |o| o.listener.accept().is_ok(),
    )
    .i386(362),
    entry(
        "bind-tcp",
        libc::SYS_bind,
        |a| args![a.socket(AF_INET, SOCK_STREAM), a.address(a.stage.free), 16],
        Outside::taken,
    )
    .i386(361),
    entry(
        "bind-udp",
        libc::SYS_bind,
        |a| args![a.socket(AF_INET, SOCK_DGRAM), a.address(a.stage.free), 16],
        |o| o.udp_line(o.stage.free),
    )
    .i386(361),
    entry(
        "bind-unix",
        libc::SYS_bind,
        |a| {
            let (address, length) = a.unix_address("made");
            args![a.socket(AF_UNIX, SOCK_STREAM), address, length]
        },
        |o| o.exists("made"),
    )
    .i386(361),
    entry("listen", libc::SYS_listen, |a| args![bound(a), 5], Outside::listens).i386(363),
    // The connection is not in the queue any more.
    entry("accept", libc::SYS_accept, |a| args![awaited(a), 0, 0], |o| !o.connected()),
    entry("accept4", libc::SYS_accept4, |a| args![awaited(a), 0, 0, 0], |o| !o.connected())
        .i386(364),
    entry(
        "sendto-udp",
        libc::SYS_sendto,
        |a| {
            let to = a.address(a.stage.udp);
            args![a.socket(AF_INET, SOCK_DGRAM), a.text("forbid"), 6, 0, to, 16]
        },
        Outside::datagram,
    )
    .i386(369),
    entry(
        "sendto-tcp",
        libc::SYS_sendto,
        |a| args![a.connected(), a.text("forbid"), 6, 0, 0, 0],
        Outside::received,
    )
    .i386(369),
    entry(
        "sendmsg",
        libc::SYS_sendmsg,
        |a| args![a.socket(AF_INET, SOCK_DGRAM), message(a), 0],
        Outside::datagram,
    ),
    entry(
        "sendmmsg",
        libc::SYS_sendmmsg,
        |a| args![a.socket(AF_INET, SOCK_DGRAM), message(a), 1, 0],
        Outside::datagram,
    ),
    entry(
        "setsockopt",
        libc::SYS_setsockopt,
        |a| args![LISTENER, libc::IPPROTO_IP, libc::IP_TTL, a.halves(&[TTL]), 4],
        |o| o.net.tcp.ttl().is_ok_and(|ttl| i64::from(ttl) == i64::from(TTL)),
    )
    .i386(366),
    entry("shutdown", libc::SYS_shutdown, |_| args![PAIR, libc::SHUT_RDWR], Outside::pair_closed)
        .i386(373),
];
