//! The values of a policy file that say whom it is for and what happens.

use crate::policy::parse::json::Json;
use crate::policy::parse::problem::Problems;
use crate::policy::selector::ANY_BINARY;
use crate::text::{shown, UntrustedText};

/// How many levels a policy's cgroup may be below the highest one, and how many bytes its path may
/// have: the kernel's side has no room for more (`bpf/sysfsm.h`, compared in `kernel/header.rs`).
pub(crate) const MAX_CGROUP_LEVELS: usize = 15;
pub(crate) const MAX_CGROUP_PATH: usize = 256;

impl Problems {
    pub(crate) fn binary(&mut self, value: Option<Json>, in_cgroup: bool) -> Option<UntrustedText> {
        const HINT: &str = "write the executable's absolute path, as in \"/usr/bin/cat\"";
        match value {
            None if in_cgroup => return Some(ANY_BINARY.into()),
            Some(Json::String(any)) if any == ANY_BINARY && !in_cgroup => self.problem(
                "binary",
                "`*` without a cgroup would be every program of the machine",
                "add \"cgroup\": \"/system.slice/NAME.service\", or write an executable's path",
            ),
            None => self.problem("binary", "the binary is missing", HINT),
            Some(Json::String(path))
                if path.is_empty() || path.contains('\0') || path.ends_with('/') =>
            {
                self.problem("binary", format!("`{}` names no file", shown(&path)), HINT);
            }
            Some(Json::String(path)) => return Some(path.into()),
            Some(other) => self.wrong("binary", &other, "a string"),
        }
        None
    }

    pub(crate) fn cgroup(&mut self, value: Json) -> Option<UntrustedText> {
        const HINT: &str =
            "write its path below /sys/fs/cgroup, as in \"/system.slice/nginx.service\"";
        let Json::String(path) = value else {
            self.wrong("cgroup", &value, "a string");
            return None;
        };
        let parts = || path.split('/').skip(1);
        let named =
            |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if path != "/" && (!path.starts_with('/') || !parts().all(named)) {
            self.problem("cgroup", format!("`{}` is no cgroup's path", shown(&path)), HINT);
            return None;
        }
        let (levels, bytes) = (parts().count(), path.len());
        if levels > MAX_CGROUP_LEVELS || bytes > MAX_CGROUP_PATH {
            self.problem(
                "cgroup",
                format!("`{}` is {levels} levels deep, and has {bytes} bytes", shown(&path)),
                format!("name one above it, at most {MAX_CGROUP_LEVELS} levels deep and of {MAX_CGROUP_PATH} bytes: a policy holds in what is below as well"),
            );
            return None;
        }
        Some(path.into())
    }

    pub(crate) fn choice<T: Copy + Default>(
        &mut self,
        key: &str,
        value: Option<&Json>,
        choices: &[T],
        name: fn(T) -> &'static str,
    ) -> T {
        let Some(value) = value else {
            return T::default();
        };
        let found = choices.iter().find(|&&c| *value == Json::String(name(c).into()));
        if let Some(&choice) = found {
            return choice;
        }
        let names: Vec<String> = choices.iter().map(|&c| format!("`{}`", name(c))).collect();
        self.problem(
            key,
            format!("unknown {key} `{value}`"),
            format!("one of {}", names.join(", ")),
        );
        T::default()
    }
}
