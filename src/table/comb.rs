//! Row displacement: sparse rows, displaced over each other in one array.

use crate::table::cell::State;

/// After this many bases that did not fit, later rows of the same length are searched for a base
/// behind them.
const CROWDED: u32 = 64;

/// After this many bases that did not fit, a row goes to the end of the array. Both limits keep
/// packing linear. Shorter rows fill the gaps.
const MAX_TRIES: u32 = 4096;

/// Which cells of the array are owned, and which indices are bases. Rows are known by their columns
/// only; what is in the cells is not here.
#[derive(Debug, Clone)]
pub(crate) struct Comb {
    /// How long the array is.
    length: usize,
    /// Which cells are owned.
    taken: Bits,
    /// Which indices are the base of some row. Two rows may interleave; they never share a base.
    bases: Bits,
    /// No free cell lies before this one.
    first_free: usize,
    /// Where the search for a row begins, and the length of the rows that this is for.
    cursor: (usize, usize),
}

impl Comb {
    pub(crate) fn new() -> Self {
        let mut bases = Bits::default();
        // State 0 is no state.
        bases.set(0);
        Comb { length: 0, taken: Bits::default(), bases, first_free: 0, cursor: (0, 0) }
    }

    /// Inserts a row at a base that fits, which is returned. `columns` are ascending. A row without
    /// columns has a base, and no cell.
    pub(crate) fn insert(&mut self, columns: &[u32]) -> State {
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
                && !self.bases.get(at - lowest)
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

    /// Inserts a row at this base. Returns false, and inserts nothing, if the base or a cell is
    /// taken.
    pub(crate) fn insert_at(&mut self, base: State, columns: &[u32]) -> bool {
        let state = base as usize;
        let free =
            !self.bases.get(state) && columns.iter().all(|&c| !self.taken.get(state + c as usize));
        if free {
            self.own(state, columns);
        }
        free
    }

    fn own(&mut self, state: usize, columns: &[u32]) {
        self.bases.set(state);
        for &column in columns {
            self.taken.set(state + column as usize);
        }
        let end = columns.last().map_or(0, |&highest| state + highest as usize + 1);
        self.length = self.length.max(end);
        self.first_free = self.taken.next_zero(self.first_free);
    }

    /// Frees cells, by their indices. The bases of their rows stay taken.
    pub(crate) fn clear(&mut self, cells: impl Iterator<Item = u32>) {
        for cell in cells {
            self.taken.clear(cell as usize);
            self.first_free = self.first_free.min(cell as usize);
        }
        // The gaps are other ones than before: the search begins anew.
        self.cursor = (0, 0);
    }

    /// Frees bases whose rows have no cells any more.
    pub(crate) fn free(&mut self, bases: &[State]) {
        for &base in bases {
            self.bases.clear(base as usize);
        }
    }

    /// Takes bases without inserting rows: no row gets one of them.
    pub(crate) fn reserve(&mut self, bases: &[State]) {
        for &base in bases {
            self.bases.set(base as usize);
        }
    }

    /// How many cells the array has.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// A base for a row without cells.
    fn lone(&mut self) -> State {
        let state = self.bases.next_zero(0);
        self.bases.set(state);
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

    /// The first number from `index` on that is not in the set.
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
    fn rows_interleave_and_never_share_a_cell_or_a_base() {
        let mut comb = Comb::new();
        let rows: Vec<Vec<u32>> =
            (0..500_u32).map(|i| vec![i % 7, 10 + i % 40, 300 + i % 60]).collect();
        let states: Vec<State> = rows.iter().map(|r| comb.insert(r)).collect();
        let lone = comb.insert(&[]);
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
        // Rows that are cleared leave room.
        for (row, &state) in rows.iter().zip(&states).take(250) {
            comb.clear(row.iter().map(|column| state + column));
            comb.free(&[state]);
        }
        let again: Vec<State> = rows.iter().take(250).map(|row| comb.insert(row)).collect();
        assert!(again.iter().all(|base| !states[250..].contains(base)));
        assert!(comb.len() <= length + 100, "{} after {length}", comb.len());
        assert!(!comb.insert_at(again[0], &rows[0]));
    }
}
