//! Other users and the directory of pins: what they make there before is not followed, and what is
//! there they cannot reach.

use nix::unistd::chown;
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use sysfsm_testing::lab::{mode, Ended, Lab, NOBODY};
use sysfsm_testing::pin_directory::PinDirectory;
use sysfsm_testing::shell::Shell;

const KILL: [&str; 2] = ["--at-most", "kill"];

/// A bpf file system that everybody may write, as `mount -t bpf` makes it, and a directory of
/// root's with a file.
struct Place {
    lab: Lab,
    pins: PinDirectory,
    shell: Shell,
    precious: PathBuf,
}

impl Place {
    fn new() -> Self {
        let lab = Lab::new();
        mode(&lab.path(""), 0o711);
        let pins = PinDirectory::new(&lab);
        let above = fs::metadata(pins.0.parent().unwrap()).unwrap();
        assert_eq!(above.mode() & 0o7777, 0o1777, "everybody may write the file system");
        let shell = Shell::new(&lab, "shell");
        let precious = lab.path("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "").unwrap();
        Place { lab, pins, shell, precious }
    }

    /// Runs a line of the shell as nobody, in the bpf file system.
    fn nobody(&self, line: &str) -> bool {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", line]).uid(NOBODY).gid(NOBODY);
        shell.current_dir(self.pins.0.parent().unwrap());
        shell.env("PRECIOUS", &self.precious);
        shell.stderr(std::process::Stdio::null()).status().unwrap().success()
    }

    fn command(&self, subcommand: &str) -> Ended {
        let mut command = Command::new(binary());
        self.lab.start(command.args([subcommand, "--pins"]).arg(&self.pins.0)).end()
    }

    fn enforce(&self) -> Ended {
        self.lab.start(self.pins.enforce(&self.shell.policy, &KILL).arg("--detach")).end()
    }

    /// Asserts that each command that uses the directory is refused, names the path and what mends
    /// it, and that root's file is there.
    #[track_caller]
    fn refused(&self, path: &Path, hint: &str) {
        let commands = ["stop", "status", "reload"].map(|subcommand| self.command(subcommand));
        for ended in commands.into_iter().chain([self.enforce()]) {
            assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
            let path = path.display().to_string();
            assert!(ended.stderr.contains(&path), "{path}: {}", ended.stderr);
            assert!(ended.stderr.contains(hint), "{hint}: {}", ended.stderr);
            assert!(!ended.stderr.contains("nothing is enforced"), "{}", ended.stderr);
        }
        assert!(self.precious.join("file").exists(), "root has removed its own file");
    }
}

#[test]
fn what_another_user_has_made_first_is_refused() {
    let place = Place::new();
    let pins = &place.pins.0;
    let remove = format!("rm -r {}", pins.display());

    // The attack is able to work: whoever removes what is in it follows the link.
    assert!(place.nobody("mkdir sysfsm && ln -s $PRECIOUS sysfsm/1"));
    fs::remove_file(pins.join("1/file")).unwrap();
    fs::write(place.precious.join("file"), "").unwrap();
    place.refused(pins, &remove);

    // The directory is nobody's, whatever is in it.
    assert!(place.nobody("rm sysfsm/1; mkdir sysfsm/1; chmod 700 sysfsm"));
    place.refused(pins, &remove);
    assert!(place.nobody("rmdir sysfsm/1 sysfsm; ln -s $PRECIOUS sysfsm"));
    place.refused(pins, &remove);
    // A link of nobody's is not followed to a directory that root has made.
    fs::create_dir(place.lab.path("private")).unwrap();
    mode(&place.lab.path("private"), 0o700);
    assert!(place.nobody("rm sysfsm; ln -s ${PRECIOUS%/*}/private sysfsm"));
    place.refused(pins, &remove);

    // The hint mends it.
    assert!(Command::new("rm").arg("-r").arg(pins).status().unwrap().success());
    assert!(place.precious.join("file").exists());
    place.enforce().well("enforce, once the link is removed");
    place.pins.stop(&place.lab);
    assert!(!pins.exists());
}

#[test]
fn no_other_user_reaches_what_is_pinned() {
    let place = Place::new();
    place.enforce().well("enforce");
    for path in [&place.pins.0, &place.pins.0.join("1")] {
        let metadata = fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o700), "{}", path.display());
    }
    for line in [
        "mv sysfsm elsewhere",
        "rmdir sysfsm",
        "mv sysfsm/1 sysfsm/2",
        "mkdir sysfsm/2",
        "ls sysfsm",
        "flock --nonblock sysfsm true",
    ] {
        assert!(!place.nobody(line), "nobody can `{line}`");
    }
    assert!(place.nobody("mkdir other && flock --nonblock other true"), "flock can lock");
    assert!(place.nobody("rmdir other"));
    assert!(place.shell.attack(&place.lab).killed());
    assert_eq!(place.command("status").status.code(), Some(0));
    assert_eq!(place.pins.stop(&place.lab)["enforced"], true);
}

#[test]
fn a_directory_of_roots_that_others_could_use_is_refused() {
    let place = Place::new();
    let pins = place.pins.0.clone();
    place.enforce().well("enforce");
    let set = pins.join("1");
    for (path, permissions) in [(&pins, 0o755), (&pins, 0o777), (&set, 0o750), (&set, 0o1777)] {
        mode(path, permissions);
        place.refused(path, &format!("chmod 0700 {}", path.display()));
        mode(path, 0o700);
    }
    chown(&set, Some(NOBODY.into()), None).unwrap();
    place.refused(&set, &format!("rm -r {}", set.display()));
    chown(&set, Some(0.into()), None).unwrap();
    // Without the sticky bit others could take the directory away, and put theirs there.
    let above = pins.parent().unwrap();
    mode(above, 0o777);
    assert!(place.nobody("mv sysfsm elsewhere && mv elsewhere sysfsm"), "nobody can rename it");
    place.refused(above, &format!("chmod go-w {}", above.display()));
    mode(above, 0o1777);
    place.pins.stop(&place.lab);
}

/// Root may have links of its own: on the way, in place of the directory, not in it.
#[test]
fn links_of_roots_are_followed_to_the_directory_and_not_in_it() {
    let place = Place::new();
    let pins = &place.pins.0;
    symlink(pins.parent().unwrap(), place.lab.path("link")).unwrap();
    let through = PinDirectory(place.lab.path("link/sysfsm"));
    let mut enforce = through.enforce(&place.shell.policy, &KILL);
    place.lab.start(enforce.arg("--detach")).end().well("enforce");
    std::mem::forget(through);
    assert_eq!(place.command("status").status.code(), Some(0));
    symlink(&place.precious, pins.join("2")).unwrap();
    let stop = place.command("stop");
    assert_eq!(stop.status.code(), Some(2), "{}", stop.stdout);
    assert!(stop.stderr.contains("link"), "{}", stop.stderr);
    assert!(place.precious.join("file").exists());
    fs::remove_file(pins.join("2")).unwrap();
    place.pins.stop(&place.lab);
}
