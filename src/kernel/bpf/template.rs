//! Programs that are loaded once more for each place that they are to guard.

use crate::kernel::bpf::objects::owned;
use libbpf_rs::libbpf_sys::{
    bpf_attach_type, bpf_func_info, bpf_insn, bpf_object__btf_fd, bpf_prog_load,
    bpf_prog_load_opts, bpf_prog_type, bpf_program__func_info, bpf_program__func_info_cnt,
    bpf_raw_tracepoint_open, BPF_LSM_MAC, BPF_MODIFY_RETURN, BPF_PROG_TYPE_LSM,
    BPF_PROG_TYPE_TRACING,
};
use libbpf_rs::{AsRawLibbpf as _, Object, ProgramMut};
use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// Where a program is put, by the id of the function in the kernel's BTF.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// An LSM hook: `bpf_lsm_` and its name.
    Lsm(u32),
    /// A function whose call a `fmod_ret` program may refuse.
    Function(u32),
}

impl Place {
    fn parts(self) -> (bpf_prog_type, bpf_attach_type, u32) {
        match self {
            Place::Lsm(id) => (BPF_PROG_TYPE_LSM, BPF_LSM_MAC, id),
            Place::Function(id) => (BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, id),
        }
    }
}

/// Of a table of functions; `size_of` of eight bytes fits anything.
#[allow(clippy::cast_possible_truncation)]
const RECORD: u32 = size_of::<bpf_func_info>() as u32;

/// The instructions of a loaded program, its maps resolved, and where its functions begin: without
/// that the verifier takes global ones for static.
pub(crate) struct Template<'a> {
    instructions: &'a [bpf_insn],
    functions: *const bpf_func_info,
    functions_count: u32,
    /// The descriptor of the object's BTF.
    types: u32,
}

impl<'a> Template<'a> {
    /// The template must not outlive the object that the program is of.
    pub(crate) fn of(object: &'a Object, program: &ProgramMut<'a>) -> Self {
        let pointer = program.as_libbpf_object().as_ptr();
        // SAFETY: both belong to a loaded object, which is there for as long as 'a.
        let (functions, count, types) = unsafe {
            (
                bpf_program__func_info(pointer),
                bpf_program__func_info_cnt(pointer),
                bpf_object__btf_fd(object.as_libbpf_object().as_ptr()),
            )
        };
        // A kernel that took no BTF gets no table either.
        let (types, functions_count) = u32::try_from(types).map_or((0, 0), |types| (types, count));
        Template { instructions: program.insns(), functions, functions_count, types }
    }

    /// Loads the instructions for a place, and attaches them there. The place is guarded until the
    /// link is dropped.
    pub(crate) fn put(&self, name: &str, place: Place) -> io::Result<OwnedFd> {
        let (kind, attach, function) = place.parts();
        // The kernel keeps 15 bytes, of letters, digits, `_` and `.` (BPF_OBJ_NAME_LEN).
        let name = CString::new(name.get(..name.len().min(15)).unwrap_or_default())?;
        let mut options = bpf_prog_load_opts {
            sz: size_of::<bpf_prog_load_opts>() as u64,
            expected_attach_type: attach,
            attach_btf_id: function,
            prog_btf_fd: self.types,
            func_info: self.functions.cast(),
            func_info_cnt: self.functions_count,
            func_info_rec_size: RECORD,
            ..Default::default()
        };
        // SAFETY: the name, the license, the options and the object's own table of functions live
        // until the call returns, and the pointer and the count are those of one slice.
        let program = owned(unsafe {
            bpf_prog_load(
                kind,
                name.as_ptr(),
                c"Dual MIT/GPL".as_ptr(),
                self.instructions.as_ptr(),
                self.instructions.len() as u64,
                &raw mut options,
            )
        })?;
        // SAFETY: programs of these kinds are attached where they were loaded for, by no name.
        owned(unsafe { bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) })
    }
}
