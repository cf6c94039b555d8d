//! The layering of `src/`: nothing imports in a circle, and nothing imports from above.
//!
//! Every folder is read by itself. Its files and sub-folders are the rooms. A room that names
//! another one, in a `use` or in a path, depends on it. No chain of dependencies may lead back to
//! its beginning. A room may not name what its own ancestors' `mod.rs` re-export, since that would
//! hide a circle from this test, nor what an ancestor defines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The path of a module: `["kernel", "bpf", "ring"]`.
type Module = Vec<String>;

/// Every module of the crate, with its source, without comments and unit tests.
fn modules() -> BTreeMap<Module, String> {
    fn visit(directory: &Path, module: &Module, found: &mut BTreeMap<Module, String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let inner: Module = module.iter().cloned().chain([name.clone()]).collect();
            if path.is_dir() {
                visit(&path, &inner, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let of = match name.as_str() {
                    "mod" | "lib" => module.clone(),
                    "main" => continue,
                    _ => inner,
                };
                found.insert(of, code(&path));
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"), &Vec::new(), &mut found);
    found
}

/// A file's code: no comments, and nothing from its unit tests on, which stand at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap();
    body.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The paths from the crate's root that a module's source names, groups taken apart.
fn named(module: &Module, source: &str) -> Vec<Module> {
    let mut paths = Vec::new();
    for (start, root) in source
        .match_indices("crate::")
        .map(|(at, _)| (at, 0))
        .chain(source.match_indices("super::").map(|(at, _)| (at, 1)))
    {
        let before = source[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        if source[..start].ends_with("(in ") {
            continue;
        }
        let mut base = if root == 0 { Vec::new() } else { module.clone() };
        let mut rest = &source[start..];
        if root == 0 {
            rest = &rest["crate::".len()..];
        }
        while let Some(inner) = rest.strip_prefix("super::") {
            rest = inner;
            base.pop();
        }
        leaves(rest, &base, &mut paths);
    }
    paths
}

/// Takes `a::{b, c::d}` apart.
fn leaves(text: &str, base: &Module, paths: &mut Vec<Module>) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if let Some(group) = rest.strip_prefix('{').filter(|_| word.is_empty()) {
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    leaves(group[start..at].trim(), base, paths);
                    start = at + 1;
                    if c == '}' {
                        return;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    if word.is_empty() {
        return;
    }
    let mut path = base.clone();
    path.push(word.to_string());
    match rest.strip_prefix("::") {
        Some(inner) if inner.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '{') => {
            leaves(inner, &path, paths);
        }
        _ => paths.push(path),
    }
}

#[test]
fn no_room_imports_from_above_or_in_a_circle() {
    let modules = modules();
    // By folder: room → the rooms beside it that it names.
    let mut graphs: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut wrong = BTreeSet::new();
    for (module, source) in &modules {
        for path in named(module, source) {
            let common = module.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let folder = module[..common].to_vec();
            let inside = modules.contains_key(&path[..=common.min(path.len() - 1)]);
            if common == module.len() {
                continue; // What it names is its own, or in its own folder.
            }
            if common == path.len() || !inside {
                wrong.insert(format!(
                    "{} names {}: import it from the module that defines it, which is no ancestor",
                    module.join("::"),
                    path.join("::")
                ));
                continue;
            }
            graphs
                .entry(folder)
                .or_default()
                .entry(module[common].clone())
                .or_default()
                .insert(path[common].clone());
        }
    }
    for (folder, graph) in &graphs {
        for room in graph.keys() {
            if let Some(circle) = circle(graph, room) {
                wrong.insert(format!("a circle in {}/: {}", folder.join("/"), circle.join(" → ")));
            }
        }
    }
    assert!(modules.len() > 100, "only {} modules were found", modules.len());
    assert!(wrong.is_empty(), "\n{}\n", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// The way from a room back to itself, if there is one: the shortest.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>, room: &str) -> Option<Vec<String>> {
    let mut ways: Vec<Vec<String>> = vec![vec![room.to_string()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut next = Vec::new();
        for way in ways {
            for to in graph.get(way.last().unwrap()).into_iter().flatten() {
                let longer: Vec<String> = way.iter().cloned().chain([to.clone()]).collect();
                if to == room {
                    return Some(longer);
                }
                if seen.insert(to.clone()) {
                    next.push(longer);
                }
            }
        }
        ways = next;
    }
    None
}
