//! Room for many threads at once.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The kernel's limit on ids, raised for as long as this lives. There is one at a time: whoever
/// wants another one waits, so that neither lowers the limit under the other.
pub struct MoreIds {
    before: String,
    _only: MutexGuard<'static, ()>,
}

static ONLY: Mutex<()> = Mutex::new(());

const PID_MAX: &str = "/proc/sys/kernel/pid_max";

impl MoreIds {
    /// Raises the limit to at least this.
    pub fn at_least(wanted: u64) -> Self {
        let only = ONLY.lock().unwrap_or_else(PoisonError::into_inner);
        let before = fs::read_to_string(PID_MAX).expect("a pid_max");
        if before.trim().parse::<u64>().unwrap() < wanted {
            fs::write(PID_MAX, wanted.to_string()).expect("this needs root");
        }
        MoreIds { before, _only: only }
    }
}

impl Drop for MoreIds {
    fn drop(&mut self) {
        drop(fs::write(PID_MAX, self.before.trim()));
    }
}
