//! A program that does nothing, at the hook at which calls are judged.

use libbpf_rs::skel::{OpenSkel as _, SkelBuilder as _};
use libbpf_rs::Link;
use std::mem::MaybeUninit;
use sysfsm_testing::bpf::empty;

/// It, loaded.
pub struct Empty(empty::EmptySkel<'static>);

impl Empty {
    pub fn load() -> Self {
        // One for as long as the process lives.
        let object = Box::leak(Box::new(MaybeUninit::uninit()));
        let open = empty::EmptySkelBuilder::default().open(object).expect("the object opens");
        Empty(open.load().expect("this machine runs BPF, as root"))
    }

    /// Runs it at every call until the link is dropped.
    pub fn attach(&self) -> Link {
        self.0.progs.nothing.attach().expect("the hook is there")
    }
}
