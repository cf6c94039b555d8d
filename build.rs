//! Makes what the crate is built from besides Rust: the system-call table, out of
//! `src/syscall/x86_64.tbl` and the system's `unistd_64.h`, and (feature `kernel`) the BPF objects
//! with their skeletons, out of `bpf/`.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::exit;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let unistd = unistd_path();
    syscall_table(&out, &unistd);
    #[cfg(feature = "kernel")]
    skeletons(&out, &unistd);
    #[cfg(feature = "kernel")]
    stamp(&out);
}

/// Ends the build with a message that names what is missing and what to install.
#[allow(clippy::print_stderr)]
fn fail(what: &str, hint: &str) -> ! {
    eprintln!("error: {what}\nhint: {hint}");
    exit(1);
}

/// Where distributions keep the header: Debian's multiarch folder, then the common one.
const UNISTD: [&str; 3] = [
    "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "/usr/include/asm/unistd_64.h",
    "/usr/x86_64-linux-gnu/include/asm/unistd_64.h",
];

fn unistd_path() -> String {
    println!("cargo::rerun-if-env-changed=SYSFSM_UNISTD");
    if let Ok(path) = env::var("SYSFSM_UNISTD") {
        return path;
    }
    match UNISTD.iter().find(|p| Path::new(p).exists()) {
        Some(path) => path.to_string(),
        None => fail(
            "no unistd_64.h under /usr/include",
            "install linux-libc-dev (Debian) or kernel-headers (Fedora), or set SYSFSM_UNISTD to the file",
        ),
    }
}

/// The calls that the source tree knows, whatever header the build machine has.
const TABLE: &str = "src/syscall/x86_64.tbl";

/// A line of the table.
struct Call {
    name: String,
    /// The kernel's function, without `__x64_sys_`.
    function: String,
}

fn syscall_table(out: &Path, path: &str) {
    println!("cargo::rerun-if-changed={TABLE}");
    println!("cargo::rerun-if-changed={path}");
    let read = |file: &str| {
        fs::read_to_string(file).unwrap_or_else(|e| {
            fail(
                &format!("cannot read the system-call table `{file}`: {e}"),
                "install linux-libc-dev (Debian), or set SYSFSM_UNISTD to an existing unistd_64.h",
            )
        })
    };
    let mut calls = parse_table(&read(TABLE));
    let header = parse_unistd(&read(path));
    if header.get(&59).map(String::as_str) != Some("execve") {
        fail(
            &format!("`{path}` is no x86-64 unistd_64.h: it does not define __NR_execve as 59"),
            "set SYSFSM_UNISTD to the x86-64 header (asm/unistd_64.h)",
        );
    }
    for (number, name) in header {
        let other = calls.iter().find(|(n, call)| (**n == number) != (call.name == name));
        if let Some((n, call)) = other {
            fail(
                &format!("`{path}` has {name} as {number}, and `{TABLE}` has {} as {n}", call.name),
                "a number never changes its call: correct the table, or set SYSFSM_UNISTD to the x86-64 header",
            );
        }
        calls.entry(number).or_insert_with(|| Call { function: name.clone(), name });
    }

    let mut rust = String::from(
        "/// Number, name and function of every system call, by number.\nstatic CALLS: &[(u32, &str, &str)] = &[\n",
    );
    for (number, Call { name, function }) in &calls {
        let _ = writeln!(rust, "    ({number}, {name:?}, {function:?}),");
    }
    rust.push_str("];\n\n/// Indices into `CALLS`, by name.\nstatic BY_NAME: &[u16] = &[");
    let mut by_name: Vec<(usize, &Call)> = calls.values().enumerate().collect();
    by_name.sort_by_key(|(_, call)| &call.name);
    for (index, _) in by_name {
        let _ = write!(rust, "{index},");
    }
    rust.push_str("];\n");
    if let Err(e) = fs::write(out.join("syscall_table.rs"), rust) {
        fail(
            &format!("cannot write the system-call table: {e}"),
            "check the space and the rights of the target folder",
        );
    }
}

/// Reads the lines `number name [function]`.
fn parse_table(text: &str) -> BTreeMap<u32, Call> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (number, name) = match words[..] {
                [number, name] | [number, name, _] => (number.parse().ok(), name.to_string()),
                _ => (None, String::new()),
            };
            let Some(number) = number else {
                fail(
                    &format!("`{TABLE}` has the line `{line}`"),
                    "a line is NUMBER NAME [FUNCTION]",
                )
            };
            let function = words.get(2).map_or_else(|| name.clone(), ToString::to_string);
            (number, Call { name, function })
        })
        .collect()
}

/// Reads the `#define __NR_name number` lines.
fn parse_unistd(text: &str) -> BTreeMap<u32, String> {
    text.lines()
        .filter_map(|line| {
            let rest = line.trim().strip_prefix("#define")?.trim_start().strip_prefix("__NR_")?;
            let (name, number) = rest.split_once(char::is_whitespace)?;
            Some((number.trim().parse().ok()?, name.to_string()))
        })
        .collect()
}

/// The BPF objects: what `enforce` and `record` load, what finds a file's numbers, and what is tried
/// on a kernel. tests/common/build.rs compiles the objects of the tests.
#[cfg(feature = "kernel")]
const OBJECTS: [&str; 4] = ["enforce", "record", "identify", "probe"];

/// Claims a cell by compare-and-swap, for which clang wants to know that the kernel has it (5.12).
#[cfg(feature = "kernel")]
const WITH_ATOMICS: &str = "record";

#[cfg(feature = "kernel")]
fn skeletons(out: &Path, unistd: &str) {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-env-changed=CLANG");
    // For the BPF target clang does not look where Debian keeps asm/types.h.
    let headers =
        Path::new(unistd).ancestors().nth(2).unwrap_or(Path::new("/usr/include")).display();
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    if let Err(e) = std::process::Command::new(&clang).arg("--version").output() {
        fail(
            &format!("cannot run `{clang}`, which compiles bpf/: {e}"),
            "install clang, set CLANG to it, or build without the kernel side: cargo build --no-default-features",
        );
    }
    let options = [
        "-Wall".to_string(),
        "-Wextra".to_string(),
        "-Werror".to_string(),
        // The arguments of a tracepoint are what they are.
        "-Wno-unused-parameter".to_string(),
        format!("-I{headers}"),
    ];
    println!("cargo::metadata=clang={clang}");
    println!("cargo::metadata=clang_options={}", options.join("\t"));
    for object in OBJECTS {
        let source = format!("bpf/{object}.bpf.c");
        let cpu = if object == WITH_ATOMICS { "v3" } else { "generic" };
        let made = libbpf_cargo::SkeletonBuilder::new()
            .source(&source)
            .obj(out.join(format!("{object}.bpf.o")))
            .clang(&clang)
            .clang_args(options.iter().cloned().chain([format!("-mcpu={cpu}")]))
            .build_and_generate(out.join(format!("{object}.skel.rs")));
        if let Err(e) = made {
            fail(
                &format!("cannot build `{source}`: {e:#}"),
                "clang 14 or newer is needed; build without the kernel side with cargo build --no-default-features",
            );
        }
    }
}

/// What a pinned set of BPF objects has to be of to be read by this program: the object, and how
/// its tables are made.
#[cfg(feature = "kernel")]
fn stamp(out: &Path) {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    let sources = [
        "src/table/cell.rs",
        "src/table/comb.rs",
        "src/table/compile.rs",
        "src/kernel/policies/loaded_policy.rs",
        "src/kernel/policies/step_maps.rs",
    ];
    // Not the object: it is made here, so that every build would find it newer than the last one.
    for source in sources {
        println!("cargo::rerun-if-changed={source}");
    }
    for file in sources.map(PathBuf::from).into_iter().chain([out.join("enforce.bpf.o")]) {
        match fs::read(&file) {
            Ok(bytes) => hasher.write(&bytes),
            Err(e) => {
                fail(&format!("cannot read `{}`: {e}", file.display()), "is the source tree whole?")
            }
        }
    }
    println!("cargo::rustc-env=SYSFSM_STAMP={:016x}", hasher.finish());
}
