//! Templates of programs. One program of a BPF object is loaded again for each function or LSM hook
//! that it is to be attached to.

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

/// Where a program is attached, by the id of a function in the kernel's BTF.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AttachPoint {
    /// An LSM hook: the function `bpf_lsm_` and the name of the hook.
    Lsm(u32),
    /// A function that a `fmod_ret` program may refuse to run.
    Function(u32),
}

impl AttachPoint {
    /// The program type, the attach type, and the function's id.
    fn parts(self) -> (bpf_prog_type, bpf_attach_type, u32) {
        match self {
            AttachPoint::Lsm(id) => (BPF_PROG_TYPE_LSM, BPF_LSM_MAC, id),
            AttachPoint::Function(id) => (BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, id),
        }
    }
}

/// The size of a record of the table of functions: eight bytes.
#[allow(clippy::cast_possible_truncation)]
const RECORD: u32 = size_of::<bpf_func_info>() as u32;

/// The instructions of a loaded program, in which the maps are resolved, and the table of its
/// functions. Without the table the verifier takes global functions for static ones.
pub(crate) struct Template<'a> {
    instructions: &'a [bpf_insn],
    functions: *const bpf_func_info,
    functions_count: u32,
    /// The descriptor of the object's BTF.
    types: u32,
}

impl<'a> Template<'a> {
    /// The template of a program of a loaded object.
    pub(crate) fn of(object: &'a Object, program: &ProgramMut<'a>) -> Self {
        let pointer = program.as_libbpf_object().as_ptr();
        // SAFETY: both pointers are of a loaded object, which lives for 'a.
        let (functions, count, types) = unsafe {
            (
                bpf_program__func_info(pointer),
                bpf_program__func_info_cnt(pointer),
                bpf_object__btf_fd(object.as_libbpf_object().as_ptr()),
            )
        };
        // The table is of use only with BTF, which the kernel may have refused.
        let (types, functions_count) = u32::try_from(types).map_or((0, 0), |types| (types, count));
        Template { instructions: program.insns(), functions, functions_count, types }
    }

    /// Loads the program for an attach point, and attaches it there. It is attached until the link,
    /// which is returned, is closed.
    ///
    /// # Errors
    /// The kernel refuses to load or attach the program.
    pub(crate) fn put(&self, name: &str, point: AttachPoint) -> io::Result<OwnedFd> {
        let (kind, attach, function) = point.parts();
        // The kernel takes 15 bytes of letters, digits, `_` and `.` (BPF_OBJ_NAME_LEN).
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
        // SAFETY: the name, the license, the options and the object's table of functions live until
        // the call returns. The pointer and the count of instructions are those of one slice.
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
        // SAFETY: the descriptor is open. A program of these types is attached where it was loaded
        // for, so that the name is null.
        owned(unsafe { bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) })
    }
}
