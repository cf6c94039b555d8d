//! Attending to enforcement that outlives whoever has loaded it: taking it over, changing its
//! policies while it goes on, replacing it.

use crate::kernel::adopt::Adoption;
use crate::kernel::bpf::entries::{forget, put};
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::enforce::enforcer::Enforcer;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::ByReason;
use crate::kernel::events::counts::{EventMaps, Repeated};
use crate::kernel::events::stream::EventStream;
use crate::kernel::events::violation::EventReader;
use crate::kernel::events::violation::Violation;
use crate::kernel::identity::binaries::{identify, Identities};
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::maps::Bound;
use crate::kernel::identity::processes::{self, candidates};
use crate::kernel::options::Options;
use crate::kernel::pinned::manifest::{Manifest, Watched};
use crate::kernel::pinned::pins::{AgentLock, Pins, MANIFEST};
use crate::kernel::pinned::set::Pinned;
use crate::kernel::policies::level_requirements::effective_policies;
use crate::kernel::policies::maps::Maps;
use crate::kernel::policies::policy_set::{Change, PolicySet, Retired};
use crate::kernel::policies::step_maps;
use crate::policy::{Policy, Subject};
use std::collections::BTreeSet;
use std::io;
use std::mem::{offset_of, MaybeUninit};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// Pinned enforcement, and the one who attends to it.
pub struct Agent {
    pinned: Pinned,
    maps: Maps,
    stream: EventStream,
    policy_set: PolicySet,
    options: Options,
    /// The last request for a reload that was answered.
    answered: u64,
}

/// What became of policies that were to be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was enforced.
    Loaded,
    /// They were enforced already, and go on.
    TakenOver,
    /// Other ones were enforced: these have taken their place, and threads go on where they were.
    Changed,
    /// Something else was enforced, until this took its place: another version's, with other
    /// options, or with less room.
    Replaced,
}

/// Why policies cannot be changed in place.
enum Refusal {
    /// They are not to be enforced at all.
    All(KernelError),
    /// All of it has to be loaded anew, and this is why. Nothing was changed.
    Anew(String),
    /// The same. They hold, but threads that run already may not have been adopted.
    Begun(String),
    /// The same. They hold, and something is left of the ones before.
    Enacted(String),
}

impl From<KernelError> for Refusal {
    fn from(error: KernelError) -> Self {
        Refusal::All(error)
    }
}

impl Agent {
    /// Has the kernel enforce these policies beyond the end of this process. What is pinned already
    /// is taken over and changed, if it is of this version and has these options; if not, it goes
    /// on until the new set is enforced as well.
    ///
    /// # Errors
    /// What is missing; then what was enforced before still is, and nothing else, but for
    /// [`KernelError::Late`] and [`KernelError::Between`].
    pub fn attach_or_load(
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
        options: Options,
    ) -> Result<(Self, Origin), KernelError> {
        let options = Options { pinned: true, ..options };
        let Some(set) = pins.current()? else {
            let agent = Agent::load(pins, lock, policies, options, None)?;
            return Ok((agent, Origin::Loaded));
        };
        let (agent, origin) = match Pinned::open(set) {
            Ok(found) if found.manifest.is_of(&options) && !found.changing() => {
                let mut agent = Agent::open(found, options)?;
                let own = own_process()?;
                match agent.change(policies) {
                    Ok(changed) => {
                        // From now on this process is the one that watched threads are kept from.
                        agent.maps.data.store(offset_of!(types::bss, enforcer), own);
                        (agent, if changed { Origin::Changed } else { Origin::TakenOver })
                    }
                    Err(refusal) => agent.replace(pins, lock, policies, refusal)?,
                }
            }
            // One that is not understood is another version's.
            found => {
                let agent = Agent::load(pins, lock, policies, options, found.ok().as_ref())?;
                (agent, Origin::Replaced)
            }
        };
        agent.clear_up(pins).map_err(|error| KernelError::Late(error.into()))?;
        Ok((agent, origin))
    }

    /// Has other policies enforced, with the options that it was established with.
    ///
    /// # Errors
    /// As [`Agent::attach_or_load`].
    pub fn reload(
        &mut self,
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
    ) -> Result<Origin, KernelError> {
        let origin = match self.change(policies) {
            Ok(true) => Origin::Changed,
            Ok(false) => Origin::TakenOver,
            Err(refusal) => {
                let (agent, origin) = self.replace(pins, lock, policies, refusal)?;
                *self = agent;
                self.clear_up(pins).map_err(|error| KernelError::Late(error.into()))?;
                origin
            }
        };
        Ok(origin)
    }

    /// Where policies cannot be changed in place a set of their own takes it.
    fn replace(
        &self,
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
        refusal: Refusal,
    ) -> Result<(Self, Origin), KernelError> {
        let (why, as_it_is): (String, fn(KernelError) -> KernelError) = match refusal {
            Refusal::All(error) => return Err(error),
            Refusal::Anew(why) => (why, |error| error),
            Refusal::Begun(why) => (why, |error| KernelError::Between(error.into())),
            Refusal::Enacted(why) => (why, |error| KernelError::Late(error.into())),
        };
        tracing::warn!("what is enforced is loaded anew: {why}");
        let agent = Agent::load(pins, lock, policies, self.options, Some(&self.pinned))
            .map_err(as_it_is)?;
        Ok((agent, Origin::Replaced))
    }

    /// Loads a set, which watches what the one before does.
    fn load(
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
        options: Options,
        before: Option<&Pinned>,
    ) -> Result<Self, KernelError> {
        let load = || -> Result<Self, KernelError> {
            let watched = |policy_set: &PolicySet| {
                before.map_or(Ok(processes::Watched::new()), |before| {
                    before.watched_under(policy_set)
                })
            };
            let enforcer = Enforcer::start_after(policies, options, &watched)?;
            let set = pins.add(lock)?;
            let opened = || Agent::open(Pinned::open(set.clone())?, options);
            enforcer.pin(&set, &options).and_then(|()| opened()).inspect_err(|_| {
                // What is left of it in the directory is not complete, and goes with the next set.
                let _ = set.remove();
            })
        };
        load().inspect_err(|_| {
            // As it was: if nothing was pinned, there was no directory.
            let _ = pins.remove();
        })
    }

    fn open(pinned: Pinned, options: Options) -> Result<Self, KernelError> {
        let (policy_set, maps) =
            (pinned.manifest.policy_set()?, Maps::find(|name| pinned.set.directory.map(name))?);
        let stream = EventStream {
            maps: EventMaps::find(|name| pinned.set.directory.map(name))?,
            reader: EventReader::of(&policy_set),
        };
        let answered = maps.data.load(offset_of!(types::bss, reloads_answered));
        Ok(Agent { pinned, maps, stream, policy_set, options, answered })
    }

    /// Removes the sets that are not enforced any more.
    fn clear_up(&self, pins: &Pins) -> Result<(), KernelError> {
        pins.sets()?.iter().filter(|other| **other != self.pinned.set).try_for_each(Pinned::release)
    }

    /// Changes the policies in place; whether anything was different.
    fn change(&mut self, policies: &[Policy]) -> Result<bool, Refusal> {
        if self.pinned.changing() {
            return Err(Refusal::Anew("the last change was not carried out".into()));
        }
        let effective = effective_policies(policies, self.options, self.pinned.manifest.level())?;
        let mut before = self.policy_set.clone();
        let forgotten = before.retire(&self.occupied()?);
        let (mut next, change) = before.next(policies, &effective);
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let identities = identify(&next.wanted(self.options.allow_absent), &mut inodes)?;
        let bound = Bound::of(&identities, next.numbers());
        if change == Change::default() && self.maps.holds(&bound)? {
            return Ok(false);
        }
        if !next.sizes(&change).fits(&step_maps::room(&self.maps.step))
            || !bound.fits(&self.maps.identity)
        {
            return Err(Refusal::Anew("the maps have no room for the new policies".into()));
        }
        // Whoever comes after a death, or a failure, from here on loads all of it anew.
        self.maps.data.store(offset_of!(types::bss, changing), 1_u32);
        let ready = self
            .prepare(&mut next, &change, &bound, &forgotten)
            .map_err(|error| Refusal::Anew(error.to_string()))?;
        self.maps.commit(&next, &change);
        self.policy_set = next;
        let begun = |error: KernelError| Refusal::Begun(error.to_string());
        self.pinned.set.directory.replace(MANIFEST).map_err(begun)?;
        self.pinned.manifest = ready.manifest;
        self.adopt(&identities, &mut inodes).map_err(begun)?;
        self.maps
            .clear(&self.policy_set, &change, &bound)
            .and_then(|()| forget(&self.maps.service.objects, "objects", &ready.before))
            .map_err(|error| Refusal::Enacted(error.to_string()))?;
        self.maps.data.store(offset_of!(types::bss, changing), 0_u32);
        Ok(true)
    }

    /// Does everything that may fail before the next set of policies holds.
    fn prepare(
        &mut self,
        next: &mut PolicySet,
        change: &Change,
        bound: &Bound,
        forgotten: &[Retired],
    ) -> Result<Ready, KernelError> {
        // Events of the new policies may come before this is done, those of the old ones until it
        // is.
        self.stream.reader.update(next);
        let past = self.forget(forgotten)?;
        self.maps.prepare(next, change, bound)?;
        // From then on its table is without the rows of those that have gone.
        next.clear_rows(change);
        let manifest = self.pinned.manifest.with(next, past);
        let map = manifest.store()?;
        let unknown = |cause: io::Error| KernelError::Read { map: "manifest", cause: cause.into() };
        let before =
            objects::map(self.pinned.set.directory.map(MANIFEST)?.as_fd()).map_err(unknown)?;
        put(
            &self.maps.service.objects,
            "objects",
            &objects::map(map.as_fd()).map_err(unknown)?,
            &1_u32,
        )?;
        self.pinned.set.directory.pin_next(map.as_fd())?;
        Ok(Ready { manifest, before })
    }

    /// Takes running threads under policies of binaries that had none.
    fn adopt(&self, identities: &Identities, inodes: &mut Inodes<'_>) -> Result<(), KernelError> {
        let link = self.pinned.set.directory.open("adopt")?;
        let adoption = Adoption {
            link: link.as_fd(),
            adoptees: &self.maps.service.adoptees,
            counters: &self.maps.service.counters,
        };
        let (none, all) = (processes::Watched::new(), self.policy_set.binds_any());
        adoption
            .repeat(|| candidates(identities, inodes, &none, all, self.policy_set.numbers()))
            .map(drop)
    }

    /// The policies that threads are in, if there are draining ones.
    fn occupied(&self) -> Result<BTreeSet<u32>, KernelError> {
        if self.policy_set.draining() == 0 {
            return Ok(BTreeSet::new());
        }
        Ok(self.pinned.watched()?.unwrap_or_default().iter().map(|thread| thread.policy).collect())
    }

    /// Forgets draining policies that no thread is in any more. How many violations there were of
    /// them.
    fn forget(&self, forgotten: &[Retired]) -> Result<Vec<(Subject, ByReason)>, KernelError> {
        let mut past = Vec::new();
        for gone in forgotten {
            if let Some(replacement) = gone.replacement {
                step_maps::forget_migrations(&self.maps.step, &gone.slot.compiled, replacement)?;
            }
            let policy = &gone.slot.policy;
            let counted = self.stream.maps.forget(gone.number)?;
            if !counted.is_empty() {
                past.push((policy.subject(), counted));
            }
        }
        Ok(past)
    }

    /// What is pinned.
    #[must_use]
    pub fn pinned(&self) -> &Pinned {
        &self.pinned
    }

    /// As [`Enforcer::poll`].
    ///
    /// # Errors
    /// The ring buffer cannot be read.
    pub fn poll(
        &self,
        timeout: Duration,
        each: impl FnMut(Violation),
    ) -> Result<usize, KernelError> {
        self.stream.poll(timeout, each)
    }

    /// As [`Enforcer::repeated`].
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.stream.repeated()
    }

    /// Whether somebody asks for a reload, and was not answered.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.request() != self.answered
    }

    /// How often a reload was asked for so far: to be taken before policies are read.
    #[must_use]
    pub fn request(&self) -> u64 {
        self.maps.data.load(offset_of!(types::bss, reloads_asked))
    }

    /// Answers who has asked up to this request, and counts the reload.
    pub fn answer(&mut self, request: u64, refused: bool) {
        let data = &self.maps.data;
        let count = offset_of!(types::bss, reloads_done);
        data.store(count, data.load::<u64>(count) + 1);
        if refused {
            let count = offset_of!(types::bss, reloads_refused);
            data.store(count, data.load::<u64>(count) + 1);
        }
        self.answered = request;
        data.store(offset_of!(types::bss, reloads_answered), self.answered);
    }
}

/// What was prepared of a change.
struct Ready {
    manifest: Manifest,
    /// The BPF object that the manifest before was.
    before: types::sysfsm_object,
}

/// This process, as the kernel counts it.
fn own_process() -> Result<u32, KernelError> {
    let mut finder = MaybeUninit::uninit();
    let inodes = Inodes::load(&mut finder)?;
    inodes.process()
}

impl Pinned {
    /// Whether somebody has begun to change its policies, and did not end.
    fn changing(&self) -> bool {
        self.inside
            .as_ref()
            .is_some_and(|i| i.data.load::<u32>(offset_of!(types::bss, changing)) != 0)
    }

    /// The processes that it watches under policies of binaries that the next ones name as well:
    /// they stay watched, even if they run another file by now, or one that is gone.
    fn watched_under(&self, policy_set: &PolicySet) -> Result<processes::Watched, KernelError> {
        let subjects = self.manifest.subjects();
        let binary = |thread: &Watched| {
            Some((thread.pid, policy_set.index_of(&subjects.get(&thread.policy)?.binary)?))
        };
        Ok(self.watched()?.unwrap_or_default().iter().filter_map(binary).collect())
    }
}
