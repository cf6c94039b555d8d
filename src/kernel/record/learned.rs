//! From the maps of a recording to machines. The maps are generic, so that a test reads those of
//! its own BPF object by the same code.

use crate::kernel::bpf::array;
use crate::kernel::bpf::hash;
use crate::kernel::bpf::map_list::map_list;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::bpf::wire;
use crate::kernel::error::KernelError;
use crate::machine::{Context, Count, Depth, Machine};
use crate::syscall::Symbol;
use libbpf_rs::{MapCore, OpenMapMut};
use std::collections::{BTreeMap, HashSet};

map_list! {
    ($)
    /// The maps of a recording: those of `bpf/record_step.h` and `bpf/runs.h`.
    pub struct RecordMaps via borrow_record_maps {
        /// Program and context → node.
        nodes,
        /// Node → program and context.
        node_contexts,
        /// The transitions: node and symbol → counts.
        edges,
        /// Live run → how many threads it has.
        live_runs,
        /// The transitions that a live run has made.
        taken,
        /// Program → how many runs it had.
        run_counts,
    }
}

/// How much room a recording has in the kernel.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Transitions of all programs together. There is room for as many contexts, and for twice as
    /// many cells of the hash table, so that a cell is found near its home.
    pub transitions: u32,
    /// Programs.
    pub programs: u32,
}

impl Room {
    /// The hash table of transitions has two to the power of this many cells.
    #[must_use]
    pub fn edge_bits(self) -> u32 {
        // The table has at least as many cells as a transition may be away from its home.
        self.transitions
            .saturating_mul(2)
            .checked_next_power_of_two()
            .unwrap_or(1 << 31)
            .ilog2()
            .max(7)
    }
}

/// What was recorded of one program.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its transitions.
    pub machine: Machine,
    /// How many runs it had.
    pub runs: u64,
}

/// Gives the maps their sizes. The object must not be loaded yet.
///
/// # Errors
/// libbpf refuses a size.
pub fn resize(maps: &mut RecordMaps<&mut OpenMapMut<'_>>, room: Room) -> Result<(), KernelError> {
    let set = |map: &mut OpenMapMut<'_>, name: &'static str, entries: u32| {
        map.set_max_entries(entries.max(1)).map_err(|cause| KernelError::Fill {
            map: name,
            entries: entries as usize,
            cause,
        })
    };
    // The numbers begin at 1, and a few are lost when two CPUs add one context at once.
    let nodes = room.transitions.saturating_add(room.transitions / 8).saturating_add(64);
    set(maps.nodes, "nodes", nodes)?;
    set(maps.node_contexts, "node_contexts", nodes)?;
    set(maps.edges, "edges", 1 << room.edge_bits())?;
    set(maps.taken, "taken", room.transitions.saturating_mul(2).max(65_536))?;
    set(
        maps.run_counts,
        "run_counts",
        room.programs.saturating_add(room.programs / 8).saturating_add(64),
    )
}

/// By number of a program, what was recorded of it so far. Programs without a run are left out.
///
/// # Errors
/// A map cannot be read.
pub fn read<M: MapCore>(
    maps: &RecordMaps<&M>,
    depth: Depth,
) -> Result<BTreeMap<u32, Recorded>, KernelError> {
    let mut edges: Vec<types::sysfsm_edge> = array::read(maps.edges, "edges", u32::MAX)?;
    edges.retain(|edge| edge.calls > 0);
    // Nodes are read after the edges, so that every node of an edge is there.
    let last = edges.iter().map(from).max().unwrap_or(0);
    let nodes: Vec<types::sysfsm_context> =
        array::read(maps.node_contexts, "node_contexts", last.saturating_add(1))?;
    let runs: Vec<u64> = array::read(maps.run_counts, "run_counts", u32::MAX)?;
    let mut found: BTreeMap<u32, Recorded> = (0..)
        .zip(runs)
        .filter(|&(_, runs)| runs > 0)
        .map(|(program, runs)| (program, Recorded { machine: Machine::new(depth), runs }))
        .collect();
    for edge in &edges {
        let Some(node) = nodes.get(from(edge) as usize) else { continue };
        let symbol = Symbol::from_code(u32::try_from(edge.key & u64::from(u32::MAX)).unwrap_or(0));
        // A call is counted before its run.
        let count = Count { calls: edge.calls, runs: u64::from(edge.runs.max(1)) };
        if let Some(recorded) = found.get_mut(&node.policy) {
            recorded.machine.insert(context(&node.history, depth), symbol, count);
        }
    }
    Ok(found)
}

/// Deletes the transitions of runs that have ended from the map `taken`. The number of a run is not
/// used again. Returns how many entries were deleted.
///
/// # Errors
/// A map cannot be read or changed.
pub fn forget_ended<M: MapCore>(maps: &RecordMaps<&M>) -> Result<usize, KernelError> {
    let all = hash::read::<types::sysfsm_taken, u32>(maps.taken, "taken")?;
    let mut taken: Vec<types::sysfsm_taken> = all.into_iter().map(|(key, _)| key).collect();
    if taken.is_empty() {
        return Ok(0);
    }
    // Live runs are read after `taken`: a run that is missing here has ended.
    let live: HashSet<u32> = maps.live_runs.keys().filter_map(|key| wire::record(&key)).collect();
    taken.retain(|key| !live.contains(&key.run));
    for key in &taken {
        let key = [key.run.to_ne_bytes(), key.edge.to_ne_bytes()].concat();
        maps.taken.delete(&key).map_err(|cause| KernelError::Read { map: "taken", cause })?;
    }
    Ok(taken.len())
}

/// The node that a transition starts at.
fn from(edge: &types::sysfsm_edge) -> u32 {
    u32::try_from(edge.key >> 32).unwrap_or(0)
}

/// The context that a history is.
fn context(history: &types::sysfsm_history, depth: Depth) -> Context {
    Context::of(
        history.symbols.iter().take(history.len as usize).map(|&code| Symbol::from_code(code)),
        depth,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twice_as_many_cells_as_transitions() {
        let bits = |transitions| Room { transitions, programs: 1 }.edge_bits();
        assert_eq!((bits(1), bits(1000), bits(1 << 18)), (7, 11, 19));
        assert_eq!(bits(u32::MAX), 31);
    }
}
