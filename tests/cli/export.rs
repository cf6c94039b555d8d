//! Exports, each in front of its real reader: the OCI's rules, systemd, seccompiler and the kernel.

use serde_json::{json, Value};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use sysfsm::export::{export, Format};
use sysfsm::policy::{load, parse, Policy};
use sysfsm_testing::command::{sysfsm, text};
use sysfsm_testing::fixture;
use tempfile::TempDir;

const ACTIONS: [&str; 3] = ["kill", "deny", "log"];

fn policy(action: &str, calls: &[&str]) -> Policy {
    let text = json!({"sysfsm": 1, "binary": "/bin/x", "action": action, "transitions": {"execve": calls}});
    parse(text.to_string().as_bytes()).unwrap()
}

/// The policies of real programs, under each action.
fn real() -> Vec<Policy> {
    let all = load(&[PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/policies"))]).unwrap();
    let under = |action: &str| {
        let action = policy(action, &[]).action;
        all.iter().map(move |l| Policy { action, ..l.policy.clone() }).collect::<Vec<_>>()
    };
    ACTIONS.iter().flat_map(|action| under(action)).collect()
}

#[test]
fn an_oci_profile_fits_the_specification() {
    let schema = include_str!("oci-seccomp.schema.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
    let policies = real();
    assert!(policies.len() >= 3 * 8);
    for policy in policies {
        let profile: Value =
            serde_json::from_str(&export(&policy, Format::SeccompOci).text).unwrap();
        let errors: Vec<String> = schema.iter_errors(&profile).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", policy.binary);
    }
    // That the schema can refuse.
    let profile: Value =
        serde_json::from_str(&export(&policy("deny", &["read"]), Format::SeccompOci).text).unwrap();
    for (place, wrong) in [
        ("/defaultAction", json!("SCMP_ACT_DENY")),
        ("/defaultErrnoRet", json!("EPERM")),
        ("/architectures/0", json!("x86_64")),
        ("/syscalls/0/names", json!([])),
        ("/syscalls/0", json!({"names": ["read"]})),
    ] {
        let mut bad = profile.clone();
        *bad.pointer_mut(place).expect(place) = wrong;
        assert!(!schema.is_valid(&bad), "{place}");
    }
}

/// What systemd says of a service with this drop-in.
fn verify(drop_in: &str) -> String {
    let dir = TempDir::new().unwrap();
    fs::write(
        dir.path().join("x.service"),
        "[Service]\nExecStart=/bin/true\nSystemCallFilter=@system-service\n",
    )
    .unwrap();
    fs::create_dir(dir.path().join("x.service.d")).unwrap();
    fs::write(dir.path().join("x.service.d/sysfsm.conf"), drop_in).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(dir.path().join("x.service"))
        .env_remove("SYSTEMD_LOG_LEVEL")
        .output()
        .expect("systemd-analyze runs (Debian's package systemd)");
    assert!(output.status.success(), "{output:?}");
    text(&output.stderr)
}

#[test]
fn systemd_takes_a_drop_in_without_a_word() {
    for policy in real() {
        let drop_in = export(&policy, Format::Systemd).text;
        assert_eq!(verify(&drop_in), "", "{}\n{drop_in}", policy.binary);
    }
}

#[test]
fn systemd_complains_of_a_misspelled_call_and_of_a_misspelled_key() {
    let drop_in = export(&policy("deny", &["pwrite64"]), Format::Systemd).text;
    for (right, wrong) in [("pwrite64", "pwrit64"), ("SystemCallErrorNumber", "SystemCallErrno")] {
        let complaint = verify(&drop_in.replace(right, wrong));
        assert!(complaint.contains(wrong), "{wrong}: {complaint}");
    }
}

/// The BPF program that seccompiler makes of an export.
fn compile(json: &str) -> seccompiler::BpfProgram {
    let arch = seccompiler::TargetArch::x86_64;
    let mut filters =
        seccompiler::compile_from_json(json.as_bytes(), arch).expect("seccompiler takes it");
    assert_eq!(filters.len(), 1);
    filters.remove("main").unwrap()
}

#[test]
fn seccompiler_knows_every_call_that_is_exported() {
    for policy in real() {
        compile(&export(&policy, Format::SeccompJson).text);
    }
    let all: Vec<&str> = (0..1024).filter_map(sysfsm::syscall::name).collect();
    assert!(all.len() > 300);
    let whole = export(&policy("kill", &all), Format::SeccompJson);
    compile(&whole.text);
    // A policy has no transition from `execve` to itself, and none to the kernel's own calls:
    // `restart_syscall`, `uretprobe`, `uprobe`.
    assert_eq!(whole.calls.len() + whole.unsupported.len(), all.len() - 4);
    // That it can refuse.
    let wrong = whole.text.replace("\"openat\"", "\"opnat\"");
    assert!(
        seccompiler::compile_from_json(wrong.as_bytes(), seccompiler::TargetArch::x86_64).is_err()
    );
}

#[test]
fn the_kernel_lets_by_what_the_policy_has_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let child = |action: &str, tries: &str| -> ExitStatus {
        let file = dir.path().join("filter.json");
        // What the child needs for its trial, and the end of a process.
        let policy = policy(action, &["getppid", "write", "close", "munmap", "sigaltstack"]);
        fs::write(&file, export(&policy, Format::SeccompJson).text).unwrap();
        Command::new(fixture("filtered")).args([file.as_os_str(), tries.as_ref()]).status().unwrap()
    };
    for action in ACTIONS {
        assert_eq!(child(action, "getppid").code(), Some(0), "{action}: a call of the policy");
    }
    assert_eq!(child("kill", "socket").signal(), Some(libc::SIGSYS));
    assert_eq!(child("deny", "socket").code(), Some(10 + libc::EPERM));
    assert_eq!(child("log", "socket").code(), Some(0));
}

#[test]
fn the_command_writes_a_file_or_stdout_and_names_what_it_leaves_out() {
    let dir = TempDir::new().unwrap();
    let policy = r#"{"sysfsm": 1, "binary": "/bin/x",
        "transitions": {"@SIGUSR1": ["write"], "execve": ["io_uring_setup", "syscall_9999"]}}"#;
    fs::write(dir.path().join("p.json"), policy).unwrap();
    for format in ["seccomp-oci", "systemd", "seccomp-json"] {
        let shown = sysfsm(dir.path(), &["export", "p.json", "--format", format]);
        let stderr = text(&shown.stderr);
        assert_eq!(shown.status.code(), Some(0), "{stderr}");
        for part in [
            "`syscall_9999`",
            "`@SIGUSR1`",
            "allows io_uring_setup",
            "\nhint: ",
            "/bin/x: 2 calls, added",
        ] {
            assert!(stderr.contains(part), "{part:?} in {stderr}");
        }
        let written =
            sysfsm(dir.path(), &["export", "p.json", "--format", format, "-o", "out", "--json"]);
        assert!(written.status.success() && written.stdout.is_empty());
        assert_eq!(fs::read(dir.path().join("out")).unwrap(), shown.stdout);
        let report: Value = serde_json::from_slice(&written.stderr).expect("one object");
        assert_eq!(report["unsupported"], json!(["syscall_9999", "@SIGUSR1"]));
        assert_eq!(
            (&report["format"], &report["allowed"]),
            (&json!(format), &json!(["io_uring_setup", "write"]))
        );
        assert_eq!(report["warnings"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn the_command_takes_one_policy_and_a_known_format() {
    let dir = TempDir::new().unwrap();
    for name in ["a", "b"] {
        let policy = json!({"sysfsm": 1, "binary": format!("/bin/{name}"), "transitions": {"execve": ["brk"]}});
        fs::write(dir.path().join(format!("{name}.json")), policy.to_string()).unwrap();
    }
    for (args, part) in [
        (&["export", ".", "--format", "systemd"][..], "2 policies"),
        (&["export", "none.json", "--format", "systemd"], "none.json"),
        (&["export", "a.json", "--format", "selinux"], "selinux"),
        (&["export", "a.json"], "--format"),
        (&["export", "a.json", "--format", "systemd", "-o", "no/such/folder"], "no/such/folder"),
    ] {
        let output = sysfsm(dir.path(), args);
        let stderr = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
        assert!(stderr.starts_with("error: ") && stderr.contains(part), "{part:?} in {stderr}");
    }
}
