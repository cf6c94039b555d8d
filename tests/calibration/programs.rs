//! Random lawful command lines of real programs. Common options come often and rare ones seldom, so
//! that there is always something that few runs show.

use super::dice::{weighted, Dice};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// One start of a program in a directory of its own.
pub struct Start {
    pub arguments: Vec<String>,
    /// The file that it has as standard input.
    pub input: &'static str,
}

/// Thinks up a start.
pub type Generator = fn(&mut Dice, &Path) -> Start;

/// The programs that the rule of src/machine/coverage.rs was made with (by other runs of them), by
/// path.
pub const FITTED: [(&str, Generator); 9] = [
    ("/usr/bin/ls", ls),
    ("/usr/bin/tar", tar),
    ("/usr/bin/grep", grep),
    ("/usr/bin/sort", sort),
    ("/usr/bin/find", find),
    ("/usr/bin/sed", sed),
    ("/usr/bin/gzip", gzip),
    ("/usr/bin/sqlite3", sqlite3),
    ("/usr/bin/python3", python3),
];

/// Programs that nobody had looked at before the rule stood.
pub const FRESH: [(&str, Generator); 3] =
    [("/usr/bin/diff", diff), ("/usr/bin/cp", cp), ("/usr/bin/perl", perl)];

fn start(arguments: Vec<String>, input: &'static str) -> Start {
    Start { arguments, input }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// The files that the programs find.
pub fn scene(dice: &mut Dice, dir: &Path) {
    let file = |name: &str, lines: usize, dice: &mut Dice| {
        let mut text = String::new();
        for _ in 0..lines {
            let _ = writeln!(text, "{} line {} of a text", dice.below(100_000), dice.below(1000));
        }
        fs::write(dir.join(name), text).unwrap();
    };
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    let lines = [0, 1, 20, 400, 4000, 40_000][dice.below(6)];
    file("a.txt", lines, dice);
    file("b.txt", 100, dice);
    file("empty", 0, dice);
    file("sub/c.txt", 30, dice);
    file("sub/deep/d.conf", 3, dice);
    if dice.percent(30) {
        (0..300).for_each(|i| file(&format!("sub/f{i}"), 1, dice));
    }
    if dice.percent(30) {
        fs::write(dir.join("binary"), (0..=255_u8).cycle().take(70_000).collect::<Vec<_>>())
            .unwrap();
    }
    std::os::unix::fs::symlink("a.txt", dir.join("link")).unwrap();
    if dice.percent(20) {
        std::os::unix::fs::symlink("nowhere", dir.join("dangling")).unwrap();
    }
    if dice.percent(20) {
        fs::hard_link(dir.join("b.txt"), dir.join("hard")).unwrap();
    }
}

/// A program that prepares what another one is to read.
fn prepare(dir: &Path, program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

fn operands(dice: &mut Dice, list: &str, least: &str) -> Vec<String> {
    let mut chosen = dice.options(list);
    if chosen.is_empty() {
        chosen.push(least.into());
    }
    chosen
}

fn ls(dice: &mut Dice, _: &Path) -> Start {
    let mut arguments = dice.options(
        "
        50 -l | 30 -a | 20 -R | 20 -t | 15 -S | 10 -i | 10 -d | 15 -F | 10 -h | 10 -n
        10 -s | 15 --color=always | 5 --full-time | 5 -Z | 5 -L | 5 -U | 5 -f
        3 --time=birth | 3 --hyperlink | 2 --version | 2 --help | 2 --dired | 1 --nonsense
        ",
    );
    arguments.extend(dice.options(
        "
        50 . | 20 sub | 20 a.txt | 10 link | 10 missing | 5 /etc | 5 /dev | 3 /proc/self
        3 /root
        ",
    ));
    start(arguments, "/dev/null")
}

fn tar(dice: &mut Dice, dir: &Path) -> Start {
    prepare(dir, "/usr/bin/tar", &["-cf", "old.tar", "a.txt", "sub"]);
    let mut arguments = dice.options(
        "
        30 -v | 10 -p | 5 --totals | 5 --numeric-owner | 3 --checkpoint=10 | 3 --utc
        3 --no-recursion
        ",
    );
    let mode = dice.below(100);
    if mode < 35 {
        let name = if dice.percent(10) { "-" } else { "new.tar" };
        arguments.extend(strings(&["-cf", name]));
        arguments.extend(dice.options(
            "
            20 -z | 5 -J | 10 -h | 10 -S | 5 --remove-files | 10 --exclude=*.conf
            3 --listed-incremental=snapshot | 5 --sort=name | 3 --format=pax | 3 -W
            ",
        ));
        if dice.percent(10) {
            arguments.extend(strings(&["-C", "sub"]));
            arguments.push("c.txt".into());
        } else {
            arguments.extend(operands(
                dice,
                "50 sub | 30 a.txt | 20 empty | 20 link | 10 binary | 5 missing",
                "b.txt",
            ));
        }
    } else if mode < 55 {
        arguments.extend(strings(&[
            "-tf",
            dice.pick(&["old.tar", "old.tar", "old.tar", "a.txt", "missing.tar"]),
        ]));
        arguments.extend(dice.options("10 sub | 5 absent | 5 --wildcards | 5 -R"));
    } else if mode < 85 {
        fs::create_dir(dir.join("out")).unwrap();
        arguments.extend(strings(&["-xf", "old.tar"]));
        arguments.extend(dice.options(
            "
            10 -k | 10 --overwrite | 10 -m | 10 -O | 5 --no-same-owner | 5 --unlink-first
            5 --keep-newer-files | 5 --strip-components=1 | 3 --to-command=cat
            3 --delay-directory-restore | 5 --recursive-unlink
            ",
        ));
        if dice.percent(60) {
            arguments.extend(strings(&["-C", "out"]));
        }
        arguments.extend(dice.options("15 sub/c.txt | 3 absent"));
    } else if mode < 92 {
        arguments.extend(strings(&["-rf", "old.tar", "b.txt"]));
    } else if mode < 97 {
        arguments.extend(strings(&["-df", "old.tar"]));
    } else {
        arguments.extend(strings(&["--delete", "-f", "old.tar", "a.txt"]));
    }
    start(arguments, "/dev/null")
}

fn grep(dice: &mut Dice, dir: &Path) -> Start {
    fs::write(dir.join("patterns"), "line 1\ntext\n").unwrap();
    let mut arguments = dice.options(
        "
        30 -n | 20 -i | 20 -r | 10 -v | 10 -c | 10 -l | 10 -o | 10 -w | 5 -q | 5 -a | 5 -s
        5 -R | 5 -z | 5 --color=always | 5 -A2 | 5 -m1 | 5 -L | 5 -b | 5 --line-buffered
        5 --include=*.txt | 3 --devices=skip | 3 --binary-files=without-match | 2 -U
        1 --help | 1 --version
        ",
    );
    let syntax = dice.pick(&["-E", "-F", "-P"]);
    if dice.percent(20) {
        arguments.push(syntax.into());
    }
    let pattern =
        dice.pick(&["line", "line", "9.*7", "absent", "^$", "[0-9]\\{4\\}", "\\(a\\).*\\1"]);
    match dice.below(10) {
        0 => arguments.extend(strings(&["-f", "patterns"])),
        1 => arguments.extend(strings(&["-f", "missing", "-e", pattern])),
        _ => arguments.push(pattern.into()),
    }
    arguments.extend(dice.options(
        "
        50 a.txt | 30 b.txt | 20 sub | 10 binary | 10 empty | 10 link | 10 missing
        5 /dev/null | 5 -
        ",
    ));
    start(arguments, "b.txt")
}

fn sort(dice: &mut Dice, dir: &Path) -> Start {
    prepare(dir, "/usr/bin/sort", &["-o", "sorted", "b.txt"]);
    fs::write(dir.join("names"), "a.txt\0b.txt").unwrap();
    let mut arguments = dice.options(
        "
        30 -n | 30 -r | 20 -u | 20 -k2 | 10 -t  | 10 -s | 10 -f | 10 -V | 5 -R | 10 -S32k
        10 --parallel=1 | 10 --parallel=4 | 5 --batch-size=2 | 5 -z | 5 -h | 5 -M
        3 --debug | 5 -T. | 3 -T/missing | 5 --compress-program=gzip | 1 --help
        1 --version
        ",
    );
    match dice.below(12) {
        0 => arguments.extend(strings(&["-c", "sorted"])),
        1 => arguments.extend(strings(&["-m", "sorted", "sorted"])),
        2 => arguments.push("--files0-from=names".into()),
        3 => {}
        _ => {
            arguments.extend(dice.options("20 -oout | 5 -oa.txt"));
            arguments.extend(operands(
                dice,
                "60 a.txt | 30 b.txt | 10 empty | 10 link | 5 missing | 5 -",
                "sub/c.txt",
            ));
        }
    }
    start(arguments, "b.txt")
}

/// Only of what is in its own directory: it may delete.
fn find(dice: &mut Dice, _: &Path) -> Start {
    let mut arguments = dice.options("10 -L | 5 -H | 5 -O3");
    arguments.extend(dice.options("80 . | 20 sub | 5 missing | 5 a.txt"));
    for (chance, test) in weighted(
        "
        15 -maxdepth 1
        10 -depth
        5 -xdev
        5 -noleaf
        30 -name *.txt
        20 -type f
        10 -type d
        10 -size +1k
        10 -newer b.txt
        10 -empty
        10 -perm -u+r
        5 -user root
        5 -samefile b.txt
        5 -regex .*c.*
        5 -mmin -60
        5 -nouser
        3 -fstype tmpfs
        5 -links 2
        5 -lname a*
        3 -readable
        3 -xtype l
        3 -used 1
        ",
    ) {
        if dice.percent(chance) {
            arguments.extend(test.split(' ').map(String::from));
        }
    }
    let action = dice.below(100);
    let action = match action {
        0..50 => "",
        50..60 => "-ls",
        60..70 => "-print0",
        70..78 => "-printf %p:%s:%u:%t\\n",
        78..84 => "-exec true {} ;",
        84..90 => "-exec true {} +",
        90..92 => "-execdir true {} ;",
        92..94 => "-fprint list",
        94..96 => "-quit",
        96..98 => "-path ./sub -prune",
        _ => "-delete",
    };
    arguments.extend(action.split(' ').filter(|a| !a.is_empty()).map(String::from));
    start(arguments, "/dev/null")
}

fn sed(dice: &mut Dice, dir: &Path) -> Start {
    fs::write(dir.join("script"), "s/line/row/\n2d\n").unwrap();
    let mut arguments = dice.options(
        "
        20 -n | 15 -i | 5 -i.bak | 10 -E | 10 -s | 5 -z | 10 -u | 3 --follow-symlinks
        3 --debug | 3 --sandbox | 2 --posix | 1 --help | 1 --version
        ",
    );
    if dice.percent(10) {
        arguments.extend(strings(&["-f", "script"]));
    }
    for (chance, script) in weighted(
        "
        60 s/line/row/g
        20 3p
        20 1,5d
        10 =
        10 y/abc/xyz/
        10 $!N
        10 G
        5 r b.txt
        5 w written
        5 w /dev/stdout
        5 R sub/c.txt
        5 10q
        3 F
        3 1e true
        2 l
        1 broken
        ",
    ) {
        if dice.percent(chance) {
            arguments.extend(strings(&["-e", script]));
        }
    }
    arguments.extend(strings(&["-e", "p"]));
    arguments.extend(dice.options("50 a.txt | 30 b.txt | 10 empty | 10 link | 5 missing | 5 sub"));
    start(arguments, "b.txt")
}

fn gzip(dice: &mut Dice, dir: &Path) -> Start {
    prepare(dir, "/usr/bin/gzip", &["-kf", "b.txt", "sub/c.txt"]);
    let mut arguments = dice.options(
        "
        40 -k | 20 -f | 20 -v | 10 -q | 10 -9 | 10 -1 | 10 -n | 10 -N | 10 -r | 15 -c
        5 --rsyncable | 5 -S.z | 3 --synchronous | 1 --help | 1 --version
        ",
    );
    match dice.below(10) {
        0..4 => {
            arguments.extend(strings(&[
                "-d",
                dice.pick(&["b.txt.gz", "b.txt.gz", "b.txt", "missing.gz"]),
            ]));
        }
        4 => arguments.extend(strings(&["-t", dice.pick(&["b.txt.gz", "a.txt"])])),
        5 => arguments.extend(strings(&["-l", "b.txt.gz"])),
        _ => {
            arguments.extend(
                dice.options("60 a.txt | 20 b.txt | 20 sub | 10 empty | 10 link | 5 missing"),
            );
        }
    }
    start(arguments, "b.txt")
}

fn sqlite3(dice: &mut Dice, dir: &Path) -> Start {
    prepare(
        dir,
        "/usr/bin/sqlite3",
        &["old.db", "CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 'x');"],
    );
    fs::write(dir.join("rows.csv"), "1,x\n2,y\n").unwrap();
    fs::write(dir.join("more.sql"), "SELECT sum(a) FROM t;\n").unwrap();
    let mut script = Vec::new();
    for (chance, statement) in weighted("
        5 PRAGMA journal_mode=WAL;
        5 PRAGMA journal_mode=TRUNCATE;
        3 PRAGMA journal_mode=PERSIST;
        5 PRAGMA synchronous=OFF;
        3 PRAGMA locking_mode=EXCLUSIVE;
        3 PRAGMA mmap_size=1048576;
        3 PRAGMA cache_size=10;
        3 PRAGMA temp_store=FILE;
        40 INSERT INTO t VALUES(2, 'y');
        15 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n LIMIT 3000) INSERT INTO t SELECT i, hex(i*7919) FROM n;
        15 CREATE INDEX i ON t(b);
        10 UPDATE t SET b = b || 'z';
        10 DELETE FROM t WHERE a % 2;
        10 BEGIN; INSERT INTO t VALUES(3, 'z'); ROLLBACK;
        5 BEGIN; INSERT INTO t VALUES(3, 'z'); COMMIT;
        50 SELECT count(*) FROM t;
        20 SELECT * FROM t ORDER BY b;
        5 ATTACH 'other.db' AS o; CREATE TABLE o.u(x);
        10 CREATE TEMP TABLE s AS SELECT * FROM t;
        10 VACUUM;
        5 PRAGMA integrity_check;
        5 ANALYZE;
        3 DROP TABLE t;
        5 SELECT * FROM absent;
        2 PRAGMA wal_checkpoint(TRUNCATE);
        5 .dump
        5 .schema
        5 .backup copy.db
        5 .mode csv
        5 .import rows.csv t
        5 .output result
        5 .read more.sql
        3 .timer on
        3 .clone twin.db
        2 .databases
        2 .shell true
        ") {
        if dice.percent(chance) {
            script.push(statement);
        }
    }
    fs::write(dir.join("script"), script.join("\n") + "\n").unwrap();
    let mut arguments =
        dice.options("10 -readonly | 10 -csv | 5 -header | 5 -bail | 3 -echo | 2 -version");
    arguments.push(dice.pick(&["old.db", "old.db", "old.db", "new.db", ":memory:"]).into());
    start(arguments, "script")
}

fn python3(dice: &mut Dice, dir: &Path) -> Start {
    let mut script = String::from("import os\n");
    for (chance, snippet) in weighted(
        "
        30 import json; json.dumps({'a': 1})
        30 import re; re.findall('[0-9]+', open('b.txt').read())
        20 sorted(os.listdir('.'))
        20 open('out', 'w').write('x' * 100000)
        20 os.stat('a.txt').st_size
        10 list(os.walk('.'))
        10 import tempfile; tempfile.TemporaryFile().write(b'x')
        10 import threading; t = threading.Thread(target=print); t.start(); t.join()
        10 import subprocess; subprocess.run(['true'])
        10 import time; time.sleep(0.001)
        10 import hashlib; hashlib.sha256(b'x').hexdigest()
        5 import random; random.random()
        5 import shutil; shutil.copytree('sub', 'copy', dirs_exist_ok=True)
        5 import shutil; shutil.copy('a.txt', 'copied')
        5 import mmap; mmap.mmap(-1, 8192).close()
        5 import socket; a, b = socket.socketpair(); a.send(b'x'); b.recv(1)
        3 import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); s.close()
        3 import signal; signal.signal(signal.SIGUSR1, print); os.kill(os.getpid(), signal.SIGUSR1)
        3 r, w = os.pipe(); os.write(w, b'x'); os.read(r, 1)
        3 import select; select.select([], [], [], 0)
        3 import sqlite3; sqlite3.connect('x.db').execute('create table t(a)')
        3 import zipfile; zipfile.ZipFile('z.zip', 'w').write('b.txt')
        3 os.rename('b.txt', 'renamed'); os.rename('renamed', 'b.txt')
        3 os.chmod('a.txt', 0o600); os.unlink('empty')
        3 os.fork() or os._exit(0); os.wait()
        2 import asyncio; asyncio.run(asyncio.sleep(0.001))
        2 import multiprocessing as m; m.Value('i', 0)
        2 os.mkfifo('fifo')
        2 import fcntl; fcntl.flock(open('a.txt'), fcntl.LOCK_EX)
        2 import resource; resource.getrusage(0)
        2 os.urandom(8); os.getloadavg(); os.sched_getaffinity(0)
        2 x = bytearray(50_000_000); del x
        2 1 / 0
        ",
    ) {
        if dice.percent(chance) {
            let _ = writeln!(script, "{snippet}");
        }
    }
    fs::write(dir.join("script.py"), script).unwrap();
    let mut arguments = dice.options("30 -I | 10 -S | 5 -B | 5 -u | 5 -v | 3 -X | 2 -O");
    if let Some(at) = arguments.iter().position(|a| a == "-X") {
        arguments.insert(at + 1, "utf8".into());
    }
    arguments.push("script.py".into());
    start(arguments, "/dev/null")
}

fn diff(dice: &mut Dice, dir: &Path) -> Start {
    prepare(dir, "/usr/bin/cp", &["-r", "sub", "other"]);
    if dice.percent(50) {
        fs::write(dir.join("other/c.txt"), "changed\n").unwrap();
    }
    let mut arguments = dice.options(
        "
        30 -u | 20 -r | 10 -q | 10 -N | 10 -i | 10 -w | 10 -y | 5 -c | 5 -a | 5 -s
        5 --no-dereference | 5 --speed-large-files | 5 -I[0-9] | 3 -Sx | 3 -xf1
        3 --color=always | 3 -l | 1 --help | 1 --version
        ",
    );
    let pairs = [
        "a.txt b.txt",
        "a.txt b.txt",
        "a.txt a.txt",
        "sub other",
        "sub other",
        "sub other",
        "sub/c.txt other/c.txt",
        "- b.txt",
        "a.txt empty",
        "link a.txt",
        "b.txt missing",
        "sub/c.txt other",
        "dangling a.txt",
    ];
    arguments.extend(dice.pick(&pairs).split(' ').map(String::from));
    start(arguments, "b.txt")
}

fn cp(dice: &mut Dice, dir: &Path) -> Start {
    fs::create_dir(dir.join("to")).unwrap();
    fs::write(dir.join("to/b.txt"), "old\n").unwrap();
    let mut arguments = dice.options(
        "
        30 -r | 20 -p | 10 -a | 10 -v | 10 -f | 10 -u | 5 -n | 5 -l | 5 -s | 5 -L | 5 -P
        5 -b | 5 --reflink=never | 5 --sparse=always | 5 --remove-destination
        3 --attributes-only | 3 --parents | 3 -x | 1 --help | 1 --nonsense
        ",
    );
    arguments.extend(operands(
        dice,
        "
        50 a.txt | 30 b.txt | 30 sub | 15 link | 10 empty | 10 binary | 10 dangling
        5 missing | 5 hard
        ",
        "a.txt",
    ));
    arguments.push(dice.pick(&["to", "to", "to", "new", "missing/there"]).into());
    start(arguments, "/dev/null")
}

fn perl(dice: &mut Dice, dir: &Path) -> Start {
    let mut script = String::from("$| = 1;\n");
    for (chance, snippet) in weighted(
        "
        30 open(F, '<', 'a.txt'); while (<F>) { $n++ } close F;
        20 open(G, '>', 'out'); print G 'x' x 100000; close G;
        20 print join ',', sort glob('*.txt');
        15 opendir(D, '.'); @e = readdir D; closedir D;
        10 use POSIX; print POSIX::getpid();
        10 print `true`;
        10 system('true');
        10 @s = stat 'b.txt';
        10 $h{$_ % 977} .= 'x' x 50 for 1..20000;
        5 rename 'b.txt', 'c'; rename 'c', 'b.txt';
        5 mkdir 'd'; rmdir 'd';
        5 unlink 'empty';
        5 symlink 'a.txt', 's'; readlink 's';
        5 select(undef, undef, undef, 0.001);
        5 print -r 'a.txt', -d 'sub', -l 'link';
        5 pipe(R, W); syswrite W, 'x'; sysread R, $b, 1;
        5 unless (fork) { exit } wait;
        5 use Data::Dumper; print Dumper([1, {a => 2}]);
        3 use File::Temp; File::Temp->new;
        3 use Socket; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0); syswrite A, 'x'; sysread B, $b, 1;
        3 $SIG{USR1} = sub { print 'got' }; kill 'USR1', $$;
        3 use File::Find; find(sub { $n++ }, '.');
        3 use Digest::MD5; print Digest::MD5::md5_hex('x');
        3 utime 1, 2, 'a.txt'; chmod 0600, 'a.txt';
        2 truncate 'b.txt', 10;
        2 use Time::HiRes; Time::HiRes::usleep(1000);
        2 eval { local $SIG{ALRM} = sub { die }; alarm 1; alarm 0; };
        2 print <STDIN>;
        2 die 'over';
        ",
    ) {
        if dice.percent(chance) {
            let _ = writeln!(script, "{snippet}");
        }
    }
    fs::write(dir.join("script.pl"), script).unwrap();
    let mut arguments = dice.options("20 -w | 10 -Mwarnings | 5 -Mutf8 | 5 -T | 2 -c");
    arguments.push("script.pl".into());
    start(arguments, "b.txt")
}
