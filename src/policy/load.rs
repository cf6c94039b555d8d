//! Policies from files and directories: all of them, or everything that is wrong with any of them.

use crate::parallel;
use crate::policy::definition::Policy;
use crate::policy::parse::document::parse;
use crate::policy::selector::PolicySelector;
use crate::text::shown;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A policy, and the file that it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file; `-` for standard input.
    pub file: PathBuf,
    /// What it says.
    pub policy: Policy,
}

/// Everything that is wrong with the files, a message each, with its hint.
#[derive(Debug)]
pub struct LoadError(pub Vec<(String, String)>);

type Problems = Vec<(String, String)>;

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (what, hint)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{what}\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

/// Loads policies: a file as it is, of a directory the files that end in `.json`, in the order of
/// their names.
///
/// # Errors
/// A file that cannot be read or parsed, a directory without policies, two policies for one binary:
/// all that is wrong with all of them, so that one run shows everything.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Loaded>, LoadError> {
    let (loaded, mut errors) = read_all(paths);
    let mut by_binary: BTreeMap<PolicySelector, &Path> = BTreeMap::new();
    for Loaded { file, policy } in &loaded {
        if let Some(first) = by_binary.insert(policy.selector(), file) {
            errors.push((
                format!(
                    "two policies for `{}`: {} and {}",
                    policy.name(),
                    shown(first),
                    shown(file)
                ),
                "leave one of them, or make one of both: sysfsm merge".into(),
            ));
        }
    }
    all_or_errors(loaded, errors)
}

/// Loads policies of which several may be for one binary.
///
/// # Errors
/// A file that cannot be read or parsed, a directory without policies, and a file that is given
/// twice: its runs would count twice.
pub fn load_parts(paths: &[PathBuf]) -> Result<Vec<Loaded>, LoadError> {
    let (loaded, mut errors) = read_all(paths);
    let mut seen = BTreeSet::new();
    for Loaded { file, .. } in &loaded {
        if !seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone())) {
            errors.push((
                format!("the policy `{}` is given twice", shown(file)),
                "give each file once: its runs would count twice".into(),
            ));
        }
    }
    all_or_errors(loaded, errors)
}

fn all_or_errors(loaded: Vec<Loaded>, errors: Problems) -> Result<Vec<Loaded>, LoadError> {
    if errors.is_empty() {
        Ok(loaded)
    } else {
        Err(LoadError(errors))
    }
}

/// Reads the files, on all processors; what it returns is in their order all the same.
fn read_all(paths: &[PathBuf]) -> (Vec<Loaded>, Problems) {
    let mut errors = Vec::new();
    let mut loaded: Vec<Loaded> = Vec::new();
    for path in paths {
        let results: Vec<Result<Loaded, Problems>> =
            parallel::map(files(path, &mut errors), read_one);
        for result in results {
            match result {
                Ok(policy) => loaded.push(policy),
                Err(problems) => errors.extend(problems),
            }
        }
    }
    (loaded, errors)
}

fn read_one(file: PathBuf) -> Result<Loaded, Problems> {
    let text = read(&file).map_err(|e| {
        vec![(
            format!("cannot read the policy `{}`: {e}", shown(&file)),
            "give a policy file, or a directory of policies (*.json)".into(),
        )]
    })?;
    match parse(&text) {
        Ok(policy) => Ok(Loaded { file, policy }),
        Err(problems) => {
            Err(problems.into_iter().map(|p| (format!("{}: {p}", shown(&file)), p.hint)).collect())
        }
    }
}

fn files(path: &Path, errors: &mut Problems) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_path_buf()];
    }
    let entries: Result<Vec<PathBuf>, std::io::Error> =
        std::fs::read_dir(path).and_then(|dir| dir.map(|e| e.map(|e| e.path())).collect());
    match entries {
        Err(e) => {
            errors.push((
                format!("cannot list the policy directory `{}`: {e}", shown(path)),
                "check its permissions".into(),
            ));
            Vec::new()
        }
        Ok(mut found) => {
            found.retain(|f| f.extension().is_some_and(|e| e == "json"));
            found.sort();
            if found.is_empty() {
                errors.push((
                    format!("no policy in the directory `{}`", shown(path)),
                    "policies are files that end in .json".into(),
                ));
            }
            found
        }
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut text = Vec::new();
        std::io::stdin().lock().read_to_end(&mut text)?;
        return Ok(text);
    }
    std::fs::read(file)
}
