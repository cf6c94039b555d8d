//! The kernel's functions, as its type information names them.

use crate::kernel::bpf::log;
use crate::kernel::error::KernelError;
use libbpf_rs::btf::types::Func;
use libbpf_rs::Btf;
use std::collections::HashMap;

/// Functions of the running kernel, each with its id in the kernel's BTF.
pub(crate) struct Functions(HashMap<String, u32>);

impl Functions {
    /// Reads the functions whose names begin with one of these prefixes.
    ///
    /// # Errors
    /// The kernel's BTF cannot be read.
    pub(crate) fn read(prefixes: &[&str]) -> Result<Self, KernelError> {
        let btf =
            Btf::from_vmlinux().map_err(|cause| KernelError::Load { cause, log: log::take() })?;
        let mut ids = HashMap::new();
        for function in btf.type_by_kind::<Func<'_>>() {
            let Some(name) = function.name().and_then(|n| n.to_str()) else { continue };
            if prefixes.iter().any(|p| name.starts_with(p)) {
                // Several static functions may have one name. The kernel attaches to one address
                // by that name, whichever id is given.
                ids.entry(name.to_string()).or_insert_with(|| function.type_id().into());
            }
        }
        Ok(Functions(ids))
    }

    /// Functions of these names, for tests.
    #[cfg(test)]
    pub(crate) fn named(names: &[&str]) -> Self {
        Functions((1..).zip(names).map(|(id, name)| (name.to_string(), id)).collect())
    }

    /// The functions whose names begin with a prefix: what follows it, in the order of the alphabet,
    /// and the id.
    pub(crate) fn after(&self, prefix: &str) -> Vec<(&str, u32)> {
        let named = self.0.iter().filter_map(|(name, id)| Some((name.strip_prefix(prefix)?, *id)));
        let mut found: Vec<_> = named.collect();
        found.sort_unstable();
        found
    }

    /// The id of a function; `None` if the kernel has no such function.
    pub(crate) fn id(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }
}
