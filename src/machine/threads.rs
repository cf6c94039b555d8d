//! A map from threads to values. Most events are of a few threads: those that run at the same time.

use crate::event::Tid;
use rustc_hash::FxHashMap;

/// The size of the cache: a power of two, and more than most machines have processors.
const CACHED: usize = 16;
/// The index of no value.
const NO_INDEX: usize = usize::MAX;

/// A map by thread id, with a small cache of the threads that were asked for last.
#[derive(Debug)]
pub(super) struct ByThread<T> {
    indices: FxHashMap<Tid, usize>,
    values: Vec<Option<T>>,
    free: Vec<usize>,
    /// By the last bits of a thread's id: the last such thread that was asked for, and its index.
    cache: [(Tid, usize); CACHED],
}

impl<T> Default for ByThread<T> {
    fn default() -> Self {
        ByThread {
            indices: FxHashMap::default(),
            values: Vec::new(),
            free: Vec::new(),
            cache: [(0, NO_INDEX); CACHED],
        }
    }
}

impl<T> ByThread<T> {
    fn cached(&mut self, tid: Tid) -> &mut (Tid, usize) {
        #[allow(clippy::indexing_slicing)] // The remainder is below CACHED.
        &mut self.cache[tid as usize % CACHED]
    }

    fn index(&mut self, tid: Tid) -> Option<usize> {
        let (last, index) = *self.cached(tid);
        if last == tid && index != NO_INDEX {
            return Some(index);
        }
        let index = *self.indices.get(&tid)?;
        *self.cached(tid) = (tid, index);
        Some(index)
    }

    pub(super) fn get_mut(&mut self, tid: Tid) -> Option<&mut T> {
        let index = self.index(tid)?;
        self.values.get_mut(index)?.as_mut()
    }

    /// The thread's value. A thread without a value gets the one that `make` returns.
    pub(super) fn or_insert_with(&mut self, tid: Tid, make: impl FnOnce() -> T) -> &mut T {
        let index = match self.index(tid) {
            Some(index) => index,
            None => self.put(tid, None),
        };
        #[allow(clippy::indexing_slicing)] // Every index is below the length of `values`.
        self.values[index].get_or_insert_with(make)
    }

    pub(super) fn insert(&mut self, tid: Tid, value: T) {
        match self.index(tid).and_then(|index| self.values.get_mut(index)) {
            Some(slot) => *slot = Some(value),
            None => {
                self.put(tid, Some(value));
            }
        }
    }

    pub(super) fn remove(&mut self, tid: Tid) -> Option<T> {
        let index = self.indices.remove(&tid)?;
        *self.cached(tid) = (0, NO_INDEX);
        self.free.push(index);
        self.values.get_mut(index)?.take()
    }

    fn put(&mut self, tid: Tid, value: Option<T>) -> usize {
        let index = if let Some(index) = self.free.pop() {
            index
        } else {
            self.values.push(None);
            self.values.len() - 1
        };
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value;
        }
        self.indices.insert(tid, index);
        *self.cached(tid) = (tid, index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_behaves_as_a_map() {
        let mut map = ByThread::default();
        let mut model = std::collections::HashMap::new();
        let mut state = 1_u64;
        for step in 0..20_000_u32 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let (tid, what) = ((state >> 40) as u32 % 40, state >> 61);
            match what {
                0 | 1 => {
                    map.insert(tid, step);
                    model.insert(tid, step);
                }
                2 | 3 => assert_eq!(map.remove(tid), model.remove(&tid)),
                4 => assert_eq!(map.or_insert_with(tid, || step), model.entry(tid).or_insert(step)),
                _ => assert_eq!(map.get_mut(tid), model.get_mut(&tid)),
            }
        }
    }
}
