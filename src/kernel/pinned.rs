//! Enforcement that outlives whoever has loaded it: taking it over, asking it, replacing it, ending it.

use super::array::Mapped;
use super::event::Reader;
use super::hooks::Attached;
use super::identity::identify;
use super::inode::Inodes;
use super::manifest::{Manifest, Watched};
use super::outlet::Outlet;
use super::pins::{Agency, Pins, Set, MANIFEST};
use super::skeleton::types;
use super::{adopt, background, objects, probe, Enforcer, KernelError, Options, Totals, Violation};
use crate::policy::Policy;
use crate::table::{compile, Tables};
use libbpf_rs::MapHandle;
use std::collections::HashMap;
use std::mem::{offset_of, MaybeUninit};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Pinned enforcement.
pub struct Pinned {
    set: Set,
    manifest: Manifest,
    /// What only a set of our own stamp lets be read.
    inside: Option<Inside>,
}

struct Inside {
    outlet: Outlet,
    data: Mapped<types::bss>,
}

/// How [`Pinned::establish`] came to what is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was enforced.
    Loaded,
    /// It was enforced already, and goes on.
    TakenOver,
    /// Something else was enforced, until this took its place.
    Replaced,
}

impl Pinned {
    /// Has the kernel enforce these policies beyond the end of this process. What is pinned already is taken over if it is
    /// the same; if not, it goes on until the new set is enforced as well.
    ///
    /// # Errors
    /// What is missing; then what was enforced before still is, and nothing else.
    pub fn establish(
        pins: &Pins,
        agency: &Agency,
        policies: &[Policy],
        options: Options,
    ) -> Result<(Self, Origin), KernelError> {
        let before = pins.current()?;
        let mut origin = if before.is_some() { Origin::Replaced } else { Origin::Loaded };
        if let Some(set) = &before {
            // One that is not understood is another version's.
            let found = Manifest::load(&set.map(MANIFEST)?);
            let mut finder = MaybeUninit::uninit();
            let mut inodes = Inodes::load(&mut finder)?;
            let binaries: Vec<&str> = policies.iter().map(|p| p.binary.as_str()).collect();
            let bound = identify(&binaries, &mut inodes)?.lines();
            if found.is_ok_and(|found| found.is_of(policies, &options, &bound)) {
                origin = Origin::TakenOver;
            }
        }
        let set = match before {
            Some(set) if origin == Origin::TakenOver => set,
            before => Pinned::load(pins, agency, policies, options, before).inspect_err(|_| {
                // As it was: if nothing was pinned, there was no directory.
                let _ = pins.remove();
            })?,
        };
        for other in pins.sets()?.into_iter().filter(|other| *other != set) {
            Pinned::release(&other)?;
        }
        let pinned = Pinned::open(set)?;
        // Who has loaded it attends to it from the beginning.
        if origin == Origin::TakenOver {
            pinned.attend()?;
        }
        Ok((pinned, origin))
    }

    fn load(
        pins: &Pins,
        agency: &Agency,
        policies: &[Policy],
        options: Options,
        before: Option<Set>,
    ) -> Result<Set, KernelError> {
        let before = before.and_then(|set| Pinned::open(set).ok());
        let options = Options { pinned: true, ..options };
        let enforcer = Enforcer::start_after(policies, options, &|| {
            before.as_ref().map_or(Ok(adopt::Watched::new()), |before| before.under(policies))
        })?;
        let set = pins.add(agency)?;
        if let Err(error) = enforcer.pin(&set, policies, &options) {
            // What is left of it in the directory is not complete, and goes with the next set.
            let _ = set.remove();
            return Err(error);
        }
        Ok(set)
    }

    /// The processes that it watches under policies of the same binaries: they stay watched, even if they run another
    /// file by now, or one that is gone.
    fn under(&self, policies: &[Policy]) -> Result<adopt::Watched, KernelError> {
        let places: HashMap<&str, usize> = policies.iter().map(|p| &*p.binary).zip(0..).collect();
        let policy = |thread: &Watched| {
            let binary = self.manifest.binary((thread.policy as usize).checked_sub(1)?)?;
            Some((thread.pid, *places.get(binary)?))
        };
        Ok(self.watched()?.unwrap_or_default().iter().filter_map(policy).collect())
    }

    /// What is enforced in this directory, if anything is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find(pins: &Pins) -> Result<Option<Self>, KernelError> {
        probe::require_privilege()?;
        pins.current()?.map(Pinned::open).transpose()
    }

    fn open(set: Set) -> Result<Self, KernelError> {
        let manifest = Manifest::load(&set.map(MANIFEST)?)?;
        let inside = if manifest.is_ours() { Some(Inside::open(&set, &manifest)?) } else { None };
        Ok(Pinned { set, manifest, inside })
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether it is still pinned: anybody may have ended it.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.set.is_complete()
    }

    /// As [`Enforcer::poll`]; nothing of another version's set.
    ///
    /// # Errors
    /// The ring buffer cannot be read.
    pub fn poll(&self, timeout: Duration, each: impl FnMut(Violation)) -> Result<usize, KernelError> {
        self.inside.as_ref().map_or(Ok(0), |inside| inside.outlet.poll(timeout, each))
    }

    /// The totals since it began; none of another version's set.
    ///
    /// # Errors
    /// The counters cannot be read.
    pub fn totals(&self) -> Result<Option<Totals>, KernelError> {
        self.inside.as_ref().map(|inside| inside.outlet.totals()).transpose()
    }

    /// The threads that are watched; none of another version's set.
    ///
    /// # Errors
    /// The kernel's tasks cannot be gone over.
    pub fn watched(&self) -> Result<Option<Vec<Watched>>, KernelError> {
        self.inside
            .as_ref()
            .map(|_| self.set.open("watched").and_then(|link| objects::records(&link)))
            .transpose()
    }

    /// From now on this process is the one that watched threads are kept from.
    fn attend(&self) -> Result<(), KernelError> {
        let mut finder = MaybeUninit::uninit();
        let own = Inodes::load(&mut finder)?.process()?;
        if let Some(inside) = &self.inside {
            inside.data.store(offset_of!(types::bss, enforcer), own);
        }
        Ok(())
    }

    /// Ends all enforcement that is pinned in a directory. What there was, and its last totals.
    ///
    /// # Errors
    /// Something cannot be unpinned.
    pub fn stop(pins: &Pins) -> Result<Option<(Self, Option<Totals>)>, KernelError> {
        let found = Pinned::find(pins)?;
        for set in pins.sets()? {
            Pinned::release(&set)?;
        }
        pins.remove()?;
        let totals = found.as_ref().map(Pinned::totals).transpose()?.flatten();
        Ok(found.map(|found| (found, totals)))
    }

    /// Unpins a set, complete or not.
    fn release(set: &Set) -> Result<(), KernelError> {
        let ours = set.map(MANIFEST).and_then(|map| Manifest::load(&map)).is_ok_and(|m| m.is_ours());
        if ours {
            // A denial that was its thread's last call must not outlive the end, nor refuse while links are freed.
            let data = Mapped::<types::bss>::whole(&set.map("data")?, "data")?;
            data.store(offset_of!(types::bss, enforcing), 0_u8);
        }
        // To free the choke points takes long: they are kept until somebody else can do it.
        let vetoes: Vec<OwnedFd> = set.all(Set::VETO)?.into_iter().map(|(_, link)| link).collect();
        set.remove()?;
        background::drop_in(vetoes);
        Ok(())
    }
}

impl Inside {
    fn open(set: &Set, manifest: &Manifest) -> Result<Self, KernelError> {
        let policies = manifest.policies()?;
        let tables: Tables = compile(&policies.iter().map(|p| &p.machine).collect::<Vec<_>>());
        let data: MapHandle = set.map("data")?;
        Ok(Inside {
            outlet: Outlet {
                events: set.map("events")?,
                counters: set.map("counters")?,
                attached: Attached::pinned(set)?,
                reader: Reader::new(tables),
            },
            data: Mapped::whole(&data, "data")?,
        })
    }
}
