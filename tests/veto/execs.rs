//! An exec in any form is lawful where its call is, also where the hooks judge: in the middle of an
//! exec the kernel makes the call look like another one.

use crate::protection::with_calls;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sysfsm::kernel::{Enforcer, Level, Options};
use sysfsm::policy;
use sysfsm_testing::lab::Lab;

/// A 32-bit program that execs its first argument, with the others.
fn elf32(path: &Path) {
    const CODE: [u8; 31] = [
        0x8b, 0x5c, 0x24, 0x08, // mov ebx, [esp + 8]
        0x8d, 0x4c, 0x24, 0x08, // lea ecx, [esp + 8]
        0x31, 0xd2, // xor edx, edx
        0xb8, 0x0b, 0, 0, 0, // mov eax, 11: execve
        0xcd, 0x80, // int 0x80
        0xb8, 0x01, 0, 0, 0, // mov eax, 1: exit
        0xbb, 0x63, 0, 0, 0, // mov ebx, 99
        0xcd, 0x80, 0x90, 0x90,
    ];
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let size = HEADERS + u32::try_from(CODE.len()).unwrap();
    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    // An executable, for the i386; the entry, the program header, no sections.
    half(&mut file, 2);
    half(&mut file, 3);
    for value in [1, BASE + HEADERS, 52, 0, 0] {
        word(&mut file, value);
    }
    for value in [52, 32, 1, 0, 0, 0] {
        half(&mut file, value);
    }
    // All of it is loaded, to be read and executed.
    for value in [1, 0, BASE, BASE, size, size, 5, 0x1000] {
        word(&mut file, value);
    }
    file.extend(CODE);
    fs::write(path, file).unwrap();
    executable(path);
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_form_of_exec_lives_where_hooks_judge() {
    let lab = Lab::new();
    let (plain, at) = (lab.fixture("lawful"), lab.fixture_as("lawful", "at"));
    let other = lab.path("other-abi");
    elf32(&other);
    let script = lab.path("script");
    fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    executable(&script);
    // Each has only the call that it makes.
    let policies: Vec<PathBuf> =
        vec![with_calls(&lab, &plain, &["execveat"]), with_calls(&lab, &at, &["execve"])];
    let policies: Vec<_> =
        policy::load(&policies).unwrap().into_iter().map(|loaded| loaded.policy).collect();
    // A number that no program calls: all that it does is that the hooks judge.
    let options =
        Options { at_most: Level::Contain, simulate_missed_nr: Some(1000), ..Options::default() };
    let mut enforcer = Enforcer::start(&policies, options).unwrap();
    assert_eq!(enforcer.level(), Level::Contain);
    let (script, other) = (script.to_str().unwrap(), other.to_str().unwrap());
    for (program, forms) in
        [(&plain, &["execve", "thread"][..]), (&at, &["execveat", "empty", "thread-at"])]
    {
        for form in forms {
            let again = [other, plain.to_str().unwrap(), "exec", "execve", "/bin/true"];
            for to in [&["/bin/true"][..], &[script], &[other, "/bin/true"], &again] {
                // The interpreter is given a descriptor that the exec closes.
                if *form == "empty" && to == [script] {
                    continue;
                }
                let arguments = [&["exec", form], to].concat();
                let ended = lab.run(program, &arguments, "");
                assert!(ended.status.success(), "{arguments:?}: {} {}", ended.status, ended.stderr);
            }
        }
    }
    enforcer.detach();
    let mut violations = Vec::new();
    while enforcer.poll(Duration::ZERO, |violation| violations.push(violation)).unwrap() > 0 {}
    assert!(violations.is_empty(), "{violations:?}");
    assert!(enforcer.totals().unwrap().judged > 0);
}
