//! The ABIs by which a system call can come.

/// An ABI that is not the 64-bit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 32-bit calls (`int 0x80`, a 32-bit program).
    I386,
    /// x32: 64-bit registers, 32-bit pointers; bit 30 of the number is set.
    X32,
}
