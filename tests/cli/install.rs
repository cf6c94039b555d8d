//! `make install`: the binary, a man page for each command, completions that complete.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use sysfsm_testing::binary;
use tempfile::TempDir;

/// Runs a command to its good end; what it wrote to stdout.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `make TARGET` for the binary of this build, into a folder.
fn make(target: &str, to: &Path) {
    run(Command::new("make")
        .args([
            target,
            "PREFIX=/opt/x",
            &format!("DESTDIR={}", to.display()),
            &format!("BINARY={}", binary()),
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR")));
}

/// Every file under a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { [path].into() })
        .collect()
}

/// What is installed as documentation, in the repository: the pages and what they link to.
fn documents() -> BTreeSet<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = files(&root.join("docs"));
    found.extend(
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"].map(|file| root.join(file)),
    );
    found.iter().map(|file| file.strip_prefix(root).unwrap().to_path_buf()).collect()
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = run(Command::new(binary()).arg("--help"));
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(ToString::to_string).collect()
}

#[test]
fn install_puts_everything_under_destdir_and_prefix_and_uninstall_takes_it_away() {
    let dir = TempDir::new().unwrap();
    make("install", dir.path());
    let prefix = dir.path().join("opt/x");
    let mut want: BTreeSet<PathBuf> = [
        "bin/sysfsm",
        "lib/systemd/system/sysfsm-record@.service",
        "lib/systemd/system/sysfsm.service",
        "share/bash-completion/completions/sysfsm",
        "share/fish/vendor_completions.d/sysfsm.fish",
        "share/man/man1/sysfsm.1",
        "share/man/man5/sysfsm-policy.5",
        "share/zsh/site-functions/_sysfsm",
    ]
    .iter()
    .map(|file| prefix.join(file))
    .collect();
    let commands = commands();
    assert!(commands.len() >= 4, "{commands:?}");
    want.extend(
        commands.iter().map(|command| prefix.join(format!("share/man/man1/sysfsm-{command}.1"))),
    );
    let documents = documents();
    assert!(documents.contains(Path::new("README.md")), "{documents:?}");
    want.extend(documents.iter().map(|file| prefix.join("share/doc/sysfsm").join(file)));
    assert_eq!(files(dir.path()), want);
    for file in &want {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            mode,
            if file.ends_with("bin/sysfsm") { 0o755 } else { 0o644 },
            "{}",
            file.display()
        );
    }
    let unit = fs::read_to_string(prefix.join("lib/systemd/system/sysfsm.service")).unwrap();
    assert!(unit.contains("/opt/x/bin/sysfsm enforce --pin"), "{unit}");
    let unit =
        fs::read_to_string(prefix.join("lib/systemd/system/sysfsm-record@.service")).unwrap();
    assert!(unit.contains("/opt/x/bin/sysfsm record --binary"), "{unit}");
    make("uninstall", dir.path());
    assert_eq!(files(dir.path()), BTreeSet::new());
}

#[test]
fn each_man_page_names_its_command_and_its_options() {
    let dir = TempDir::new().unwrap();
    run(Command::new(binary()).args(["generate", "man"]).arg(dir.path()));
    let page = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    for command in commands() {
        let roff = page(&format!("sysfsm-{command}.1"));
        // The lines before it only choose an apostrophe.
        let first =
            roff.lines().find(|line| !line.starts_with(".ie") && !line.starts_with(".el")).unwrap();
        assert!(first.starts_with(&format!(".TH sysfsm-{command} 1")), "{first}");
        for section in
            [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"SEE ALSO\""]
        {
            assert!(roff.lines().any(|line| line == section), "{section} in {command}");
        }
        assert!(page("sysfsm.1").contains(&format!("sysfsm\\-{command}(1)")), "{command}");
    }
    assert!(page("sysfsm-extract.1").contains("\\-\\-depth"), "{}", page("sysfsm-extract.1"));
    assert!(!page("sysfsm.1").contains("generate"));
    assert!(page("sysfsm.1").contains("\n.SH FILES\n"));
}

#[test]
fn the_pages_refer_to_pages_that_are_installed_or_are_of_others() {
    let dir = TempDir::new().unwrap();
    run(Command::new(binary()).args(["generate", "man"]).arg(dir.path()));
    for file in files(dir.path()) {
        let roff = fs::read_to_string(&file).unwrap().replace("\\-", "-");
        let also = roff.split("\n.SH \"SEE ALSO\"\n").nth(1).unwrap();
        for page in
            also.lines().next().unwrap().split(", ").filter(|page| page.starts_with("sysfsm"))
        {
            let (name, section) = page.strip_suffix(')').unwrap().split_once('(').unwrap();
            assert!(
                dir.path().join(format!("{name}.{section}")).exists(),
                "{page} in {}",
                file.display()
            );
        }
    }
}

#[test]
fn the_page_of_the_policy_format_has_its_keys() {
    let dir = TempDir::new().unwrap();
    run(Command::new(binary()).args(["generate", "man"]).arg(dir.path()));
    let roff = fs::read_to_string(dir.path().join("sysfsm-policy.5")).unwrap();
    for key in ["binary", "cgroup", "depth", "action", "children", "runs", "transitions"] {
        assert!(roff.contains(&format!(".TP\n\\fB{key}\\fR\n")), "{key}\n{roff}");
    }
}

/// What bash offers for a line whose last word is under the cursor.
fn bash_completes(words: &[&str]) -> BTreeSet<String> {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("sysfsm");
    fs::write(&file, run(Command::new(binary()).args(["generate", "completions", "bash"])))
        .unwrap();
    // As bash does on a TAB: it asks which function completes the command, and calls it.
    let script = r#"source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        function=$(complete -p sysfsm | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" sysfsm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let offered =
        run(Command::new("bash").args(["--norc", "-c", script, "bash"]).arg(&file).args(words));
    offered.lines().map(ToString::to_string).collect()
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    let names = |list: &[&str]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    let ex = bash_completes(&["sysfsm", "ex"]);
    assert!(ex.is_superset(&names(&["export", "extract"])), "{ex:?}");
    assert!(ex.iter().all(|word| word.starts_with("ex")), "{ex:?}");
    assert_eq!(bash_completes(&["sysfsm", "generate"]), names(&[""]), "hidden");
    assert_eq!(bash_completes(&["sysfsm", "extract", "--dep"]), names(&["--depth"]));
    assert_eq!(
        bash_completes(&["sysfsm", "export", "--format", "seccomp-o"]),
        names(&["seccomp-oci"])
    );
}

#[test]
fn the_other_shells_get_a_script_that_knows_the_commands() {
    for (shell, start) in [("zsh", "#compdef sysfsm"), ("fish", "#")] {
        let script = run(Command::new(binary()).args(["generate", "completions", shell]));
        assert!(script.starts_with(start), "{shell}");
        for command in commands() {
            assert!(script.contains(&command), "{command} for {shell}");
        }
    }
}
