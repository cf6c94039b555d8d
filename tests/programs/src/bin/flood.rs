//! `flood`: hides one call among many. It makes calls by numbers that no kernel has, each number
//! once; then calls that follow each other in every order, so that each pair is a violation of its
//! own; then one real call, `getpgid`.

#![allow(unsafe_code)]

/// Numbers that the kernel's table has no room for.
const BEYOND: std::ops::Range<i64> = 1024..301_024;
/// Numbers within the table that no kernel has yet: 32,220 pairs, each made this often.
const WITHIN: std::ops::Range<i64> = 600..780;
const ROUNDS: usize = 6;

fn call(number: i64) {
    // SAFETY: the kernel has no such call, or it takes no memory.
    unsafe { libc::syscall(number, 0) };
}

fn main() {
    BEYOND.for_each(call);
    for _ in 0..ROUNDS {
        for before in WITHIN {
            for number in WITHIN.filter(|&number| number != before) {
                call(before);
                call(number);
            }
        }
    }
    call(libc::SYS_getpgid);
}
