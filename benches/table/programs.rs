//! What real programs lose: a server under load, a database, a compiler; watched, and with an empty
//! program on the hook of system calls.

use super::empty::Empty;
use super::recording;
use super::rounds::{interleave, Spread, Way};
use super::row::{Row, Target};
use nix::sys::signal::{kill, Signal};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use sysfsm_testing::lab::{Lab, Running};

/// Many, of short samples: what is looked for is smaller than what one round differs from the next
/// by.
const ROUNDS: usize = 45;
/// Servers listen here, one after another.
const PORT: &str = "17390";

/// A program, its one binary that is watched, and what is done with it: how long that takes.
struct Subject {
    name: &'static str,
    binary: PathBuf,
    work: fn(&Lab, &Path) -> f64,
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

/// The program on one processor, who asks it on another.
fn pinned(processor: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", processor]).arg(program);
    command
}

/// Waits until somebody listens at the port.
fn await_listener(server: &Running) {
    for _ in 0..1000 {
        if std::net::TcpStream::connect(format!("127.0.0.1:{PORT}")).is_ok() {
            return;
        }
        sleep(Duration::from_millis(5));
    }
    panic!("nobody listens: {}{}", server.stdout(), server.stderr());
}

fn redis(lab: &Lab, binary: &Path) -> f64 {
    let mut command = pinned("0", binary);
    command.args(["--port", PORT, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let server = lab.start(&mut command);
    await_listener(&server);
    let took = seconds(|| {
        let mut client = pinned("1", Path::new("redis-benchmark"));
        client.args(["-p", PORT, "-t", "set,get", "-n", "20000", "-c", "20", "-q"]);
        lab.start(&mut client).end().well("redis-benchmark");
    });
    kill(server.pid(), Signal::SIGTERM).unwrap();
    server.end().well("redis-server");
    took
}

fn nginx(lab: &Lab, binary: &Path) -> f64 {
    let home = lab.fresh("nginx");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("index.html"), "x".repeat(1024)).unwrap();
    let configuration = home.join("nginx.conf");
    let text = format!(
        "daemon off; master_process off; pid {0}/pid; error_log {0}/errors;\nevents {{ }}\n\
         http {{ access_log off; root {0}; client_body_temp_path {0}/a; proxy_temp_path {0}/b; \
         fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e; keepalive_requests 1000000;\n\
         server {{ listen 127.0.0.1:{PORT}; }} }}\n",
        home.display()
    );
    fs::write(&configuration, text).unwrap();
    let mut command = pinned("0", binary);
    command.arg("-c").arg(&configuration);
    let server = lab.start(&mut command);
    await_listener(&server);
    let mut client = pinned("1", Path::new("wrk"));
    client.args(["-t1", "-c16", "-d1s", &format!("http://127.0.0.1:{PORT}/")]);
    let said = lab.start(&mut client).end().well("wrk").stdout;
    kill(server.pid(), Signal::SIGTERM).unwrap();
    server.end().well("nginx");
    assert!(!said.contains("Non-2xx"), "{said}");
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).unwrap();
    1.0 / rate.trim().parse::<f64>().unwrap()
}

fn compile(lab: &Lab, binary: &Path) -> f64 {
    let source = lab.path("source.c");
    if !source.exists() {
        let function = |i: usize| {
            format!("int f{i}(int *a, int n) {{ int s = {i}; for (int i = 0; i < n; i++) s += a[i] * {i} ^ s >> 3; return s; }}\n")
        };
        fs::write(&source, (0..600).map(function).collect::<String>()).unwrap();
    }
    let mut command = pinned("1", binary);
    command.args(["-quiet", "-O1"]).arg(&source).args(["-o", "/dev/null"]);
    seconds(|| drop(lab.start(&mut command).end().well("cc1")))
}

fn sqlite(lab: &Lab, binary: &Path) -> f64 {
    let database = lab.fresh("db");
    let mut script = String::from(
        "pragma journal_mode=wal; pragma synchronous=off; create table t(a integer primary key, b);\n",
    );
    for i in 0..20_000 {
        let _ = writeln!(script, "insert into t values({i}, 'text of line {i}');");
    }
    script.push_str("select count(*) from t where b like '%9%';\n");
    let file = lab.fresh("script");
    fs::write(&file, script).unwrap();
    let mut command = pinned("1", binary);
    command.arg(&database).arg(format!(".read {}", file.display()));
    seconds(|| drop(lab.start(&mut command).end().well("sqlite3")))
}

/// A policy of the program, recorded at the work that it is to be measured at.
fn record(lab: &Lab, subject: &Subject) -> PathBuf {
    let work = || {
        for _ in 0..2 {
            (subject.work)(lab, &subject.binary);
        }
    };
    recording::record(lab, &subject.binary, work).0
}

fn subjects(lab: &Lab) -> [Subject; 4] {
    let copy = |program: &str, name: &str| lab.copy(Path::new(program), name);
    let gcc =
        Command::new("gcc").arg("-print-prog-name=cc1").output().expect("gcc is there").stdout;
    [
        Subject {
            name: "redis",
            binary: copy("/usr/bin/redis-server", "redis-server"),
            work: redis,
        },
        Subject { name: "nginx", binary: copy("/usr/sbin/nginx", "nginx"), work: nginx },
        Subject {
            name: "a compile",
            binary: copy(String::from_utf8_lossy(&gcc).trim(), "cc1"),
            work: compile,
        },
        Subject { name: "sqlite", binary: copy("/usr/bin/sqlite3", "sqlite3"), work: sqlite },
    ]
}

pub fn rows() -> Vec<Row> {
    let lab = Lab::new();
    let empty = Empty::load();
    let mut rows = Vec::new();
    for subject in subjects(&lab) {
        let policy = record(&lab, &subject);
        // What the kernel frees after the way before, it frees later, on whatever processor.
        let work = || {
            sleep(Duration::from_millis(60));
            (subject.work)(&lab, &subject.binary)
        };
        let watched = || {
            // What chance brings that the recording has not seen is not to end the measurement.
            let enforcement = lab.enforce(&[&policy], &["--log-only"]);
            let took = work();
            let report = enforcement.stop();
            let (judged, found) = (report.judged(), report.stop["violations"].as_u64().unwrap());
            assert!(judged > 100 && found * 100 < judged, "{found} violations in {judged} calls");
            took
        };
        let mut ways = [
            Way::new("bare", work),
            Way::new("empty", || {
                let _link = empty.attach();
                work()
            }),
            Way::new("watched", watched),
        ];
        let samples = interleave(subject.name, ROUNDS, &mut ways);
        // The share of the throughput that is lost: of the work that is done in the same time.
        let lost = |than: usize, way: usize| -> Spread {
            samples.each(|row| (1.0 - row[than] / row[way]) * 100.0)
        };
        rows.push(Row::new(
            format!("{}, watched, throughput lost", subject.name),
            "%",
            Target::AtMost(2.0),
            lost(0, 2),
        ));
        rows.push(Row::new(
            format!("{}, watched, lost against an empty program", subject.name),
            "points",
            Target::AtMost(0.5),
            lost(1, 2),
        ));
    }
    rows
}
