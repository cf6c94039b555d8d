//! Vetoes in place: what refuses a call of a thread under a sentence.

use super::background;
use super::choke::{call_function, Choke, Protected, CHOKES, PARTLY, PROTECTIONS};
use super::functions::Functions;
use super::skeleton::EnforceSkel;
use super::template::{Place, Template};
use super::ways::Ways;
use super::{KernelError, Level};
use crate::syscall;
use crate::table::CALLS;
use std::mem;
use std::os::fd::OwnedFd;

/// What guards the choke points of this kernel. Dropping it frees them.
pub(super) struct Vetoes {
    links: Vec<OwnedFd>,
    /// How many LSM hooks, and how many calls' functions, refuse.
    pub hooks: usize,
    pub functions: usize,
    /// What this kernel has no such choke point for, or does not let be guarded.
    pub left_out: Vec<String>,
    /// What they reach.
    pub level: Level,
    /// The calls that are refused for certain.
    refused: Vec<&'static str>,
}

impl Vetoes {
    /// Guards whatever this kernel lets be guarded.
    pub(super) fn attach(
        skel: &EnforceSkel<'_>,
        mut ways: Ways,
        at_most: Level,
        self_protect: bool,
    ) -> Result<Self, KernelError> {
        let mut vetoes = Vetoes {
            links: mem::take(&mut ways.links),
            hooks: 0,
            functions: 0,
            left_out: Vec::new(),
            level: ways.level().min(at_most),
            refused: Vec::new(),
        };
        if vetoes.level == Level::Kill {
            return Ok(vetoes);
        }
        let functions = Functions::read(&["bpf_lsm_", "security_", "__x64_sys_"])?;
        let (anywhere, call) = (Template::of(&skel.progs.veto), Template::of(&skel.progs.veto_call));
        for choke in CHOKES {
            let veto = if choke.anywhere { &anywhere } else { &call };
            if vetoes.guard(choke, veto, &ways, &functions) {
                vetoes.hooks += 1;
                vetoes.refused.extend(choke.calls.split_whitespace());
            } else {
                vetoes.left_out.push(choke.hook.into());
                if choke.core {
                    vetoes.level = Level::Kill;
                }
            }
        }
        if self_protect {
            let (task, bpf) = (Template::of(&skel.progs.protect_task), Template::of(&skel.progs.protect_bpf));
            for (choke, protected) in PROTECTIONS {
                let template = match protected {
                    Protected::Process => &task,
                    Protected::Objects => &bpf,
                };
                if !vetoes.guard(choke, template, &ways, &functions) {
                    vetoes.left_out.push(format!("{} (self-protection)", choke.hook));
                }
            }
        }
        if vetoes.level == Level::Prevent {
            vetoes.guard_calls(&call, &functions);
        }
        Ok(vetoes)
    }

    /// One choke point, by the LSM hook where that is honoured, else by the function that asks it.
    fn guard(&mut self, choke: &Choke, template: &Template<'_>, ways: &Ways, functions: &Functions) -> bool {
        let hook = || functions.id(&format!("bpf_lsm_{}", choke.hook)).map(Place::Lsm);
        let function = || functions.id(&choke.function()).map(Place::Function);
        let places = [
            ways.lsm.is_ok().then(hook).flatten(),
            // A hook that BPF may not have may still be asked by a function that it may.
            ways.function.is_ok().then(function).flatten(),
        ];
        let link = places.into_iter().flatten().find_map(|place| template.put(choke.hook, place).ok());
        link.map(|link| self.links.push(link)).is_some()
    }

    /// The functions of the calls that no hook refuses for certain. Only those of the 64-bit table: the kernel takes no
    /// others (`__ia32_sys_*`: -EINVAL on 7.3), and hooks know no ABI.
    fn guard_calls(&mut self, veto: &Template<'_>, functions: &Functions) {
        let hooked: Vec<&str> = self.refused.iter().copied().filter(|c| !PARTLY.contains(c)).collect();
        // Always allowed, and functions that do not return are not to be guarded.
        let never = ["exit", "exit_group"];
        let calls = (0..CALLS).filter_map(syscall::name);
        for call in calls.filter(|c| !hooked.contains(c) && !never.contains(c)) {
            let Some(id) = functions.id(&call_function(call)) else {
                self.left_out.push(call.into());
                continue;
            };
            if veto.put(call, Place::Function(id)).map(|link| self.links.push(link)).is_ok() {
                self.functions += 1;
                self.refused.push(call);
            } else {
                self.left_out.push(call.into());
                self.level = self.level.min(Level::Contain);
            }
        }
    }

    /// By number, whether a call is refused for certain.
    pub(super) fn refuses(&self, number: u32) -> bool {
        syscall::name(number).is_some_and(|name| self.refused.contains(&name))
    }

    /// Frees the choke points. To free one takes the kernel a tenth of a second and more, so that a process of its own
    /// does it; the vetoes must refuse nobody any more.
    pub(super) fn release(&mut self) {
        background::drop_in(mem::take(&mut self.links));
    }

    pub(super) fn links(&self) -> &[OwnedFd] {
        &self.links
    }
}

impl Drop for Vetoes {
    fn drop(&mut self) {
        self.release();
    }
}
