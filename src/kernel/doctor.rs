//! The report of `sysfsm doctor`: what this kernel offers, found out by trying.

use crate::kernel::bpf::log;
use crate::kernel::error::KernelError;
use crate::kernel::level::Level;
use crate::kernel::support::deny_mechanisms::DenyMechanisms;
use crate::kernel::support::foreign_abi as abi;
use crate::kernel::support::preemption::tracepoints_are_preemptible;
use crate::kernel::support::privileges::{require_btf, require_privilege};
use crate::kernel::support::trials::{classic, load_and_attach};
use libbpf_rs::{MapHandle, MapType};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use std::fs;
use std::mem::size_of;
use std::path::Path;

/// A feature of the kernel, or of this machine.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The feature's name.
    pub name: &'static str,
    /// Whether the feature is there.
    pub found: bool,
    /// Whether `enforce` needs the feature to start.
    pub needed: bool,
    /// What the feature is for, or why it is missing.
    pub detail: String,
}

/// All features.
#[derive(Debug, Clone)]
pub struct Report {
    /// The features, in the order in which `enforce` needs them.
    pub findings: Vec<Finding>,
    /// The level that `enforce` would reach; `None` if it does not start.
    pub level: Option<Level>,
    /// What to change for the next level; `None` at the highest.
    pub next: Option<String>,
}

/// Tries every feature that `enforce` needs or makes use of. A feature that depends on a missing
/// one is not tried.
#[must_use]
pub fn probe() -> Report {
    let mut report = Report { findings: Vec::new(), level: None, next: None };
    let privileged = report.add("privilege", true, require_privilege(), "may load BPF programs");
    let typed = report.add("btf", true, require_btf(), "the kernel describes its types");
    report.add_text("lockdown", !lockdown().contains("[confidentiality]"), lockdown());
    report.add_text("lsm_list", lsm_list().split(',').any(|l| l == "bpf"), lsm_list());
    if !(privileged && typed) {
        report.next = Some(match report.findings.iter().find(|f| f.needed && !f.found) {
            Some(f) if f.name == "privilege" => "run it as root: sudo sysfsm doctor".into(),
            _ => "boot a kernel with CONFIG_DEBUG_INFO_BTF=y, as stock kernels from 5.15 on have"
                .into(),
        });
        return report;
    }
    log::capture();
    let memory = memory_lock();
    report.add_text("memory_lock", memory.is_ok(), memory.unwrap_or_else(|e| e));
    let mut works = true;
    for (name, only, good) in [
        ("tracepoints", 0, "BTF tracepoints load and attach"),
        ("task_storage", 1, "a thread's state goes with the thread"),
        ("ring_buffer", 2, "events go to user space in order"),
        ("kill", 3, "a BPF program may send SIGKILL"),
    ] {
        works &= report.add(name, true, load_and_attach(only), good);
    }
    if tracepoints_are_preemptible() {
        let found = classic().is_ok();
        let detail = if found {
            "calls are judged where nothing preempts a program, and what that misses by a second one"
        } else {
            "calls can go unjudged under load: mount -t tracefs tracefs /sys/kernel/tracing"
        };
        report.add_text("tracefs", found, detail.into());
    }
    let mechanisms = works.then(DenyMechanisms::find).transpose();
    match mechanisms {
        Ok(Some(mechanisms)) => report.add_mechanisms(&mechanisms),
        Ok(None) => report.next = Some("sysfsm needs Linux 5.15 or newer".into()),
        Err(e) => {
            report.add("programs", true, Err(e), "");
            report.next = Some("sysfsm needs Linux 5.15 or newer".into());
        }
    }
    for (name, abi) in [("i386_abi", abi::I386), ("x32_abi", abi::X32)] {
        let found = abi.works();
        let detail = if found {
            format!("programs can make {} calls; of watched threads each is a violation", abi.name)
        } else {
            format!("no {} calls: none to judge", abi.name)
        };
        report.add_text(name, found, detail);
    }
    report
}

impl Report {
    /// Adds a feature: what `good` says if the trial succeeds, else its error.
    fn add(
        &mut self,
        name: &'static str,
        needed: bool,
        outcome: Result<(), KernelError>,
        good: &str,
    ) -> bool {
        let found = outcome.is_ok();
        let detail = outcome.err().map_or_else(|| good.to_string(), |e| e.to_string());
        self.findings.push(Finding { name, found, needed, detail });
        found
    }

    /// Adds a feature that `enforce` does not need.
    fn add_text(&mut self, name: &'static str, found: bool, detail: String) {
        self.findings.push(Finding { name, found, needed: false, detail });
    }

    /// Adds the mechanisms that deny, and the level.
    fn add_mechanisms(&mut self, mechanisms: &DenyMechanisms) {
        for (name, outcome, good) in [
            ("lsm_programs", &mechanisms.lsm, "LSM programs run, and refuse"),
            (
                "fmod_ret",
                &mechanisms.function,
                "programs on the functions that ask the LSMs run, and refuse",
            ),
            (
                "fmod_ret_syscalls",
                &mechanisms.call,
                "programs on the functions of system calls run, and refuse",
            ),
        ] {
            let detail = outcome.as_ref().err().map_or_else(|| good.to_string(), Clone::clone);
            self.add_text(name, outcome.is_ok(), detail);
        }
        self.level = Some(mechanisms.level());
        self.next = match mechanisms.level() {
            Level::Prevent => None,
            Level::Contain => Some(format!(
                "for `prevent`: Linux 7.1 or newer{}",
                if mechanisms.lsm.is_ok() {
                    String::new()
                } else {
                    format!("; to have LSM programs run, boot with lsm={},bpf", lsm_list())
                }
            )),
            Level::Kill => Some(
                "for `contain`: a kernel that takes BPF trampolines (CONFIG_BPF_LSM, CONFIG_FUNCTION_TRACER with direct \
                 calls), as stock kernels from 5.15 on do"
                    .into(),
            ),
        };
    }
}

/// Whether the limit of locked memory bounds maps. It did before Linux 5.11; since then the memory
/// limit of the cgroup does.
fn memory_lock() -> Result<String, String> {
    let bounded = || -> nix::Result<bool> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
        setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard)?;
        let options = libbpf_rs::libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_rs::libbpf_sys::bpf_map_create_opts>() as u64,
            ..Default::default()
        };
        let map = MapHandle::create(MapType::Array, Some("try_memory"), 4, 8, 1 << 16, &options);
        setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
        Ok(map.is_err())
    };
    match bounded() {
        Ok(false) => Ok("maps do not count as locked memory".into()),
        Ok(true) => {
            Err("maps count as locked memory: raise the limit (ulimit -l unlimited)".into())
        }
        Err(e) => Err(format!("the limit of locked memory cannot be changed: {e}")),
    }
}

fn lockdown() -> String {
    securityfs("lockdown")
}

fn lsm_list() -> String {
    securityfs("lsm")
}

/// The text of a file in securityfs, or why it cannot be read.
fn securityfs(file: &str) -> String {
    fs::read_to_string(Path::new("/sys/kernel/security").join(file)).map_or_else(
        |e| format!("unknown: /sys/kernel/security/{file}: {e}"),
        |text| text.trim().to_string(),
    )
}
