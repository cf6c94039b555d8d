//! Row displacement: laying sparse rows over each other.

use crate::table::cell::State;

/// After so many places that did not fit, rows of this length are not tried there again.
const CROWDED: u32 = 64;

/// After so many, a row goes where nothing is yet. Both keep packing linear; shorter rows fill the
/// gaps.
const MAX_TRIES: u32 = 4096;

/// Rows, laid into one array.
#[derive(Debug, Clone)]
pub(crate) struct Comb {
    /// How long the array is.
    length: usize,
    /// Which cells are owned.
    taken: Bits,
    /// Which places are the state of some row: two rows may share cells' gaps, never a place.
    states: Bits,
    /// No free cell lies before this one.
    first_free: usize,
    /// Where the search for rows of this length begins, and the length.
    cursor: (usize, usize),
}

impl Comb {
    pub(crate) fn new() -> Self {
        let mut states = Bits::default();
        // It stands for none.
        states.set(0);
        Comb { length: 0, taken: Bits::default(), states, first_free: 0, cursor: (0, 0) }
    }

    /// Finds a place for a row with cells at these columns (ascending), and takes it. Columns may
    /// be none: then only the place is unique.
    pub(crate) fn place(&mut self, columns: &[u32]) -> State {
        let Some(&lowest) = columns.first() else {
            return self.lone();
        };
        let lowest = lowest as usize;
        if self.cursor.1 != columns.len() {
            self.cursor = (self.first_free, columns.len());
        }
        let mut at = self.cursor.0;
        let mut tries = 0;
        loop {
            at = self.taken.next_zero(at);
            let fits = at >= lowest
                && !self.states.get(at - lowest)
                && columns.iter().all(|&c| !self.taken.get(at - lowest + c as usize));
            if fits {
                break;
            }
            tries += 1;
            at = if tries == MAX_TRIES { self.length.max(at + 1) } else { at + 1 };
            if tries % CROWDED == 0 {
                self.cursor.0 = at;
            }
        }
        let state = at - lowest;
        self.own(state, columns);
        State::try_from(state).unwrap_or(State::MAX)
    }

    /// Takes this place for a row; false if something is in its way.
    pub(crate) fn take(&mut self, place: State, columns: &[u32]) -> bool {
        let state = place as usize;
        let free =
            !self.states.get(state) && columns.iter().all(|&c| !self.taken.get(state + c as usize));
        if free {
            self.own(state, columns);
        }
        free
    }

    fn own(&mut self, state: usize, columns: &[u32]) {
        self.states.set(state);
        for &column in columns {
            self.taken.set(state + column as usize);
        }
        let end = columns.last().map_or(0, |&highest| state + highest as usize + 1);
        self.length = self.length.max(end);
        self.first_free = self.taken.next_zero(self.first_free);
    }

    /// Nobody owns these cells any more.
    pub(crate) fn clear(&mut self, cells: impl Iterator<Item = u32>) {
        for cell in cells {
            self.taken.clear(cell as usize);
            self.first_free = self.first_free.min(cell as usize);
        }
        // Other gaps than before: the search begins anew.
        self.cursor = (0, 0);
    }

    /// These places are no row's any more.
    pub(crate) fn free(&mut self, places: &[State]) {
        for &place in places {
            self.states.clear(place as usize);
        }
    }

    /// These places are not to be a row's.
    pub(crate) fn reserve(&mut self, places: &[State]) {
        for &place in places {
            self.states.set(place as usize);
        }
    }

    /// How many cells the array has.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    fn lone(&mut self) -> State {
        let state = self.states.next_zero(0);
        self.states.set(state);
        State::try_from(state).unwrap_or(State::MAX)
    }
}

/// A set of numbers, one bit each.
#[derive(Debug, Default, Clone)]
struct Bits {
    words: Vec<u64>,
    /// All words before this one are full.
    full: usize,
}

impl Bits {
    fn get(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|w| w & (1 << (index % 64)) != 0)
    }

    fn set(&mut self, index: usize) {
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
        while self.words.get(self.full) == Some(&u64::MAX) {
            self.full += 1;
        }
    }

    fn clear(&mut self, index: usize) {
        if let Some(word) = self.words.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
            self.full = self.full.min(index / 64);
        }
    }

    /// The first number from `index` on that is not in it.
    fn next_zero(&self, index: usize) -> usize {
        let first = index / 64;
        let below = |at: usize| if at == first { (1_u64 << (index % 64)) - 1 } else { 0 };
        let from = first.max(self.full);
        let rest = self.words.get(from..).unwrap_or_default();
        for (at, word) in (from..).zip(rest) {
            let free = !(word | below(at));
            if free != 0 {
                return at * 64 + free.trailing_zeros() as usize;
            }
        }
        index.max((from + rest.len()) * 64)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_next_number_that_is_not_in_a_set_is_found() {
        let mut bits = Bits::default();
        assert_eq!([0, 63, 64, 500].map(|i| bits.next_zero(i)), [0, 63, 64, 500]);
        (0..200).filter(|i| ![5, 64, 127].contains(i)).for_each(|i| bits.set(i));
        let next = [0, 5, 6, 64, 65, 127, 128, 199, 200, 1000].map(|i| bits.next_zero(i));
        assert_eq!(next, [5, 5, 64, 64, 127, 127, 200, 200, 200, 1000]);
        bits.set(5);
        bits.set(64);
        assert_eq!([0, 128].map(|i| bits.next_zero(i)), [127, 200]);
    }

    #[test]
    fn rows_interleave_and_never_share_a_cell_or_a_place() {
        let mut comb = Comb::new();
        let rows: Vec<Vec<u32>> =
            (0..500_u32).map(|i| vec![i % 7, 10 + i % 40, 300 + i % 60]).collect();
        let states: Vec<State> = rows.iter().map(|r| comb.place(r)).collect();
        let lone = comb.place(&[]);
        let mut unique = states.clone();
        unique.push(lone);
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 501);
        assert!(unique[0] > 0);
        let mut owners = std::collections::BTreeMap::new();
        for (row, &state) in rows.iter().zip(&states) {
            for column in row {
                assert!(owners.insert(state + column, state).is_none(), "two rows share a cell");
            }
        }
        let length = comb.len();
        assert!(length < 3 * 1500, "{length}");
        // What goes leaves room.
        for (row, &state) in rows.iter().zip(&states).take(250) {
            comb.clear(row.iter().map(|column| state + column));
            comb.free(&[state]);
        }
        let again: Vec<State> = rows.iter().take(250).map(|row| comb.place(row)).collect();
        assert!(again.iter().all(|place| !states[250..].contains(place)));
        assert!(comb.len() <= length + 100, "{} after {length}", comb.len());
        assert!(!comb.take(again[0], &rows[0]));
    }
}
