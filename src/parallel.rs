//! Work on all processors, or on this one if the system gives no threads.
//! This layer knows no other one.

use rayon::prelude::*;

/// What `each` makes of the items, in their order. A limit of threads (`RLIMIT_NPROC`, `pids.max`)
/// costs time, and changes nothing else.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, each: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    // The global pool of rayon panics if it gets no threads.
    let pool = if items.len() > 1 { rayon::ThreadPoolBuilder::new().build().ok() } else { None };
    match pool {
        Some(pool) => pool.install(|| items.into_par_iter().map(each).collect()),
        None => items.into_iter().map(each).collect(),
    }
}
