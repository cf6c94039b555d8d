//! The documentation refers to what there is: every path of the repository that a page or a comment
//! names exists, and so does every page and heading that a page links to.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the repository: what begins so is meant as a path in it.
const FOLDERS: [&str; 7] =
    ["src/", "bpf/", "tests/", "docs/", "benches/", "packaging/", "policies/"];

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a folder of the repository.
pub fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// The pages: README.md and its like, and docs/.
fn pages() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&root().join("docs"), &mut found);
    found.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "policies/README.md"]
            .map(|page| root().join(page)),
    );
    found.retain(|page| page.extension().is_some_and(|e| e == "md"));
    found
}

/// The sources, whose comments cite pages and other sources.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["src", "bpf", "tests", "benches"] {
        files(&root().join(folder), &mut found);
    }
    found.push(root().join("build.rs"));
    found.retain(|file| file.extension().is_some_and(|e| e == "rs" || e == "c" || e == "h"));
    found
}

/// What a text names in one of the [`FOLDERS`].
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "_./@*-".contains(c)))
        .map(|word| word.trim_end_matches(['.', '/']))
        .filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
        .filter(|word| !word.contains('*'))
        // `tests/trace/golden/RULE/trace.log` stands for one file of each folder.
        .filter(|word| !word.split('/').any(|part| part.chars().all(|c| c.is_ascii_uppercase())))
        .map(ToString::to_string)
        .collect()
}

/// A page without its code blocks: what a user types is about the user's files.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    text.split("```").step_by(2).collect()
}

/// The comments of a source.
fn comments(source: &Path) -> String {
    let text = fs::read_to_string(source).unwrap();
    let comment = |line: &&str| ["//", "/*", "*"].iter().any(|mark| line.starts_with(mark));
    text.lines().map(str::trim_start).filter(comment).collect::<Vec<_>>().join("\n")
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The headings of a page, as links name them.
fn anchors(page: &Path) -> BTreeSet<String> {
    prose(page)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn every_path_that_is_named_exists() {
    let mut missing = BTreeSet::new();
    let pages = pages().into_iter().map(|page| (prose(&page), page));
    let sources = sources().into_iter().map(|source| (comments(&source), source));
    let mut count = 0;
    for (text, file) in pages.chain(sources) {
        for path in named(&text) {
            count += 1;
            if !root().join(&path).exists() {
                missing.insert(format!("{}: {path}", file.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(count > 50, "only {count} paths were found");
    assert!(missing.is_empty(), "\n{}\n", missing.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_link_leads_to_a_page_and_a_heading() {
    let mut wrong = BTreeSet::new();
    let mut count = 0;
    for page in pages() {
        for link in prose(&page).split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let link = link.0;
            if link.starts_with("http") {
                continue;
            }
            count += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let known =
                target.exists() && (heading.is_empty() || anchors(&target).contains(heading));
            if !known {
                wrong.insert(format!("{}: {link}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(count > 50, "only {count} links were found");
    assert!(wrong.is_empty(), "\n{}\n", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_prose_has_lines_of_a_hundred_columns() {
    let mut long = BTreeSet::new();
    for page in pages() {
        let mut code = false;
        for (number, line) in fs::read_to_string(&page).unwrap().lines().enumerate() {
            code ^= line.starts_with("```");
            let exempt = code || line.starts_with('|') || line.starts_with("![");
            if !exempt && line.chars().count() > 100 {
                let page = page.strip_prefix(root()).unwrap().display().to_string();
                long.insert(format!("{page}:{}", number + 1));
            }
        }
    }
    assert!(long.is_empty(), "\n{}\n", long.into_iter().collect::<Vec<_>>().join("\n"));
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 150, "the README has more than 150 lines");
}
