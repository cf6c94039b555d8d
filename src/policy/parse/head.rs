//! The values of a policy file that say whom it is for and what happens.

use crate::policy::cgroup::cgroup_path;
use crate::policy::parse::json::Json;
use crate::policy::parse::problem::Problems;
use crate::policy::selector::ANY_BINARY;
use crate::text::{shown, UntrustedText};

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
        let Json::String(path) = value else {
            self.wrong("cgroup", &value, "a string");
            return None;
        };
        cgroup_path(&path).map_err(|(what, hint)| self.problem("cgroup", what, hint)).ok()
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
