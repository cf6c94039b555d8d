//! The skeletons that libbpf-cargo makes of `bpf/`.

#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
mod enforce {
    include!(concat!(env!("OUT_DIR"), "/enforce.skel.rs"));
}

#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
mod identify {
    include!(concat!(env!("OUT_DIR"), "/identify.skel.rs"));
}

#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
mod probe {
    include!(concat!(env!("OUT_DIR"), "/probe.skel.rs"));
}

#[allow(clippy::all, clippy::pedantic, clippy::restriction, missing_docs)]
mod record {
    include!(concat!(env!("OUT_DIR"), "/record.skel.rs"));
}

pub(crate) use enforce::{EnforceSkel, EnforceSkelBuilder, OpenEnforceSkel};
pub(crate) use identify::{IdentifySkel, IdentifySkelBuilder};
pub(crate) use probe::types::bss as ProbeData;
pub(crate) use probe::{OpenProbeSkel, ProbeSkelBuilder};
pub(crate) use record::{RecordSkel, RecordSkelBuilder};

/// The wire types of `bpf/sysfsm.h`.
pub mod types {
    pub use crate::kernel::bpf::skeleton::enforce::types::*;
    pub use crate::kernel::bpf::skeleton::identify::types::sysfsm_open_file;
    pub use crate::kernel::bpf::skeleton::record::types::{
        sysfsm_edge, sysfsm_new_program_event, sysfsm_path_origin, sysfsm_run, sysfsm_run_cgroup,
        sysfsm_run_user, sysfsm_script, sysfsm_taken,
    };
}

macro_rules! plain {
    ($($name:ident),*) => {$(
        // SAFETY: the type is `#[repr(C)]` and has only integers. Each padding byte is a field of
        // its own (`_Static_assert` on the sizes in bpf/sysfsm.h). So any bytes are a value.
        unsafe impl plain::Plain for types::$name {}
    )*};
}

plain!(
    sysfsm_adoptee,
    sysfsm_call_count,
    sysfsm_cell,
    sysfsm_context,
    sysfsm_counters,
    sysfsm_migration_key,
    sysfsm_edge,
    sysfsm_event,
    sysfsm_far,
    sysfsm_file,
    sysfsm_history,
    sysfsm_violation_kind,
    sysfsm_new_program_event,
    sysfsm_name,
    sysfsm_object,
    sysfsm_open_file,
    sysfsm_policy,
    sysfsm_run,
    sysfsm_run_cgroup,
    sysfsm_run_user,
    sysfsm_complain_sample,
    sysfsm_script,
    sysfsm_complain_event,
    sysfsm_switch,
    sysfsm_taken,
    sysfsm_violation_count,
    sysfsm_watched
);
