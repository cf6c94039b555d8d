//! The ABIs through which a system call can enter a 64-bit kernel.

/// A foreign ABI: one that is not the 64-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 32-bit calls (`int 0x80`, a 32-bit program).
    I386,
    /// x32: 64-bit registers, 32-bit pointers; bit 30 of the number is set.
    X32,
}

impl Abi {
    /// What stands in place of a symbol for a call through this ABI: the number of such a call
    /// means nothing in the 64-bit table (semantics, rule 6).
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Abi::I386 => "@i386",
            Abi::X32 => "@x32",
        }
    }
}
