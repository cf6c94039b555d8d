//! Who could change what a path leads to. A path is followed only through directories that nobody
//! but root and the user of this process can change, and through links that belong to these two.

mod entry;
mod follow;
mod place;

pub use entry::{directory_of, is_own_entry, open_own_entry};
pub use follow::{follow, follow_trusting, sudo_user, Flaw, Found, PathError, Untrusted};
pub use place::{make_directory, Place};
