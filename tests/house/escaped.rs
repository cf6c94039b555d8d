//! Text of others reaches people through `src/text.rs` only: what prints a path or bytes as they
//! are is not called in `src/`, but in the places that are listed here.

use std::fs;
use std::path::{Path, PathBuf};

/// What gives text of others away as it is.
const RAW: [&str; 6] = [
    ".display()",
    "to_string_lossy",
    "from_utf8_lossy",
    ".whole()",
    "serde_json::to_string",
    "to_string_pretty",
];

/// Where it may stand: the file, what of [`RAW`], and why it is right there.
const ALLOWED: [(&str, &str, &str); 15] = [
    ("src/cli/agent/directories.rs", "to_string_lossy", "is compared"),
    ("src/cli/commands/explain.rs", "to_string_lossy", "is an argument, which is opened or parsed"),
    ("src/cli/commands/generate.rs", "from_utf8_lossy", "completions and man pages, ours"),
    ("src/cli/commands/record.rs", "to_string_lossy", "becomes a policy's binary"),
    ("src/cli/io/input.rs", ".whole()", "goes into JSON"),
    ("src/cli/policies/explanation.rs", ".whole()", "is compared"),
    ("src/review/file.rs", ".whole()", "is parsed"),
    ("src/cli/io/report.rs", "from_utf8_lossy", "goes through `said`"),
    ("src/kernel/bpf/map_list.rs", "to_string_lossy", "names of our maps"),
    ("src/kernel/events/stack.rs", "from_utf8_lossy", "is parsed; its paths become untrusted text"),
    ("src/kernel/record/names.rs", "to_string_lossy", "becomes a policy's binary"),
    ("src/kernel/record/running.rs", "to_string_lossy", "becomes a policy's binary"),
    ("src/kernel/unwind/symbols.rs", "from_utf8_lossy", "goes to the agent, as untrusted text"),
    ("src/trace/interpret.rs", "from_utf8_lossy", "an event's name, which becomes untrusted text"),
    ("src/trace/threads/exec.rs", "from_utf8_lossy", "an exec's path, which becomes a binary"),
];

/// What makes text for people of its arguments.
const FORMATS: [&str; 4] = ["format!(", "print!(", "println!(", "write"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The lines of code before a file's unit tests that have `raw` in them.
fn lines<'a>(source: &'a str, raw: &'a str) -> impl Iterator<Item = &'a str> {
    let code = source.split("#[cfg(test)]\n").next().unwrap_or_default();
    code.lines()
        .filter(move |l| !l.trim_start().starts_with("//") && l.contains(raw))
        // To compare and to write JSON is what the whole text is for.
        .filter(move |l| raw != ".whole()" || FORMATS.iter().any(|f| l.contains(f)))
}

#[test]
fn text_of_others_is_printed_by_one_type() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let mut wrong = Vec::new();
    let mut used = [false; ALLOWED.len()];
    for file in files.iter().filter(|file| !file.ends_with("src/text.rs")) {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        let source = fs::read_to_string(file).unwrap();
        for raw in RAW {
            let allowed = ALLOWED.iter().position(|(f, r, _)| *f == name && *r == raw);
            for line in lines(&source, raw) {
                match allowed {
                    Some(index) => used[index] = true,
                    None => wrong.push(format!("{name}: {}", line.trim())),
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "print it by `text::shown` or as an `UntrustedText`:\n{}",
        wrong.join("\n")
    );
    for ((file, raw, why), used) in ALLOWED.iter().zip(used) {
        assert!(used, "{file} has no `{raw}` any more ({why})");
    }
}
