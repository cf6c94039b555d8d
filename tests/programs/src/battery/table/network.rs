//! Sockets: TCP and UDP on 127.0.0.1, and UNIX sockets.

use super::super::attacker::Attacker;
use super::super::outside::Outside;
use super::super::stage::{LISTENER, PAIR};
use super::{entry, Entry};
use libc::{SYS_bind, SYS_connect, AF_INET, AF_UNIX, SOCK_DGRAM, SOCK_STREAM};

/// The time to live that setsockopt sets.
const TTL: i32 = 77;

/// The arguments of connect and of bind: a TCP socket, and a port of 127.0.0.1.
fn tcp(a: &mut Attacker, port: u16) -> [i64; 6] {
    args![a.socket(AF_INET, SOCK_STREAM), a.address(port), 16]
}

/// The arguments of connect and of bind: a UDP socket, and a port of 127.0.0.1.
fn udp(a: &mut Attacker, port: u16) -> [i64; 6] {
    args![a.socket(AF_INET, SOCK_DGRAM), a.address(port), 16]
}

/// The arguments of connect and of bind: a UNIX socket, and a name on the stage.
fn unix(a: &mut Attacker, name: &str) -> [i64; 6] {
    let (address, length) = a.unix_address(name);
    args![a.socket(AF_UNIX, SOCK_STREAM), address, length]
}

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

/// A family of sockets that stock kernels have as a module at most.
const FAMILY: i32 = libc::AF_X25;

pub const ENTRIES: &[Entry] = &[
    entry(
        "socket-modprobe",
        libc::SYS_socket,
        |_| args![FAMILY, SOCK_STREAM, 0],
        |o| o.exists("modprobed"),
    )
    .i386(359),
    entry(
        "socketpair-modprobe",
        libc::SYS_socketpair,
        |a| args![FAMILY, SOCK_STREAM, 0, a.halves(&[0, 0])],
        |o| o.exists("modprobed"),
    )
    .i386(360),
    entry("connect-tcp", SYS_connect, |a| tcp(a, a.stage.tcp), Outside::connected).i386(362),
    entry("connect-udp", SYS_connect, |a| udp(a, a.stage.udp), |o| o.udp_line(o.stage.udp))
        .i386(362),
    entry("connect-unix", SYS_connect, |a| unix(a, "listener"), |o| o.listener.accept().is_ok())
        .i386(362),
    entry("bind-tcp", SYS_bind, |a| tcp(a, a.stage.free), Outside::taken).i386(361),
    entry("bind-udp", SYS_bind, |a| udp(a, a.stage.free), |o| o.udp_line(o.stage.free)).i386(361),
    entry("bind-unix", SYS_bind, |a| unix(a, "made"), |o| o.exists("made")).i386(361),
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
