//! A pinned set whose policies can be changed in place, while the set is enforced.

use crate::kernel::bpf::entries::{forget, put};
use crate::kernel::bpf::objects;
use crate::kernel::bpf::skeleton::types;
use crate::kernel::enforce::adoption::adopt;
use crate::kernel::error::KernelError;
use crate::kernel::events::counts::{ByReason, EventMaps};
use crate::kernel::events::stream::EventStream;
use crate::kernel::events::violation::EventReader;
use crate::kernel::identity::binaries::identify;
use crate::kernel::identity::inode::Inodes;
use crate::kernel::identity::maps::Bound;
use crate::kernel::options::Options;
use crate::kernel::pinned::manifest::Manifest;
use crate::kernel::pinned::pins::MANIFEST;
use crate::kernel::pinned::set::Pinned;
use crate::kernel::policies::level_requirements::effective_policies;
use crate::kernel::policies::maps::Maps;
use crate::kernel::policies::policy_set::{Change, PolicySet, Retired};
use crate::kernel::policies::step_maps;
use crate::policy::{Policy, PolicySelector};
use std::collections::BTreeSet;
use std::io;
use std::mem::{offset_of, MaybeUninit};
use std::os::fd::AsFd as _;

/// A pinned set, with everything that is needed to change its policies and to read its events.
pub(crate) struct ChangeableSet {
    pub pinned: Pinned,
    pub maps: Maps,
    pub stream: EventStream,
    policy_set: PolicySet,
    pub options: Options,
}

/// Why policies cannot be changed in place.
pub(crate) enum Refusal {
    /// The policies cannot be enforced at all. Nothing was changed.
    Rejected(KernelError),
    /// A new set has to be loaded, for this reason. Nothing was changed.
    Unchanged(String),
    /// A new set has to be loaded, for this reason. The policies are active, but threads that run
    /// already may not have been adopted.
    NotAdopted(String),
    /// A new set has to be loaded, for this reason. The policies are active, and entries of the
    /// policies before are left.
    NotCleared(String),
}

impl From<KernelError> for Refusal {
    fn from(error: KernelError) -> Self {
        Refusal::Rejected(error)
    }
}

/// What was prepared of a change.
struct Prepared {
    manifest: Manifest,
    /// The map of the manifest before, as a BPF object that is protected.
    before: types::sysfsm_object,
}

impl ChangeableSet {
    /// Opens a pinned set, which has to be of this program's stamp.
    ///
    /// # Errors
    /// Something that is pinned cannot be opened, or is not understood.
    pub(crate) fn open(pinned: Pinned, options: Options) -> Result<Self, KernelError> {
        let (policy_set, maps) =
            (pinned.manifest.policy_set()?, Maps::find(|name| pinned.set.directory.map(name))?);
        let stream = EventStream {
            maps: EventMaps::find(|name| pinned.set.directory.map(name))?,
            reader: EventReader::of(&policy_set),
        };
        Ok(ChangeableSet { pinned, maps, stream, policy_set, options })
    }

    /// Changes the policies in place. Returns whether anything was different.
    ///
    /// # Errors
    /// They cannot be changed in place. What that means is in the [`Refusal`].
    pub(crate) fn change(&mut self, policies: &[Policy]) -> Result<bool, Refusal> {
        if self.pinned.is_changing() {
            return Err(Refusal::Unchanged("the last change was not carried out".into()));
        }
        let effective = effective_policies(policies, self.options, self.pinned.manifest.level())?;
        let mut before = self.policy_set.clone();
        let retired = before.retire(&self.occupied()?);
        let (mut next, change) = before.next(policies, &effective);
        let mut finder = MaybeUninit::uninit();
        let mut inodes = Inodes::load(&mut finder)?;
        let identities = identify(&next.wanted(self.options.allow_absent), &mut inodes)?;
        let bound = Bound::of(&identities, next.numbers());
        if change == Change::default() && self.maps.have(&bound)? {
            return Ok(false);
        }
        if !next.sizes(&change).fits(&step_maps::room(&self.maps.step))
            || !bound.fits(&self.maps.identity)
        {
            return Err(Refusal::Unchanged("the maps have no room for the new policies".into()));
        }
        // If this process is killed, or fails, from here on, the next agent loads a new set.
        self.maps.data.store(offset_of!(types::bss, changing), 1_u32);
        let prepared = self
            .prepare(&mut next, &change, &bound, &retired)
            .map_err(|error| Refusal::Unchanged(error.to_string()))?;
        self.maps.commit(&next, &change);
        self.policy_set = next;
        let not_adopted = |error: KernelError| Refusal::NotAdopted(error.to_string());
        self.pinned.set.directory.replace(MANIFEST).map_err(not_adopted)?;
        self.pinned.manifest = prepared.manifest;
        let link = self.pinned.set.directory.open("adopt").map_err(not_adopted)?;
        adopt(link.as_fd(), &self.maps, &self.policy_set, &identities, &mut inodes)
            .map_err(not_adopted)?;
        self.maps
            .clear(&self.policy_set, &change, &bound)
            .and_then(|()| forget(&self.maps.service.objects, "objects", &prepared.before))
            .map_err(|error| Refusal::NotCleared(error.to_string()))?;
        self.maps.data.store(offset_of!(types::bss, changing), 0_u32);
        Ok(true)
    }

    /// Does everything that may fail before the next set of policies becomes active. From then on
    /// `next` is without the rows of the policies that the change has removed.
    fn prepare(
        &mut self,
        next: &mut PolicySet,
        change: &Change,
        bound: &Bound,
        retired: &[Retired],
    ) -> Result<Prepared, KernelError> {
        // Events of the old policies come until the change is committed, and those of the new ones
        // at once then.
        self.stream.reader.update(next);
        let past = self.forget(retired)?;
        self.maps.prepare(next, change, bound)?;
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
        Ok(Prepared { manifest, before })
    }

    /// The numbers of the policies that threads are in. Without draining policies no thread is
    /// looked at, and the result is empty.
    fn occupied(&self) -> Result<BTreeSet<u32>, KernelError> {
        if self.policy_set.draining() == 0 {
            return Ok(BTreeSet::new());
        }
        Ok(self.pinned.watched()?.unwrap_or_default().iter().map(|thread| thread.policy).collect())
    }

    /// Deletes what the kernel's maps have of retired policies. Returns how many violations there
    /// were of them.
    fn forget(&self, retired: &[Retired]) -> Result<Vec<(PolicySelector, ByReason)>, KernelError> {
        let mut past = Vec::new();
        for one in retired {
            if let Some(replacement) = one.replacement {
                step_maps::forget_migrations(&self.maps.step, &one.slot.compiled, replacement)?;
            }
            let policy = &one.slot.policy;
            let counted = self.stream.maps.forget(one.number)?;
            if !counted.is_empty() {
                past.push((policy.selector(), counted));
            }
        }
        Ok(past)
    }
}
