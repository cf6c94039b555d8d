//! Something for each thread. Most events are of a few threads, those that run at the same time.

use crate::event::Tid;
use rustc_hash::FxHashMap;

/// How many are at hand: a power of two, more than most machines have processors.
const AT_HAND: usize = 16;
/// No place.
const NOWHERE: usize = usize::MAX;

/// A map by thread, quick to give the same ones again.
#[derive(Debug)]
pub(super) struct ByThread<T> {
    places: FxHashMap<Tid, usize>,
    values: Vec<Option<T>>,
    free: Vec<usize>,
    /// Of those that share the last bits of their ids the one that was asked for last, and its
    /// place.
    at_hand: [(Tid, usize); AT_HAND],
}

impl<T> Default for ByThread<T> {
    fn default() -> Self {
        ByThread {
            places: FxHashMap::default(),
            values: Vec::new(),
            free: Vec::new(),
            at_hand: [(0, NOWHERE); AT_HAND],
        }
    }
}

impl<T> ByThread<T> {
    fn hand(&mut self, tid: Tid) -> &mut (Tid, usize) {
        #[allow(clippy::indexing_slicing)] // There are that many.
        &mut self.at_hand[tid as usize % AT_HAND]
    }

    fn place(&mut self, tid: Tid) -> Option<usize> {
        let (last, place) = *self.hand(tid);
        if last == tid && place != NOWHERE {
            return Some(place);
        }
        let place = *self.places.get(&tid)?;
        *self.hand(tid) = (tid, place);
        Some(place)
    }

    pub(super) fn get_mut(&mut self, tid: Tid) -> Option<&mut T> {
        let place = self.place(tid)?;
        self.values.get_mut(place)?.as_mut()
    }

    /// The thread's; it is made if there is none.
    pub(super) fn or_insert_with(&mut self, tid: Tid, make: impl FnOnce() -> T) -> &mut T {
        let place = match self.place(tid) {
            Some(place) => place,
            None => self.put(tid, None),
        };
        #[allow(clippy::indexing_slicing)] // Places are those of values.
        self.values[place].get_or_insert_with(make)
    }

    pub(super) fn insert(&mut self, tid: Tid, value: T) {
        match self.place(tid).and_then(|place| self.values.get_mut(place)) {
            Some(slot) => *slot = Some(value),
            None => {
                self.put(tid, Some(value));
            }
        }
    }

    pub(super) fn remove(&mut self, tid: Tid) -> Option<T> {
        let place = self.places.remove(&tid)?;
        *self.hand(tid) = (0, NOWHERE);
        self.free.push(place);
        self.values.get_mut(place)?.take()
    }

    fn put(&mut self, tid: Tid, value: Option<T>) -> usize {
        let place = if let Some(place) = self.free.pop() {
            place
        } else {
            self.values.push(None);
            self.values.len() - 1
        };
        if let Some(slot) = self.values.get_mut(place) {
            *slot = value;
        }
        self.places.insert(tid, place);
        *self.hand(tid) = (tid, place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_map() {
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
