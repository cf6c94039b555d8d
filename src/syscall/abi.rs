//! The ABIs through which a system call can enter a 64-bit kernel.

/// A foreign ABI: one that is not the 64-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 32-bit calls (`int 0x80`, a 32-bit program).
    I386,
    /// x32: 64-bit registers, 32-bit pointers; bit 30 of the number is set.
    X32,
}
