//! A mapped file, as far as it is needed to unwind and to name frames. Whoever wrote the file may
//! have written anything.

use crate::kernel::unwind::messages::Mapped;
use crate::kernel::unwind::symbols::{self, Symbol};
use framehop::ExplicitModuleSectionInfo;
use nix::sys::mman::{mmap, munmap, MapFlags, ProtFlags};
use object::{elf, Object as _, ObjectSection as _, ObjectSegment as _, SegmentFlags};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::{Deref, Range};
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// A file's bytes.
struct Bytes {
    first: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: nothing but the drop changes it, and the memory is only read.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}

impl Bytes {
    /// Maps a file of this size.
    fn map(file: impl AsFd, size: u64) -> Option<Self> {
        let length = NonZeroUsize::new(usize::try_from(size).ok()?)?;
        let (read, private) = (ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE);
        // SAFETY: a new mapping, which is nobody else's.
        let first = unsafe { mmap(None, length, read, private, file, 0) }.ok()?;
        Some(Bytes { first, length })
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has this length and lives as long. Somebody may write to the file
        // meanwhile, or cut it off: then this process works out something else, or dies by SIGBUS.
        unsafe { slice::from_raw_parts(self.first.as_ptr().cast(), self.length.get()) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, which nothing borrows any more.
        let _ = unsafe { munmap(self.first, self.length.get()) };
    }
}

/// A part of a file.
#[derive(Clone, Default)]
pub(super) struct Part {
    file: Option<Arc<Bytes>>,
    range: Range<usize>,
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let bytes = self.file.as_ref().and_then(|file| file.get(self.range.clone()));
        bytes.unwrap_or_default()
    }
}

/// A mapped file.
pub(super) struct Image {
    file: Arc<Bytes>,
    /// Of each segment of code, its part of the file, and its first address as the file has it.
    segments: Vec<(Range<u64>, u64)>,
    /// The sections by which the file's functions are unwound.
    pub sections: ExplicitModuleSectionInfo<Part>,
}

impl Image {
    /// Reads a file of this size; `None` if it is no ELF file.
    pub(super) fn read(file: impl AsFd, size: u64) -> Option<Self> {
        let bytes = Arc::new(Bytes::map(file, size)?);
        let file = object::File::parse(&**bytes).ok()?;
        let addresses = |name: &str| {
            let section = file.section_by_name(name)?;
            Some(section.address()..section.address().checked_add(section.size())?)
        };
        let part = |name: &str| {
            let (offset, length) = file.section_by_name(name)?.file_range()?;
            let start = usize::try_from(offset).ok()?;
            let range = start..start.checked_add(usize::try_from(length).ok()?)?;
            bytes.get(range.clone())?;
            Some(Part { file: Some(bytes.clone()), range })
        };
        let sections = ExplicitModuleSectionInfo {
            text_svma: addresses(".text"),
            got_svma: addresses(".got"),
            eh_frame_svma: addresses(".eh_frame"),
            eh_frame: part(".eh_frame"),
            eh_frame_hdr_svma: addresses(".eh_frame_hdr"),
            eh_frame_hdr: part(".eh_frame_hdr"),
            ..ExplicitModuleSectionInfo::default()
        };
        // The mapping of a segment of data may reach into the page where the code begins.
        let code = |flags| matches!(flags, SegmentFlags::Elf { p_flags, .. } if p_flags & elf::PF_X == elf::PF_X);
        let segments = file
            .segments()
            .filter(|segment| code(segment.flags()))
            .filter_map(|segment| {
                let (offset, size) = segment.file_range();
                Some((offset..offset.checked_add(size)?, segment.address()))
            })
            .collect();
        Some(Image { file: bytes, segments, sections })
    }

    /// What has to be subtracted from an address of the mapping to get the address as the file has
    /// it.
    pub(super) fn bias(&self, mapping: &Mapped) -> Option<u64> {
        // A mapping begins at the beginning of a page, a segment anywhere in it.
        let length = mapping.addresses.end.checked_sub(mapping.addresses.start)?;
        let part = mapping.offset..mapping.offset.checked_add(length)?;
        let (segment, address) =
            self.segments.iter().find(|(s, _)| s.start < part.end && part.start < s.end)?;
        let first =
            mapping.addresses.start.wrapping_sub(mapping.offset).wrapping_add(segment.start);
        Some(first.wrapping_sub(*address))
    }

    /// The function at an address as the file has it.
    pub(super) fn symbol(&self, address: u64) -> Option<Symbol> {
        symbols::at(&object::File::parse(&**self.file).ok()?, address)
    }
}
