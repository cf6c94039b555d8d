//! The headers of `bpf/`: each includes what it uses, so that no object depends on the order of its
//! includes.

use libbpf_rs::libbpf_sys::API_HEADERS;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where Debian keeps `asm/types.h`, for which clang does not look there for the BPF target.
const MULTIARCH: &str = "/usr/include/x86_64-linux-gnu";

/// What clang says of a header that is compiled alone; empty: nothing.
fn alone(header: &str, libbpf: &Path) -> String {
    let bpf = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
    let mut clang = Command::new(std::env::var_os("CLANG").unwrap_or_else(|| "clang".into()))
        .args(["-target", "bpf", "-D__TARGET_ARCH_x86", "-fsyntax-only", "-x", "c"])
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unused-function"])
        // The objects define the functions that hooks.h and adopt.h declare.
        .arg("-Wno-undefined-internal")
        .args([format!("-I{}", bpf.display()), format!("-I{}", libbpf.display())])
        .args([format!("-I{MULTIARCH}"), "-".into()])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("clang, which compiles bpf/, is installed");
    clang.stdin.take().unwrap().write_all(format!("#include \"{header}\"\n").as_bytes()).unwrap();
    String::from_utf8_lossy(&clang.wait_with_output().unwrap().stderr).into_owned()
}

#[test]
fn every_header_compiles_alone() {
    let libbpf = tempfile::tempdir().unwrap();
    fs::create_dir(libbpf.path().join("bpf")).unwrap();
    for (name, text) in API_HEADERS {
        fs::write(libbpf.path().join("bpf").join(name), text).unwrap();
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    let mut headers: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    headers.retain(|name| Path::new(name).extension().is_some_and(|of| of == "h"));
    assert!(headers.len() > 20, "{headers:?}");
    let wrong: Vec<String> = headers
        .iter()
        .map(|header| (header, alone(header, libbpf.path())))
        .filter(|(_, says)| !says.is_empty())
        .map(|(header, says)| format!("{header}: {says}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
