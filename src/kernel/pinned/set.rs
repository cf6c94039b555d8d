//! A pinned set, which enforces policies: what can be asked of it, and its end.

use crate::kernel::bpf::array::Mapped;
use crate::kernel::bpf::background;
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::{ByReason, EventMaps};
use crate::kernel::events::stream::CounterReader;
use crate::kernel::events::totals::Totals;
use crate::kernel::hooks::Attached;
use crate::kernel::pinned::manifest::{Manifest, Watched};
use crate::kernel::pinned::pins::{Pins, Set, MANIFEST};
use crate::kernel::pinned::self_test::carry_out;
use crate::kernel::support::privileges::require_privilege;
use crate::kernel::support::self_test::{Mechanism, SelfTest};
use crate::policy::PolicySelector;
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A pinned set. Reading it needs no agent, and disturbs none.
pub struct Pinned {
    pub(crate) set: Set,
    pub(crate) manifest: Manifest,
    /// What can be read of a set with this program's stamp; `None` of other sets.
    pub(crate) inside: Option<Inside>,
}

pub(crate) struct Inside {
    counter_reader: CounterReader,
    pub(crate) data: Mapped<types::bss>,
    self_test: Option<SelfTest>,
}

impl Pinned {
    /// The current set of a directory; `None` if nothing is enforced.
    ///
    /// # Errors
    /// A pinned object cannot be opened, or the manifest cannot be read.
    pub fn find(pins: &Pins) -> Result<Option<Self>, KernelError> {
        require_privilege()?;
        pins.current()?.map(Pinned::open).transpose()
    }

    /// Opens a complete set.
    ///
    /// # Errors
    /// A pinned object cannot be opened, or the manifest cannot be read.
    pub(crate) fn open(set: Set) -> Result<Self, KernelError> {
        let manifest = Manifest::load(&set.directory.map(MANIFEST)?)?;
        let inside = if manifest.is_ours() { Some(Inside::open(&set)?) } else { None };
        Ok(Pinned { set, manifest, inside })
    }

    /// The set's manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether the set is still pinned. Any process may have ended it.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.set.is_complete()
    }

    /// The totals since the set was loaded; `None` of a set of another version.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<Option<Totals>, KernelError> {
        self.inside.as_ref().map(|inside| inside.counter_reader.totals()).transpose()
    }

    /// The threads that are watched; `None` of a set of another version.
    ///
    /// # Errors
    /// The iterator over threads cannot be read.
    pub fn watched(&self) -> Result<Option<Vec<Watched>>, KernelError> {
        let name = "watched";
        let watched =
            || self.set.directory.open(name).and_then(|link| objects::records(link.as_fd(), name));
        self.inside.as_ref().map(|_| watched()).transpose()
    }

    /// How many violations there were, by the binary and cgroup of the policy and by the reason;
    /// `None` of a set of another version.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn violations(&self) -> Result<Option<BTreeMap<PolicySelector, ByReason>>, KernelError> {
        if self.inside.is_none() {
            return Ok(None);
        }
        let subjects = self.manifest.selectors();
        let mut all: BTreeMap<PolicySelector, ByReason> = BTreeMap::new();
        let now = EventMaps::find(|name| self.set.directory.map(name))?.by_policy()?;
        let now = now
            .into_iter()
            .filter_map(|(number, reasons)| Some((subjects.get(&number)?.clone(), reasons)));
        for (subject, reasons) in self.manifest.past().chain(now) {
            let sum = all.entry(subject).or_default();
            for (reason, count) in reasons {
                *sum.entry(reason).or_default() += count;
            }
        }
        Ok(Some(all))
    }

    /// How many threads' states are in the fallback map now, until their next call; none of another
    /// version's set.
    #[must_use]
    pub fn in_fallback(&self) -> Option<u64> {
        Some(self.inside.as_ref()?.data.load(offset_of!(types::bss, fallbacks_used)))
    }

    /// How often the agent has read the policies again, and how often it has refused them; `None`
    /// of a set of another version.
    #[must_use]
    pub fn reloads(&self) -> Option<(u64, u64)> {
        let data = &self.inside.as_ref()?.data;
        let refused = data.load(offset_of!(types::bss, reloads_refused));
        Some((data.load::<u64>(offset_of!(types::bss, reloads_done)), refused))
    }

    /// Tries whether vetoes still work, from this process. Returns the mechanisms that do not any
    /// more; none of another version's set.
    ///
    /// # Errors
    /// It cannot be tried.
    pub fn self_test(&self) -> Result<Vec<Mechanism>, KernelError> {
        let test = self.inside.as_ref().and_then(|inside| inside.self_test.as_ref());
        test.map_or(Ok(Vec::new()), SelfTest::failing)
    }

    /// Does what [`Pinned::self_test`] does, as the agent, whose cgroups are protected.
    pub(crate) fn self_test_of_agent(&self) -> Result<Vec<Mechanism>, KernelError> {
        match &self.inside {
            Some(Inside { self_test: Some(self_test), data, .. }) => carry_out(self_test, data),
            _ => Ok(Vec::new()),
        }
    }

    /// The alarms of the agent's self-test: whether there is one now, and how many there were;
    /// `None` of a set of another version.
    #[must_use]
    pub fn alarms(&self) -> Option<(bool, u64)> {
        let data = &self.inside.as_ref()?.data;
        let is_raised: u32 = data.load(offset_of!(types::bss, alarm_raised));
        Some((is_raised != 0, data.load(offset_of!(types::bss, alarms_raised))))
    }

    /// Asks the agent to read the policies again, and waits at most `patience` for the answer.
    /// Returns whether the policies were refused; `None` if there is no answer.
    ///
    /// # Errors
    /// The set cannot be read.
    pub fn ask(pins: &Pins, patience: Duration) -> Result<Option<bool>, KernelError> {
        const LOOK: Duration = Duration::from_millis(5);
        let Some(Inside { data, .. }) = Pinned::find(pins)?.and_then(|pinned| pinned.inside) else {
            return Ok(None);
        };
        let (asked, refused) =
            (offset_of!(types::bss, reloads_asked), offset_of!(types::bss, reloads_refused));
        let refused_before: u64 = data.load(refused);
        let request = data.load::<u64>(asked) + 1;
        data.store(asked, request);
        let deadline = Instant::now() + patience;
        while data.load::<u64>(offset_of!(types::bss, reloads_answered)) < request {
            if Instant::now() > deadline || !pins.has_agent() {
                return Ok(None);
            }
            sleep(LOOK);
        }
        Ok(Some(data.load::<u64>(refused) != refused_before))
    }

    /// Ends all enforcement that is pinned in a directory. Returns the set that was current, and
    /// its last totals.
    ///
    /// # Errors
    /// An object cannot be unpinned.
    pub fn stop(pins: &Pins) -> Result<Option<(Self, Option<Totals>)>, KernelError> {
        let found = Pinned::find(pins)?;
        let mut hooks = Vec::new();
        for set in pins.sets()? {
            hooks.append(&mut Pinned::release(&set)?);
        }
        pins.remove()?;
        wait_until_detached(&hooks);
        let totals = found.as_ref().map(Pinned::totals).transpose()?.flatten();
        Ok(found.map(|found| (found, totals)))
    }

    /// Whether a change of the policies was begun and not finished.
    pub(crate) fn is_changing(&self) -> bool {
        self.inside
            .as_ref()
            .is_some_and(|i| i.data.load::<u32>(offset_of!(types::bss, changing)) != 0)
    }

    /// Unpins a set, complete or not. Returns the ids of the links of its hooks, which the kernel
    /// has yet to detach.
    ///
    /// # Errors
    /// An object cannot be unpinned.
    pub(crate) fn release(set: &Set) -> Result<Vec<u32>, KernelError> {
        let ours = set
            .directory
            .map(MANIFEST)
            .and_then(|map| Manifest::load(&map))
            .is_ok_and(|m| m.is_ours());
        if ours {
            // A denial of a thread's last call would be in effect until its next call, while links
            // are closed. An error here is no reason to leave everything pinned.
            match set
                .directory
                .map("data")
                .and_then(|map| Mapped::<types::bss>::whole(&map, "data"))
            {
                Ok(data) => data.store(offset_of!(types::bss, enforcing), 0_u8),
                Err(error) => {
                    tracing::warn!("denied calls may be refused until all of it is gone: {error}");
                }
            }
        }
        // Detaching programs from enforcement points takes long. Their links stay open for the
        // process that does it.
        let vetoes = set.directory.all(Set::VETO).unwrap_or_default();
        let vetoes: Vec<OwnedFd> = vetoes.into_iter().map(|(_, link)| link).collect();
        let hooks = set.directory.all(Set::HOOK).unwrap_or_default();
        let hooks: Vec<u32> = hooks
            .into_iter()
            .filter_map(|(_, link)| Some(objects::link(link.as_fd()).ok()?[0].id))
            .collect();
        set.remove()?;
        background::drop_in(vetoes);
        Ok(hooks)
    }
}

/// Waits until links that were unpinned are detached. The kernel frees them some time later
/// (`bpf_free_inode`, kernel/bpf/inode.c), and until then their programs enforce.
fn wait_until_detached(links: &[u32]) {
    /// How long it is waited at most until the kernel has freed them.
    const FREED: Duration = Duration::from_secs(2);
    /// How long detaching the last one takes at most: a link loses its id first (`bpf_link_free`,
    /// kernel/bpf/syscall.c).
    const DETACHED: Duration = Duration::from_millis(200);
    if links.is_empty() {
        return;
    }
    let deadline = Instant::now() + FREED;
    while links.iter().any(|&link| objects::link_exists(link)) && Instant::now() < deadline {
        sleep(Duration::from_millis(2));
    }
    sleep(DETACHED);
}

impl Inside {
    fn open(set: &Set) -> Result<Self, KernelError> {
        Ok(Inside {
            counter_reader: CounterReader {
                counters: set.directory.map("counters")?,
                attached: Attached::pinned(&set.directory)?,
            },
            data: Mapped::whole(&set.directory.map("data")?, "data")?,
            self_test: if set.directory.contains(SelfTest::PIN) {
                Some(SelfTest::of(set.directory.map(SelfTest::PIN)?)?)
            } else {
                None
            },
        })
    }
}
