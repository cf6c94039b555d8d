//! Row displacement: laying sparse rows over each other.

use super::{Cell, State};

/// After so many places that did not fit, rows of this length are not tried there again.
const CROWDED: u32 = 64;

/// After so many, a row goes where nothing is yet. Both keep packing linear; shorter rows fill the gaps.
const MAX_TRIES: u32 = 4096;

/// Rows, laid into one array.
#[derive(Debug, Default)]
pub(super) struct Comb {
    cells: Vec<Cell>,
    /// Which places are the state of some row, one bit each: two rows may share cells' gaps, never a place.
    states: Vec<u64>,
    /// No free cell lies before this one.
    first_free: usize,
    /// No unused state lies before this one.
    first_state: usize,
    /// Where the search for rows of this length begins, and the length.
    cursor: (usize, usize),
}

impl Comb {
    /// Finds a place for a row with cells at these columns (ascending), and takes it. Columns may be none:
    /// then only the place is unique.
    pub(super) fn place(&mut self, columns: &[u32]) -> State {
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
            while !self.is_free(at) {
                at += 1;
            }
            let fits = at > lowest
                && !self.is_state(at - lowest)
                && columns.iter().all(|&c| self.is_free(at - lowest + c as usize));
            if fits {
                break;
            }
            tries += 1;
            at = if tries == MAX_TRIES { self.cells.len().max(at + 1) } else { at + 1 };
            if tries % CROWDED == 0 {
                self.cursor.0 = at;
            }
        }
        let state = at - lowest;
        self.take(state);
        let owner = State::try_from(state).unwrap_or(State::MAX);
        for &column in columns {
            let index = state + column as usize;
            if self.cells.len() <= index {
                self.cells.resize(index + 1, Cell::default());
            }
            if let Some(cell) = self.cells.get_mut(index) {
                cell.owner = owner;
            }
        }
        while self.first_free < self.cells.len() && !self.is_free(self.first_free) {
            self.first_free += 1;
        }
        owner
    }

    /// Sets where the call at `column` leads from `state`.
    pub(super) fn set(&mut self, state: State, column: u32, next: State) {
        if let Some(cell) = self.cells.get_mut(state as usize + column as usize) {
            cell.next = next;
        }
    }

    pub(super) fn finish(self) -> Vec<Cell> {
        self.cells
    }

    fn lone(&mut self) -> State {
        let mut state = self.first_state.max(1);
        while self.is_state(state) {
            state += 1;
        }
        self.first_state = state + 1;
        self.take(state);
        State::try_from(state).unwrap_or(State::MAX)
    }

    fn is_free(&self, index: usize) -> bool {
        self.cells.get(index).is_none_or(|c| c.owner == 0)
    }

    fn is_state(&self, state: usize) -> bool {
        self.states.get(state / 64).is_some_and(|w| w & (1 << (state % 64)) != 0)
    }

    fn take(&mut self, state: usize) {
        if self.states.len() <= state / 64 {
            self.states.resize(state / 64 + 1, 0);
        }
        if let Some(word) = self.states.get_mut(state / 64) {
            *word |= 1 << (state % 64);
        }
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn rows_interleave_and_never_share_a_cell_or_a_place() {
        let mut comb = Comb::default();
        let rows: Vec<Vec<u32>> = (0..500_u32).map(|i| vec![i % 7, 10 + i % 40, 300 + i % 60]).collect();
        let states: Vec<State> = rows.iter().map(|r| comb.place(r)).collect();
        let lone = comb.place(&[]);
        let mut unique = states.clone();
        unique.push(lone);
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 501);
        assert!(unique[0] > 0);
        let cells = comb.finish();
        for (row, &state) in rows.iter().zip(&states) {
            for column in 0..400 {
                let owned = cells.get((state + column) as usize).is_some_and(|c| c.owner == state);
                assert_eq!(owned, row.contains(&column));
            }
        }
        assert!(cells.len() < 3 * 1500, "{}", cells.len());
    }
}
