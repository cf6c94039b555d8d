//! What a policy's path means at an exec, with nobody there to read it again: the policies are
//! loaded once, their agent has ended, and the first thing that a new file does is the attack.
//! docs/identity.md says what is to come out.

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::scope;

use sysfsm_testing::lab::Lab;
use sysfsm_testing::pin_directory::PinDirectory;
use sysfsm_testing::shell::{attack, lives, Shell, ECHOES, TAKEN_OVER};

/// Has policies enforced, by nobody.
#[track_caller]
pub(super) fn hold(lab: &Lab, policies: &Path, options: &[&str]) -> PinDirectory {
    let pins = PinDirectory::new(lab);
    let mut agent = pins.enforce(policies, &["--at-most", "kill", "--detach"]);
    lab.start(agent.args(options)).end().well("the agent");
    assert_eq!(pins.status(lab).1["has_agent"], false);
    pins
}

/// A shell that is held to its policy, in a directory of its own.
struct Held {
    // Ends before its directory does.
    _pins: PinDirectory,
    shell: Shell,
    lab: Lab,
}

impl Held {
    fn new() -> Self {
        let lab = Lab::new();
        fs::create_dir(lab.path("bin")).unwrap();
        let shell = Shell::new(&lab, "bin/shell");
        let pins = hold(&lab, &shell.policy, &[]);
        Held { _pins: pins, shell, lab }
    }

    fn path(&self) -> &Path {
        &self.shell.binary
    }

    /// Another file of the same bytes.
    fn another(&self, name: &str) -> PathBuf {
        self.lab.copy(Path::new("/bin/dash"), name)
    }

    /// Asserts that the program at a path is bound: what it does first is the attack.
    #[track_caller]
    fn bound(&self, path: &Path, what: &str) {
        assert!(attack(&self.lab, path).killed(), "{what}: the attack was not stopped");
        assert!(lives(&self.lab, path), "{what}: lawful work was hurt");
    }

    #[track_caller]
    fn free(&self, path: &Path, what: &str) {
        assert!(attack(&self.lab, path).status.success(), "{what}: it is bound");
        assert!(lives(&self.lab, path), "{what}: lawful work was hurt");
    }

    /// Runs a shell's commands in namespaces of their own; what `look PROGRAM` has seen there, a
    /// line each: [`BOUND`] or [`FREE`].
    #[track_caller]
    fn apart(&self, namespaces: &[&str], commands: &str) -> Vec<String> {
        apart(&self.lab, namespaces, self.path(), commands)
    }
}

const BOUND: &str = "137 lives";
const FREE: &str = "0 lives";

/// `$BINARY` is the bound path, `$HERE` the test's directory.
#[track_caller]
fn apart(lab: &Lab, namespaces: &[&str], binary: &Path, commands: &str) -> Vec<String> {
    // A shell that finds the right directory in PWD does not ask for it, as the one did that was
    // learned from.
    const LOOK: &str = r#"
        look() {
            attacked=0
            echo a | PWD=/dev "$@" -c "$TAKEN_OVER" >&2 || attacked=$?
            did=$(echo a | PWD=/dev "$@" -c "$ECHOES") || did=
            [ "$did" = a ] && echo "$attacked lives" || echo "$attacked hurt"
        }"#;
    let mut unshare = Command::new("unshare");
    unshare.args(namespaces).args([
        "bash",
        "-euc",
        &format!("{LOOK}\n{commands}"),
        sysfsm_testing::binary(),
    ]);
    unshare.env("TAKEN_OVER", TAKEN_OVER).env("ECHOES", ECHOES);
    unshare.env("BINARY", binary).env("HERE", lab.path(""));
    let said = lab.start(&mut unshare).end().well("the commands").stdout;
    said.lines().map(String::from).collect()
}

#[test]
fn a_new_file_in_the_place_of_the_old_one_is_bound() {
    let held = Held::new();
    held.bound(held.path(), "the file that was there");

    fs::rename(held.path(), held.lab.path("old")).unwrap();
    fs::rename(held.another("newer"), held.path()).unwrap();
    held.bound(held.path(), "another file moved there");
    held.bound(&held.lab.path("old"), "the one that was moved away");

    fs::rename(held.another("newest"), held.path()).unwrap();
    held.bound(held.path(), "another file moved over it");

    fs::remove_file(held.path()).unwrap();
    held.another("bin/shell");
    held.bound(held.path(), "removed and made anew");

    fs::rename(held.lab.path("bin"), held.lab.path("gone")).unwrap();
    fs::create_dir(held.lab.path("bin")).unwrap();
    held.another("bin/shell");
    held.bound(held.path(), "its directory made anew");
    held.free(&held.lab.path("gone/shell"), "one that has left its place");
}

/// A package with a shell in it, in this version.
fn package(lab: &Lab, version: &str) -> PathBuf {
    let tree = lab.fresh("tree");
    for directory in ["DEBIAN", "opt/tool"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    let control = format!(
        "Package: sysfsm-test\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n\
         Description: a shell to attack\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let mut bytes = fs::read("/bin/dash").unwrap();
    // Behind all that is ever mapped.
    bytes.extend_from_slice(version.as_bytes());
    fs::write(tree.join("opt/tool/shell"), bytes).unwrap();
    fs::set_permissions(tree.join("opt/tool/shell"), fs::Permissions::from_mode(0o755)).unwrap();
    let file = lab.fresh("package.deb");
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]).arg(&tree).arg(&file);
    lab.start(&mut build).end().well("dpkg-deb");
    file
}

#[test]
fn a_package_upgrade_is_bound() {
    let lab = Lab::new();
    let root = lab.path("root");
    for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let install = |package: &Path| {
        let mut dpkg = Command::new("dpkg");
        // Its tools for the administrator are not in everybody's path.
        dpkg.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        dpkg.arg(format!("--root={}", root.display())).args([
            "--force-not-root",
            "--force-unsafe-io",
            "--install",
        ]);
        lab.start(dpkg.arg(package)).end().well("dpkg");
    };
    let (first, second) = (package(&lab, "1"), package(&lab, "2"));
    install(&first);
    let installed = root.join("opt/tool/shell");
    let policy = lab.learn(&installed, &[(&["-c", ECHOES], "a\nb\nc")]);
    let _pins = hold(&lab, &policy, &[]);
    assert!(attack(&lab, &installed).killed(), "the first version");
    let before = fs::read(&installed).unwrap();
    let attacks = scope(|scope| {
        let upgrade = scope.spawn(|| install(&second));
        let mut attacks = 0;
        while !upgrade.is_finished() {
            assert!(attack(&lab, &installed).killed(), "attack {attacks} while it is upgraded");
            attacks += 1;
        }
        upgrade.join().unwrap();
        attacks
    });
    assert!(attacks > 0 && fs::read(&installed).unwrap() != before, "it was not upgraded");
    assert!(attack(&lab, &installed).killed(), "the second version");
    assert!(lives(&lab, &installed), "lawful work was hurt");
}

#[test]
fn mounts_do_not_hide_a_binary() {
    let held = Held::new();
    held.another("other");
    let seen = held.apart(
        &["--mount"],
        r#"
        touch elsewhere
        mount --bind "$BINARY" elsewhere; look ./elsewhere; look "$HERE/elsewhere"
        mkdir directory
        mount --bind bin directory; look directory/shell
        mount --bind other "$BINARY"; look "$BINARY"; look ./other
        mount -t tmpfs none bin; cp /bin/dash bin/shell; cp /bin/dash bin/other
        look "$BINARY"; look bin/other"#,
    );
    // The file elsewhere, twice, and in its directory; another file mounted there, and where that
    // one is; a file system mounted there, and another file in it.
    assert_eq!(seen, [BOUND, BOUND, BOUND, BOUND, FREE, BOUND, FREE]);
}

#[test]
fn a_layer_that_replaces_the_binary_does_not_hide_it() {
    let lab = Lab::new();
    let learned = Shell::new(&lab, "dash").policy;
    let binary = lab.path("merged/shell");
    let policy = lab.with(&learned, "binary", binary.to_str().unwrap().into());
    // Not seen from here: it is there in the other namespace only.
    let pins = hold(&lab, &policy, &["--allow-absent"]);
    let seen = apart(
        &lab,
        &["--mount"],
        &binary,
        r#"
        mkdir lower upper merged
        mount -t tmpfs none lower; mount -t tmpfs none upper
        mkdir upper/files upper/work; cp /bin/dash lower/shell
        mount -t overlay -o lowerdir=lower,upperdir=upper/files,workdir=upper/work none merged
        look merged/shell
        cp /bin/dash merged/new; mv merged/new "$BINARY"; look "$BINARY"
        ls upper/files/shell >&2
        rm merged/shell; cp /bin/dash merged/shell; look merged/shell
        look lower/shell"#,
    );
    assert_eq!(seen, [BOUND, BOUND, BOUND, FREE]);
    drop(pins);
}

/// Another root: all that there is, with an empty test's directory, in which there is another copy.
const ANOTHER_ROOT: &str = r#"
    mkdir -p root
    mount --rbind / root
    mount -t tmpfs none "root$HERE"
    mkdir -p "root$(dirname "$BINARY")"
    cp /bin/dash "root$BINARY"; cp /bin/dash "root$HERE/other""#;

#[test]
fn a_container_has_its_own_copy_at_the_path() {
    let held = Held::new();
    let seen = held.apart(
        &["--mount", "--pid", "--fork", "--kill-child"],
        &format!(
            r#"{ANOTHER_ROOT}
            look "root$BINARY"
            mkdir "root$HERE/old"
            cd root; pivot_root . ".$HERE/old"; cd /
            umount -l "$HERE/old"; mount -t proc proc /proc
            look "$BINARY"; look "$HERE/other"
            cd "$HERE"; look bin/shell
            cp /bin/dash new; mv new "$BINARY"; look "$BINARY""#
        ),
    );
    // From outside that is another path; from inside it is the one that is bound, and another file
    // is not.
    assert_eq!(seen, [FREE, BOUND, FREE, BOUND, BOUND]);
}

#[test]
fn a_changed_root_has_its_own_copy_at_the_path() {
    let held = Held::new();
    let seen = held.apart(
        &["--mount"],
        &format!(
            r#"{ANOTHER_ROOT}
            look chroot root "$BINARY"
            look chroot root "$HERE/other"
            look chroot root bash -c 'cd "$HERE" && PWD=/dev exec bin/shell "$@"' bash
            ln -sf "$HERE/other" "root$BINARY"; look chroot root "$BINARY""#
        ),
    );
    assert_eq!(seen, [BOUND, FREE, BOUND, BOUND]);
}

#[test]
fn links_lead_to_the_binary() {
    let held = Held::new();
    let (link, hard, alias) =
        (held.lab.path("link"), held.lab.path("hard"), held.lab.path("alias"));
    symlink(held.path(), &link).unwrap();
    fs::hard_link(held.path(), &hard).unwrap();
    symlink(held.lab.path("bin"), &alias).unwrap();
    let ways = [&link, &hard, &alias.join("shell")];
    for way in ways {
        held.bound(way, "a link");
    }
    // The hard link is the old file.
    fs::rename(held.another("newer"), held.path()).unwrap();
    for way in ways {
        held.bound(way, "a link, and a new file");
    }
    fs::rename(held.another("newest"), held.path()).unwrap();
    fs::hard_link(held.path(), held.lab.path("new-hard")).unwrap();
    held.free(
        &held.lab.path("new-hard"),
        "a hard link elsewhere to a file that came after the policies",
    );
}

#[test]
fn a_path_that_becomes_a_link_to_another_file_is_bound() {
    let held = Held::new();
    let (first, second) = (held.another("first"), held.another("second"));
    let point_to = |file: &Path| {
        fs::remove_file(held.path()).unwrap();
        symlink(file, held.path()).unwrap();
    };
    for file in [&first, &second] {
        point_to(file);
        held.bound(held.path(), "the link");
        held.free(file, "the file itself");
    }
    let mut near = Command::new("/bin/sh");
    near.args([
        "-c",
        &format!("cd {}/bin && exec ./shell -c '{TAKEN_OVER}'", held.lab.path("").display()),
    ]);
    let mut near = held.lab.start(&mut near);
    near.say("a");
    assert!(near.end().killed(), "the link, from its directory");
    // Limits: neither the file's place nor the path that was given is the bound one.
    let other = held.lab.path("link");
    symlink(held.path(), &other).unwrap();
    held.free(&other, "another link to the link");
    held.free(&held.lab.path("bin/../bin/shell"), "the link, by a detour");
}

#[test]
fn a_deleted_binary_that_execs_itself_stays_bound() {
    const AGAIN: &str = "read y; echo \"$y\"; [ \"$y\" != attack ] || kill -0 $$; echo survived";
    let lab = Lab::new();
    let binary = lab.copy(Path::new("/bin/dash"), "shell");
    let script = format!("read x; PWD=/dev; exec /proc/self/exe -c '{AGAIN}'");
    let arguments = ["-c", script.as_str()];
    let policy = lab.learn(&binary, &[(&arguments, "again\nwork"), (&["-c", AGAIN], "work")]);
    let _pins = hold(&lab, &policy, &[]);
    for replaced in [false, true] {
        for line in ["attack", "work"] {
            let mut running = lab.start(Command::new(&binary).args(arguments));
            let file = fs::metadata(&binary);
            // It waits for its first line, and its file goes.
            let exe = PathBuf::from(format!("/proc/{}/exe", running.pid()));
            while fs::read_link(&exe).unwrap() != binary {
                std::thread::yield_now();
            }
            file.unwrap();
            if replaced {
                fs::rename(lab.copy(Path::new("/bin/dash"), "newer"), &binary).unwrap();
            } else {
                fs::remove_file(&binary).unwrap();
            }
            running.say("again");
            running.say(line);
            let ended = running.end();
            if line == "work" {
                assert_eq!(ended.well("lawful work").stdout, "work\nsurvived\n");
            } else {
                assert!(ended.killed(), "replaced: {replaced}: {}", ended.stdout);
            }
            lab.copy(Path::new("/bin/dash"), "shell");
        }
    }
}

/// Runs a program that Python has got hold of by `how`; its descriptor is `fd`, then.
#[track_caller]
fn exec(held: &Held, how: &str, path: &Path, script: &str) -> sysfsm_testing::lab::Ended {
    let code = format!(
        "import ctypes, os, sys\npath, arguments = sys.argv[1], ['shell', '-c', sys.argv[2]]\n{how}\n\
         os.execve(fd, arguments, os.environ)"
    );
    let mut python = Command::new("/usr/bin/python3");
    let mut running = held.lab.start(python.args(["-c", &code]).arg(path).arg(script));
    running.say("a");
    running.end()
}

#[test]
fn a_descriptor_leads_to_the_binary_and_memory_does_not() {
    const OPEN: &str = "fd = os.open(path, os.O_RDONLY)";
    // execveat(2), relative to a directory.
    const BESIDE: &str = "
fd = os.open(os.path.dirname(path), os.O_RDONLY)
texts = lambda list: (ctypes.c_char_p * (len(list) + 1))(*[text.encode() for text in list], None)
name = ctypes.c_char_p(os.path.basename(path).encode())
ctypes.CDLL(None).syscall(322, fd, name, texts(arguments), texts(['PWD=/dev']), 0)
sys.exit('execveat')";
    const COPY: &str = "
fd = os.memfd_create('shell')
os.write(fd, open(path, 'rb').read())";
    let held = Held::new();
    for turn in ["the file that was there", "a new file"] {
        for how in [OPEN, BESIDE] {
            assert!(exec(&held, how, held.path(), TAKEN_OVER).killed(), "{turn}: {how}");
            assert_eq!(exec(&held, how, held.path(), ECHOES).well(turn).stdout, "a\n", "{how}");
        }
        exec(&held, COPY, held.path(), TAKEN_OVER).well("a copy in memory");
        fs::rename(held.another("newer"), held.path()).unwrap();
    }
}

#[test]
fn a_program_that_the_loader_starts_is_not_bound() {
    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
    let held = Held::new();
    let path = held.path().to_str().unwrap();
    held.lab.run(Path::new(LOADER), &[path, "-c", TAKEN_OVER], "a").well("by the loader");
    assert!(attack(&held.lab, held.path()).killed());
}

#[test]
fn another_file_with_the_number_of_a_deleted_one_is_not_bound() {
    let lab = Lab::new();
    let learned = Shell::new(&lab, "dash").policy;
    let binary = lab.path("disk/shell");
    let policy = lab.with(&learned, "binary", binary.to_str().unwrap().into());
    let pins = PinDirectory::new(&lab);
    let commands = format!(
        r#"
        truncate -s 8M image; mkfs.ext4 -q image; mkdir disk; mount -o loop image disk
        cp /bin/dash disk/shell
        "$0" enforce --at-most kill --detach --pins {} --policy {} >&2
        look disk/shell
        number=$(stat -c %i disk/shell); rm disk/shell
        cp /bin/dash disk/other; [ "$(stat -c %i disk/other)" = "$number" ] || echo another number
        look disk/other
        mv disk/other disk/shell; look disk/shell"#,
        pins.0.display(),
        policy.display()
    );
    assert_eq!(apart(&lab, &["--mount"], &binary, &commands), [BOUND, FREE, BOUND]);
}

/// A script, bound by its path, and its interpreter, which is not bound.
#[test]
fn a_script_is_bound_by_the_path_that_is_given() {
    let lab = Lab::new();
    let interpreter = lab.copy(Path::new("/bin/dash"), "interpreter");
    fs::create_dir(lab.path("bin")).unwrap();
    let write = |name: &str| {
        let path = lab.path(name);
        let body = "read x; echo \"$x\"; [ \"$x\" != attack ] || exec /bin/true; exit 0";
        fs::write(&path, format!("#!{}\n{body}\n", interpreter.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let script = write("bin/script");
    let policy = lab.learn(&script, &[(&[], "work")]);
    let _pins = hold(&lab, &policy, &[]);
    let run = |commands: &str, line: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "bash", "-euc", commands]);
        let mut running = lab.start(shell.env("HERE", lab.path("")).env("SCRIPT", &script));
        running.say(line);
        running.end()
    };
    let in_another_root =
        format!("export BINARY=$SCRIPT; {ANOTHER_ROOT}\ncp -p \"$SCRIPT\" \"root$SCRIPT\"\n")
            + "cp -p interpreter \"root$HERE\"; PWD=/dev exec chroot root \"$SCRIPT\"";
    let descriptor =
        "exec 3<\"$SCRIPT\"; PWD=/dev exec python3 -c 'import os; os.set_inheritable(3, True); \
                      os.execve(3, [\"script\"], os.environ)'";
    // Who starts it by a detour is not the one who takes it over: docs/identity.md.
    for (how, is_bound) in [
        ("PWD=/dev exec \"$SCRIPT\"", true),
        ("PWD=/dev exec bin/script", true),
        ("cd bin; PWD=/dev exec ./script", true),
        (&in_another_root, true),
        ("cd /; PWD=/dev exec \"${SCRIPT#/}\"", true),
        ("mkdir -p elsewhere; mount --bind bin elsewhere; PWD=/dev exec elsewhere/script", false),
        ("PWD=/dev exec bin/../bin/script", false),
        ("ln -sf \"$SCRIPT\" link; PWD=/dev exec ./link", false),
        (descriptor, false),
        ("PWD=/dev exec ./interpreter \"$SCRIPT\"", false),
    ] {
        for turn in ["the file that was there", "a new file"] {
            let attacked = run(how, "attack");
            assert_eq!(
                attacked.killed(),
                is_bound,
                "{how}: {turn}: {}{}",
                attacked.status,
                attacked.stderr
            );
            assert_eq!(run(how, "work").well(how).stdout, "work\n");
            fs::rename(write("newer"), &script).unwrap();
        }
    }
}
