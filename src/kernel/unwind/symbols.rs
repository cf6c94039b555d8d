//! The functions of an ELF file by their addresses, with the names that their authors wrote.

use crate::kernel::unwind::messages::NAME;
use object::{Object, ObjectSymbol, SymbolKind};

/// A function.
pub(super) struct Symbol {
    pub name: String,
    pub address: u64,
}

/// The function at an address. What `strip` takes away is asked before what the dynamic loader
/// needs.
pub(super) fn at<'data>(file: &impl Object<'data>, address: u64) -> Option<Symbol> {
    // A dynamic symbol without a size says nothing of what follows it: between two of them there
    // may be many functions that are not exported.
    nearest(file.symbols(), address, true)
        .or_else(|| nearest(file.dynamic_symbols(), address, false))
}

/// The symbol of the largest address up to this one, if the symbol reaches so far. One without a
/// size (hand-written code has such) reaches to the next one, if that is to be taken for granted.
fn nearest<'data, S: ObjectSymbol<'data>>(
    symbols: impl Iterator<Item = S>,
    address: u64,
    unsized_reach: bool,
) -> Option<Symbol> {
    let code = |s: &S| matches!(s.kind(), SymbolKind::Text | SymbolKind::Unknown);
    let reaches = |s: &S| match s.size() {
        0 => unsized_reach || s.address() == address,
        size => address - s.address() < size,
    };
    let found = symbols
        .filter(|s| s.address() <= address && s.is_definition() && code(s) && reaches(s))
        .max_by_key(|s| (s.address(), s.size()))?;
    let name = String::from_utf8_lossy(found.name_bytes().ok()?);
    Some(Symbol { name: bounded(demangled(&name)), address: found.address() })
}

/// A name as its author wrote it, where a compiler of Rust or C++ has made another one of it.
fn demangled(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    let cpp = cpp_demangle::Symbol::new(name).ok().and_then(|symbol| symbol.demangle().ok());
    cpp.unwrap_or_else(|| name.into())
}

/// Cuts off what is too long.
fn bounded(mut name: String) -> String {
    let end = (0..=NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    name.truncate(end.unwrap_or(0));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_source_and_not_too_long() {
        for (mangled, plain) in [
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("main", "main"),
            ("_Z", "_Z"),
        ] {
            assert_eq!(demangled(mangled), plain);
        }
        assert_eq!(bounded("ä".repeat(NAME)).len(), NAME);
        assert_eq!(bounded(format!("x{}", "ä".repeat(NAME))).len(), NAME - 1);
    }
}
