//! The manifest of a pinned set. It is a map of the set, so that it exists exactly as long as the
//! set does.

use crate::kernel::bpf::array::{self, Mapped};
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::ByReason;
use crate::kernel::level::Level;
use crate::kernel::options::Options;
use crate::kernel::policies::effective_policy::EffectivePolicy;
use crate::kernel::policies::policy_set::PolicySet;
use crate::kernel::policies::saved::SavedPolicySet;
use crate::machine::Reason;
use crate::policy::{Policy, PolicySelector};
use crate::text::UntrustedText;
use libbpf_rs::libbpf_sys::{bpf_map_create_opts, BPF_F_MMAPABLE};
use libbpf_rs::{MapCore as _, MapHandle, MapType};
use plain::Plain;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::mem::size_of;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Stands for the layout of the maps and the numbering of states: a hash of the code that makes
/// them. A program reads and changes the maps of sets with its own stamp only.
const STAMP: &str = env!("SYSFSM_STAMP");

/// What a pinned set enforces, and since when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of sysfsm that has loaded the set.
    pub version: String,
    stamp: String,
    /// When the set was loaded, in nanoseconds since 1970.
    since: u64,
    level: String,
    /// How many LSM hooks have a veto.
    pub hooks: usize,
    /// How many functions of system calls deny.
    pub functions: usize,
    /// The enforcement points that the kernel lacks, or does not let a program be attached to.
    pub unsupported: Vec<String>,
    /// Violations are only reported.
    pub log_only: bool,
    at_most: String,
    require: Option<String>,
    self_protect: bool,
    full_events: u32,
    /// Other versions have no bound.
    #[serde(default)]
    denials: String,
    policy_set: SavedPolicySet,
    /// Violations of policies that have retired.
    past: Vec<Past>,
}

/// How many violations for one reason there were of policies that have retired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Past {
    binary: UntrustedText,
    cgroup: Option<UntrustedText>,
    reason: String,
    count: u64,
}

/// An entry of the manifest's map: a part of its JSON.
#[derive(Clone, Copy)]
#[repr(C)]
struct Page([u8; Page::SIZE]);

impl Page {
    const SIZE: usize = 4096;
}

impl Default for Page {
    fn default() -> Self {
        Page([0; Page::SIZE])
    }
}

// SAFETY: a page is an array of bytes, and any bytes are one.
unsafe impl Plain for Page {}

/// What is known of a set only when it is loaded.
pub(crate) struct Reached<'a> {
    pub level: Level,
    pub enforcement_points: (usize, usize),
    pub unsupported: &'a [String],
}

impl Manifest {
    /// The manifest of a set that was just loaded.
    pub(crate) fn new(policy_set: &PolicySet, options: &Options, reached: &Reached<'_>) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (hooks, functions) = reached.enforcement_points;
        Manifest {
            version: env!("CARGO_PKG_VERSION").into(),
            stamp: STAMP.into(),
            since: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            level: reached.level.as_str().into(),
            hooks,
            functions,
            unsupported: reached.unsupported.to_vec(),
            log_only: options.log_only,
            at_most: options.at_most.as_str().into(),
            require: options.require.map(|l| l.as_str().into()),
            self_protect: options.self_protect,
            full_events: options.full_events,
            denials: options.denials.to_string(),
            policy_set: SavedPolicySet::of(policy_set),
            past: Vec::new(),
        }
    }

    /// When the set was loaded.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.since)
    }

    /// The level that is reached.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level.parse().unwrap_or(Level::Kill)
    }

    /// Whether this program can read and change the set's maps.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.stamp == STAMP
    }

    /// This manifest with other policies, and with the violations of policies that have retired.
    pub(crate) fn with(
        &self,
        policy_set: &PolicySet,
        past: Vec<(PolicySelector, ByReason)>,
    ) -> Self {
        let mut next = Manifest { policy_set: SavedPolicySet::of(policy_set), ..self.clone() };
        for (PolicySelector { binary, cgroup }, reasons) in past {
            for (reason, count) in reasons {
                let reason = reason.as_str();
                let same = |past: &&mut Past| {
                    past.binary == binary && past.cgroup == cgroup && past.reason == reason
                };
                match next.past.iter_mut().find(same) {
                    Some(past) => past.count += count,
                    None => next.past.push(Past {
                        binary: binary.clone(),
                        cgroup: cgroup.clone(),
                        reason: reason.into(),
                        count,
                    }),
                }
            }
        }
        next
    }

    /// Violations of policies that are forgotten.
    pub(crate) fn past(&self) -> impl Iterator<Item = (PolicySelector, ByReason)> + '_ {
        self.past.iter().filter_map(|past| {
            let reason = Reason::all().into_iter().find(|reason| reason.as_str() == past.reason)?;
            let subject =
                PolicySelector { binary: past.binary.clone(), cgroup: past.cgroup.clone() };
            Some((subject, ByReason::from([(reason, past.count)])))
        })
    }

    /// Whether this program would load such a set with these options, whatever the policies.
    pub(crate) fn is_of(&self, options: &Options) -> bool {
        self.is_ours()
            && self.version == env!("CARGO_PKG_VERSION")
            && self.log_only == options.log_only
            && self.at_most == options.at_most.as_str()
            && self.require.as_deref() == options.require.map(Level::as_str)
            && self.self_protect == options.self_protect
            && self.full_events == options.full_events
            && self.denials == options.denials.to_string()
    }

    /// The policies, as they are in the kernel.
    ///
    /// # Errors
    /// A policy cannot be read.
    pub(crate) fn policy_set(&self) -> Result<PolicySet, KernelError> {
        let effective = |policy: &Policy| EffectivePolicy::of(policy, self.log_only, false);
        self.policy_set.restore(effective).map_err(KernelError::Manifest)
    }

    /// The numbers of the policies that are enforced.
    pub fn policies(&self) -> impl Iterator<Item = u32> + '_ {
        self.policy_set.numbers()
    }

    /// How many policies are draining: they were replaced or removed, and threads may be in them
    /// that have made no call since.
    #[must_use]
    pub fn draining(&self) -> usize {
        self.policy_set.draining()
    }

    /// By the number of a policy, its binary and cgroup. Draining policies are included.
    #[must_use]
    pub fn selectors(&self) -> BTreeMap<u32, PolicySelector> {
        self.policy_set.selectors()
    }

    /// Writes the manifest into a new map.
    ///
    /// # Errors
    /// The map cannot be created.
    pub(crate) fn store(&self) -> Result<MapHandle, KernelError> {
        let text = serde_json::to_vec(self).map_err(|e| KernelError::Manifest(e.to_string()))?;
        let pages = text.chunks(Page::SIZE).map(|chunk| {
            let mut page = Page::default();
            page.0.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            page
        });
        let failed = |cause| KernelError::Fill { map: "manifest", entries: text.len(), cause };
        let options = bpf_map_create_opts {
            sz: size_of::<bpf_map_create_opts>() as u64,
            map_flags: BPF_F_MMAPABLE,
            ..Default::default()
        };
        let key = u32::try_from(size_of::<u32>()).unwrap_or(4);
        let (page, count) =
            (u32::try_from(Page::SIZE).unwrap_or(0), u32::try_from(pages.len()).unwrap_or(0));
        let map = MapHandle::create(MapType::Array, Some("manifest"), key, page, count, &options)
            .map_err(failed)?;
        let to = Mapped::<Page>::entries(&map, "manifest")?;
        pages.enumerate().for_each(|(index, page)| to.put(index, page));
        Ok(map)
    }

    /// Reads the manifest from its map.
    ///
    /// # Errors
    /// The map has no manifest that this version understands.
    pub(crate) fn load(map: &MapHandle) -> Result<Self, KernelError> {
        let pages: Vec<Page> = array::read(map, "manifest", map.max_entries())?;
        let bytes: Vec<u8> = pages.iter().flat_map(|page| page.0).collect();
        let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
        serde_json::from_slice(bytes.get(..end).unwrap_or_default())
            .map_err(|e| KernelError::Manifest(e.to_string()))
    }
}

/// A watched thread, as the pinned iterator writes it.
pub type Watched = types::sysfsm_watched;
