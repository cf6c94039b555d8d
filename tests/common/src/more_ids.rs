//! Room for many threads at once.

use std::fs;

/// The kernel's limit on ids, raised for as long as this lives.
pub struct MoreIds(String);

const PID_MAX: &str = "/proc/sys/kernel/pid_max";

impl MoreIds {
    pub fn at_least(wanted: u64) -> Self {
        let before = fs::read_to_string(PID_MAX).expect("a pid_max");
        if before.trim().parse::<u64>().unwrap() < wanted {
            fs::write(PID_MAX, wanted.to_string()).expect("this needs root");
        }
        MoreIds(before)
    }
}

impl Drop for MoreIds {
    fn drop(&mut self) {
        drop(fs::write(PID_MAX, self.0.trim()));
    }
}
