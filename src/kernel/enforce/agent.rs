//! The agent of an enforcement that outlives its loader. It takes a pinned set over, changes the
//! policies while they are enforced, and replaces the set where that is not possible.

use crate::kernel::bpf::skeleton::types;
use crate::kernel::enforce::changeable_set::{ChangeableSet, Refusal};
use crate::kernel::enforce::enforcer::Enforcer;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::Repeated;
use crate::kernel::events::violation::Violation;
use crate::kernel::options::Options;
use crate::kernel::pinned::pins::{AgentLock, Pins};
use crate::kernel::pinned::predecessor::Predecessor;
use crate::kernel::pinned::set::Pinned;
use crate::kernel::support::self_test::{own_process, Mechanism};
use crate::policy::Policy;
use std::mem::offset_of;
use std::time::Duration;

/// The agent of a pinned set. The set stays pinned, and enforced, when the agent is dropped.
pub struct Agent {
    set: ChangeableSet,
    /// The last request for a reload that was answered.
    answered: u64,
}

/// How policies came to be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was enforced before.
    Loaded,
    /// These policies were enforced already, and still are.
    TakenOver,
    /// Other policies were enforced. They were replaced in place, and threads go on where they
    /// were.
    Changed,
    /// A new set has replaced the one that was enforced: that one is another version's, has other
    /// options, or has too little room.
    Replaced,
}

impl Agent {
    /// Has the kernel enforce these policies beyond the end of this process. A pinned set of this
    /// version with these options is taken over, and changed if it has other policies. Any other
    /// pinned set is enforced until a new one is.
    ///
    /// # Errors
    /// What is missing. Then exactly what was enforced before is enforced, but for
    /// [`KernelError::NotCleared`] and [`KernelError::NotAdopted`].
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
            Ok(found) if found.manifest.is_of(&options) && !found.is_changing() => {
                let mut agent = Agent::of(ChangeableSet::open(found, options)?);
                let own = own_process()?;
                agent.self_test()?;
                match agent.set.change(policies) {
                    Ok(changed) => {
                        // From now on this process is the one that watched threads are kept from.
                        agent.set.maps.data.store(offset_of!(types::bss, enforcer), own);
                        (agent, if changed { Origin::Changed } else { Origin::TakenOver })
                    }
                    Err(refusal) => agent.replace(pins, lock, policies, refusal)?,
                }
            }
            // A set that cannot be read is another version's.
            found => {
                let agent = Agent::load(pins, lock, policies, options, found.ok().as_ref())?;
                (agent, Origin::Replaced)
            }
        };
        agent.clear_up(pins).map_err(|error| KernelError::NotCleared(error.into()))?;
        Ok((agent, origin))
    }

    /// Has other policies enforced, with the options of [`Agent::attach_or_load`].
    ///
    /// # Errors
    /// As with [`Agent::attach_or_load`].
    pub fn reload(
        &mut self,
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
    ) -> Result<Origin, KernelError> {
        let origin = match self.set.change(policies) {
            Ok(true) => Origin::Changed,
            Ok(false) => Origin::TakenOver,
            Err(refusal) => {
                let (agent, origin) = self.replace(pins, lock, policies, refusal)?;
                *self = agent;
                self.clear_up(pins).map_err(|error| KernelError::NotCleared(error.into()))?;
                origin
            }
        };
        Ok(origin)
    }

    /// Replaces the set, since its policies cannot be changed in place.
    fn replace(
        &self,
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
        refusal: Refusal,
    ) -> Result<(Self, Origin), KernelError> {
        let (why, wrap): (String, fn(KernelError) -> KernelError) = match refusal {
            Refusal::Rejected(error) => return Err(error),
            Refusal::Unchanged(why) => (why, |error| error),
            Refusal::NotAdopted(why) => (why, |error| KernelError::NotAdopted(error.into())),
            Refusal::NotCleared(why) => (why, |error| KernelError::NotCleared(error.into())),
        };
        tracing::warn!("what is enforced is loaded anew: {why}");
        let agent = Agent::load(pins, lock, policies, self.set.options, Some(&self.set.pinned))
            .map_err(wrap)?;
        Ok((agent, Origin::Replaced))
    }

    /// Loads and pins a set. It also watches the processes that the set before watches.
    fn load(
        pins: &Pins,
        lock: &AgentLock,
        policies: &[Policy],
        options: Options,
        before: Option<&Pinned>,
    ) -> Result<Self, KernelError> {
        let load = || -> Result<Self, KernelError> {
            let before = before.and_then(|before| {
                Predecessor::open(before)
                    .inspect_err(|error| {
                        tracing::warn!(
                            "what the set before watches under `inherit` stays watched only if its \
                             file is bound: {error}"
                        );
                    })
                    .ok()
            });
            let enforcer = Enforcer::start_after(policies, options, before.as_ref())?;
            let set = pins.add(lock)?;
            let opened =
                || Ok(Agent::of(ChangeableSet::open(Pinned::open(set.clone())?, options)?));
            enforcer.pin(&set, &options).and_then(|()| opened()).inspect_err(|_| {
                // What cannot be removed is no complete set. The next set removes it.
                let _ = set.remove();
            })
        };
        load().inspect_err(|_| {
            // Without a set there was no directory before.
            let _ = pins.remove();
        })
    }

    /// An agent that has answered all requests so far.
    fn of(set: ChangeableSet) -> Self {
        let answered = set.maps.data.load(offset_of!(types::bss, reloads_answered));
        Agent { set, answered }
    }

    /// Removes the sets that are not enforced any more.
    fn clear_up(&self, pins: &Pins) -> Result<(), KernelError> {
        pins.sets()?
            .iter()
            .filter(|other| **other != self.set.pinned.set)
            .try_for_each(|other| Pinned::release(other).map(drop))
    }

    /// The pinned set, to be asked.
    #[must_use]
    pub fn pinned(&self) -> &Pinned {
        &self.set.pinned
    }

    /// Waits for violations, as [`Enforcer::poll`] does.
    ///
    /// # Errors
    /// The ring buffer cannot be read.
    pub fn poll(
        &self,
        timeout: Duration,
        each: impl FnMut(Violation),
    ) -> Result<usize, KernelError> {
        self.set.stream.poll(timeout, each)
    }

    /// By kind, the violations without an event of their own, as [`Enforcer::repeated`] has them.
    ///
    /// # Errors
    /// The maps cannot be read.
    pub fn repeated(&self) -> Result<Vec<Repeated>, KernelError> {
        self.set.stream.repeated()
    }

    /// Tries whether vetoes still work, as [`Enforcer::self_test`] does.
    ///
    /// # Errors
    /// It cannot be tried.
    pub fn self_test(&self) -> Result<Vec<Mechanism>, KernelError> {
        self.set.pinned.self_test_of_agent()
    }

    /// Says for others whether there is an alarm, and counts those that are raised.
    pub fn alarm(&self, is_raised: bool) {
        let data = &self.set.maps.data;
        data.store(offset_of!(types::bss, alarm_raised), u32::from(is_raised));
        if is_raised {
            let count = offset_of!(types::bss, alarms_raised);
            data.store(count, data.load::<u64>(count) + 1);
        }
    }

    /// Whether a reload was asked for and not answered.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.request() != self.answered
    }

    /// How often a reload was asked for so far. To be read before the policies are: then a request
    /// that comes meanwhile is not taken for answered.
    #[must_use]
    pub fn request(&self) -> u64 {
        self.set.maps.data.load(offset_of!(types::bss, reloads_asked))
    }

    /// Answers all requests up to this one, and counts the reload.
    pub fn answer(&mut self, request: u64, refused: bool) {
        let data = &self.set.maps.data;
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
