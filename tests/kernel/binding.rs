//! Which processes a policy is about, and which not.

use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use sysfsm_testing::binary;
use sysfsm_testing::lab::Lab;

#[test]
fn two_policies_at_once_do_not_mix() {
    let lab = Lab::new();
    let (one, two) = (lab.fixture_as("victim", "one"), lab.fixture("forks"));
    let third = lab.fixture_as("victim", "third");
    let policies = [lab.learn(&one, &[(&[], "work")]), lab.learn(&two, &[(&[], "")])];
    let enforcement = lab.enforce(&[&policies[0], &policies[1]], &[]);
    for _ in 0..10 {
        lab.run(&one, &[], "work").well("the first");
        lab.run(&two, &[], "").well("the second");
        assert!(lab.run(&one, &[], "attack kill-other").killed());
        assert!(lab.run(&two, &["violating", "1"], "").status.code() == Some(1));
        // The same bytes in another file are another binary.
        assert_eq!(lab.run(&third, &[], "attack kill-other").status.code(), Some(42));
    }
    let report = enforcement.stop();
    for (program, violations) in [(&one, 10), (&two, 10)] {
        let found =
            report.violations.iter().filter(|v| v["policy"] == program.to_str().unwrap()).count();
        assert_eq!(found, violations, "{}", program.display());
    }
    assert_eq!(report.violations.len(), 20);
}

#[test]
fn a_file_name_of_sixty_characters_binds_by_path_and_by_name() {
    let lab = Lab::new();
    // The first 15 characters, all that `comm` has, are those of another program.
    let name = format!("{:a<60}", "victim-with-a-long-name-");
    let (long, other) = (lab.fixture_as("victim", &name), lab.fixture_as("victim", &name[..59]));
    let by_path = lab.learn(&long, &[(&[], "work")]);
    for policy in [by_path.clone(), lab.with(&by_path, "binary", json!(name))] {
        let enforcement = lab.enforce(&[&policy], &[]);
        lab.run(&long, &[], "work").well("lawful work");
        assert!(lab.run(&long, &[], "attack kill-other").killed());
        assert_eq!(lab.run(&other, &[], "attack kill-other").status.code(), Some(42));
        assert_eq!(enforcement.stop().violations.len(), 1);
    }
}

#[test]
fn a_script_has_its_own_policy_and_not_its_interpreters() {
    let lab = Lab::new();
    let shell = lab.copy(Path::new("/bin/dash"), "shell");
    let script = |name: &str, body: &str| {
        let path = lab.path(name);
        fs::write(&path, format!("#!{}\n{body}\n", shell.display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let body = "read -r command; [ \"$command\" = work ] || kill -0 1; exit 0";
    let (bound, free) = (script("bound", body), script("free", body));
    let of_script = lab.learn(&bound, &[(&[], "work")]);
    // What the shell does when it runs nothing is far less than what a script needs.
    let of_shell = lab.learn(&shell, &[(&["-c", ":"], "")]);
    let enforcement = lab.enforce(&[&of_script, &of_shell], &[]);
    lab.run(&bound, &[], "work").well("the script");
    assert!(lab.run(&bound, &[], "attack").killed(), "the script's policy holds");
    lab.run(&free, &[], "attack").well("a script without a policy");
    lab.run(&shell, &["-c", ":"], "").well("the shell itself");
    assert!(lab.run(&shell, &["-c", "kill -0 1"], "").killed(), "the shell's own policy holds");
    assert_eq!(enforcement.stop().violations.len(), 2);
}

#[test]
fn a_running_process_is_adopted() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let policy = lab.learn(&victim, &[(&[], "work"), (&[], "work")]);
    let mut running: Vec<_> =
        (0..10).map(|_| lab.start(&mut std::process::Command::new(&victim))).collect();
    // Until they wait for their command.
    std::thread::sleep(Duration::from_millis(500));
    let enforcement = lab.enforce(&[&policy], &[]);
    for (index, victim) in running.iter_mut().enumerate() {
        victim.say(if index % 2 == 0 { "work" } else { "attack unknown-call" });
    }
    for (index, victim) in running.into_iter().enumerate() {
        let ended = victim.end();
        if index % 2 == 0 {
            ended.well("adopted lawful work");
        } else {
            assert!(ended.killed(), "adopted: {}", ended.status);
        }
    }
    let report = enforcement.stop();
    assert_eq!(report.start["adopted"], 10);
    assert_eq!(report.violations.len(), 5);
}

#[test]
fn nothing_is_held_to_a_policy_any_more_when_enforcement_has_ended() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let policy = lab.learn(&victim, &[(&[], "work")]);
    let mut survivor = lab.start(&mut std::process::Command::new(&victim));
    let enforcement = lab.enforce(&[&policy], &[]);
    assert!(lab.run(&victim, &[], "attack unknown-call").killed());
    enforcement.stop();
    survivor.say("attack unknown-call");
    assert_eq!(survivor.end().status.code(), Some(42), "one that was watched");
    assert_eq!(lab.run(&victim, &[], "attack unknown-call").status.code(), Some(42), "a new one");
}

#[test]
fn a_script_is_known_by_every_spelling_of_its_path() {
    let lab = Lab::new();
    let shell = lab.copy(Path::new("/bin/dash"), "shell");
    let path = lab.path("bound");
    fs::write(
        &path,
        format!("#!{}\nread -r command; [ \"$command\" = work ] || kill -0 1\n", shell.display()),
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let policy = lab.learn(&path, &[(&[], "work")]);
    let folder = lab.path("");
    let above = folder.parent().unwrap();
    let within = |from: &Path| path.strip_prefix(from).unwrap().to_str().unwrap().to_string();
    let enforcement = lab.enforce(&[&policy], &[]);
    for (directory, spelling) in [
        (Path::new("/"), path.display().to_string()),
        (Path::new("/"), format!("/{}", path.display())),
        (Path::new("/"), within(Path::new("/"))),
        (folder.as_path(), "./bound".into()),
        (above, within(above)),
        (above, format!("./{}", within(above))),
    ] {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("cd {} && exec {spelling}", directory.display()));
        let mut running = lab.start(&mut shell);
        running.say("attack");
        assert!(running.end().killed(), "{spelling} from {}", directory.display());
    }
    assert_eq!(enforcement.stop().violations.len(), 6);
}

/// A shell's commands, in namespaces of their own.
#[track_caller]
fn apart(lab: &Lab, namespaces: &[&str], commands: &str, arguments: &[&Path]) -> String {
    let mut unshare = Command::new("unshare");
    unshare.args(namespaces).args(["bash", "-euc", commands]).arg(binary()).args(arguments);
    lab.start(&mut unshare).end().well("the commands").stdout
}

#[test]
fn a_file_is_known_where_stat_tells_another_device() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let merged = lab.path("merged/victim");
    let learned = lab.learn(&victim, &[(&[], "work")]);
    let policy = lab.with(&learned, "binary", merged.to_str().unwrap().into());
    // The lower layer and the upper one are different file systems: overlayfs makes up device
    // numbers.
    let commands = r#"
        mkdir lower upper merged
        mount -t tmpfs none lower; mount -t tmpfs none upper
        mkdir upper/files upper/work; cp "$1" lower/victim
        mount -t overlay -o lowerdir=lower,upperdir=upper/files,workdir=upper/work none merged
        echo work | "$0" enforce --at-most kill --policy "$2" -- merged/victim >&2
        status=0; echo attack unknown-call | "$0" enforce --at-most kill --policy "$2" -- merged/victim >&2 || status=$?
        echo "$status""#;
    assert_eq!(apart(&lab, &["--mount"], commands, &[&victim, &policy]), "137\n");
}

#[test]
fn a_process_is_adopted_in_a_process_namespace() {
    let lab = Lab::new();
    let victim = lab.fixture("victim");
    let policy = lab.learn(&victim, &[(&[], "work"), (&[], "work")]);
    let commands = r#"
        mkfifo line; exec 3<>line
        "$1" <line & victim=$!; sleep 0.5
        "$0" enforce --at-most kill --json --policy "$2" >events & enforcer=$!
        until grep -q '"event":"start"' events; do kill -0 $enforcer; sleep 0.05; done
        echo attack unknown-call >&3
        status=0; wait $victim || status=$?
        kill $enforcer; wait $enforcer; echo "$status""#;
    let namespaces = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    assert_eq!(apart(&lab, &namespaces, commands, &[&victim, &policy]), "137\n");
}
