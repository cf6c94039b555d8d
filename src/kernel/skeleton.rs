//! The skeleton that libbpf-cargo makes of `bpf/enforce.bpf.c`.

#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
mod made {
    include!(concat!(env!("OUT_DIR"), "/enforce.skel.rs"));
}

pub(super) use made::{EnforceSkel, EnforceSkelBuilder};

/// The wire types of `bpf/sysfsm.h`.
pub use made::types;

macro_rules! plain {
    ($($name:ident),*) => {$(
        // SAFETY: `#[repr(C)]`, made of integers only, every padding byte a field of its own
        // (`_Static_assert` on the sizes in bpf/sysfsm.h): any bit pattern is a value.
        unsafe impl plain::Plain for types::$name {}
    )*};
}

plain!(
    sysfsm_adoptee,
    sysfsm_cell,
    sysfsm_context,
    sysfsm_counters,
    sysfsm_event,
    sysfsm_far,
    sysfsm_file,
    sysfsm_history,
    sysfsm_name,
    sysfsm_policy,
    sysfsm_script
);
