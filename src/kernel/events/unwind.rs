//! From a copied stack to its frames. They are found by the unwind tables of the mapped files
//! (framehop), and named by the files' symbols (blazesym). A thread of its own does it: files may
//! be large, or slow to read, and enforcement does not wait for them.

use crate::kernel::events::stack::{Mapping, Snapshot};
use blazesym::symbolize::{source, Input, Symbolized, Symbolizer};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, FrameAddress, Module, Unwinder as _};
use nix::sys::signal::SigSet;
use object::{Object as _, ObjectSection as _, ObjectSegment as _};
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The most frames of one stack.
const FRAMES: usize = 32;
/// Files with more bytes than this are not read.
const LARGEST: u64 = 512 << 20;

/// A frame of the user stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackFrame {
    /// The address of the call, or the return address.
    pub address: u64,
    /// The file that is mapped there.
    pub module: Option<String>,
    /// The function's name.
    pub symbol: Option<String>,
    /// The offset from the symbol; without a symbol the address as the file has it.
    pub offset: Option<u64>,
}

/// Unwinds stacks on a thread of its own, one after another.
pub struct Unwinder<T> {
    requests: Option<Sender<(T, Snapshot)>>,
    answers: Receiver<(T, Vec<StackFrame>)>,
    pending: usize,
}

impl<T: Send + 'static> Unwinder<T> {
    /// Starts the thread, which waits for stacks.
    #[must_use]
    pub fn start() -> Self {
        let (requests, asked) = channel::<(T, Snapshot)>();
        let (answer, answers) = channel();
        // The thread ends with the process, or when the unwinder is dropped.
        drop(thread::Builder::new().name("unwinder".into()).spawn(move || {
            // Signals are for the thread that polls: they end its waits.
            if let Err(e) = SigSet::all().thread_block() {
                tracing::debug!("cannot block signals: {e}");
            }
            let mut files = Files::default();
            for (tag, snapshot) in asked {
                if answer.send((tag, frames(&snapshot, &mut files))).is_err() {
                    break;
                }
            }
        }));
        Unwinder { requests: Some(requests), answers, pending: 0 }
    }

    /// Asks for the frames of a stack. The answer has this tag.
    pub fn ask(&mut self, tag: T, snapshot: Snapshot) {
        let sent = self.requests.as_ref().is_some_and(|q| q.send((tag, snapshot)).is_ok());
        self.pending += usize::from(sent);
    }

    /// The answers so far, each with its tag.
    pub fn answers(&mut self) -> Vec<(T, Vec<StackFrame>)> {
        let found: Vec<_> = self.answers.try_iter().collect();
        self.pending -= found.len();
        found
    }

    /// The answers to everything that was asked, as far as they come before `patience` is over.
    pub fn finish(&mut self, patience: Duration) -> Vec<(T, Vec<StackFrame>)> {
        self.requests = None;
        let deadline = Instant::now() + patience;
        let mut found = Vec::new();
        while self.pending > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(answer) = self.answers.recv_timeout(left) else { break };
            found.push(answer);
            self.pending -= 1;
        }
        found
    }
}

/// A mapped file, as far as it is needed to unwind and to name frames.
struct Image {
    /// The path from which the symbols are read.
    path: PathBuf,
    /// Of each segment, its part of the file, and its first address as the file has it.
    segments: Vec<(Range<u64>, u64)>,
    sections: ExplicitModuleSectionInfo<Arc<[u8]>>,
}

/// Files that were read.
#[derive(Default)]
struct Files {
    /// By path and inode; `None` if the file cannot be read.
    images: HashMap<(String, u64), Option<Arc<Image>>>,
    symbols: Symbolizer,
}

/// The frames of a stack, the innermost first. Without mappings only the innermost one is known.
fn frames(snapshot: &Snapshot, files: &mut Files) -> Vec<StackFrame> {
    let mut unwinder: UnwinderX86_64<Arc<[u8]>> = UnwinderX86_64::new();
    let mut modules: Vec<(&Mapping, Arc<Image>, u64)> = Vec::new();
    for mapping in snapshot.mappings.iter().filter(|m| m.executable) {
        let Some(image) = files.image(snapshot.pid, mapping) else { continue };
        let Some(bias) = image.bias(mapping) else { continue };
        unwinder.add_module(Module::new(
            mapping.path.clone(),
            mapping.addresses.clone(),
            bias,
            image.sections.clone(),
        ));
        modules.push((mapping, image, bias));
    }
    let mut cache = CacheX86_64::<_>::new();
    let mut read = |address| snapshot.word(address).ok_or(());
    let registers = UnwindRegsX86_64::new(snapshot.ip, snapshot.sp, snapshot.bp);
    let mut steps = unwinder.iter_frames(snapshot.ip, registers, &mut cache, &mut read);
    let mut found = Vec::new();
    while let Ok(Some(step)) = steps.next() {
        let at = step.address_for_lookup();
        let mapped = snapshot.mappings.iter().find(|m| m.executable && m.addresses.contains(&at));
        // An address that is no code is no return address: a table was missing or wrong.
        if found.len() >= FRAMES || (mapped.is_none() && !found.is_empty()) {
            break;
        }
        let mut frame = StackFrame { address: step.address(), ..StackFrame::default() };
        if let Some(mapping) = mapped {
            frame.module = Some(mapping.path.clone());
            let module = modules.iter().find(|(m, ..)| m.addresses == mapping.addresses);
            if let Some((_, image, bias)) = module {
                files.name(&mut frame, step, image, *bias);
            }
        }
        found.push(frame);
        if snapshot.mappings.is_empty() {
            break;
        }
    }
    found
}

impl Files {
    /// The file of a mapping, which is read once.
    fn image(&mut self, pid: u32, mapping: &Mapping) -> Option<Arc<Image>> {
        let key = (mapping.path.clone(), mapping.inode);
        self.images.entry(key).or_insert_with(|| Image::read(pid, mapping).map(Arc::new)).clone()
    }

    /// Finds the function of a frame.
    fn name(&self, frame: &mut StackFrame, step: FrameAddress, image: &Image, bias: u64) {
        let address = frame.address.wrapping_sub(bias);
        frame.offset = Some(address);
        let mut elf = source::Elf::new(&image.path);
        elf.debug_syms = false;
        let input = Input::VirtOffset(step.address_for_lookup().wrapping_sub(bias));
        if let Ok(Symbolized::Sym(symbol)) =
            self.symbols.symbolize_single(&source::Source::Elf(elf), input)
        {
            frame.offset = Some(address.wrapping_sub(symbol.addr));
            frame.symbol = Some(symbol.name.into_owned());
        }
    }
}

impl Image {
    fn read(pid: u32, mapping: &Mapping) -> Option<Self> {
        // The path may be another file's by now, or begin at another root directory. A process that
        // still lives has the file in its `map_files`.
        let Range { start, end } = mapping.addresses;
        let mapped = PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"));
        let same = |path: &Path| {
            fs::metadata(path)
                .is_ok_and(|m| m.is_file() && m.ino() == mapping.inode && m.len() <= LARGEST)
        };
        let path = [PathBuf::from(&mapping.path), mapped].into_iter().find(|p| same(p))?;
        let data = fs::read(&path).ok()?;
        let file = object::File::parse(&*data).ok()?;
        let section = |name: &str| {
            let section = file.section_by_name(name)?;
            let address = section.address();
            Some((address..address.checked_add(section.size())?, section.data().ok()?))
        };
        let (eh_frame, eh_frame_hdr, text) =
            (section(".eh_frame"), section(".eh_frame_hdr"), section(".text"));
        let range =
            |found: &Option<(Range<u64>, &[u8])>| found.as_ref().map(|(range, _)| range.clone());
        let bytes =
            |found: &Option<(Range<u64>, &[u8])>| found.as_ref().map(|(_, data)| Arc::from(*data));
        let sections = ExplicitModuleSectionInfo {
            text_svma: range(&text),
            got_svma: range(&section(".got")),
            eh_frame_svma: range(&eh_frame),
            eh_frame: bytes(&eh_frame),
            eh_frame_hdr_svma: range(&eh_frame_hdr),
            eh_frame_hdr: bytes(&eh_frame_hdr),
            ..ExplicitModuleSectionInfo::default()
        };
        let segments = file
            .segments()
            .filter_map(|segment| {
                let (offset, size) = segment.file_range();
                Some((offset..offset.checked_add(size)?, segment.address()))
            })
            .collect();
        Some(Image { path, segments, sections })
    }

    /// What has to be subtracted from an address of the mapping to get the address as the file has
    /// it.
    fn bias(&self, mapping: &Mapping) -> Option<u64> {
        // A mapping begins at the beginning of a page, a segment anywhere in it.
        let length = mapping.addresses.end - mapping.addresses.start;
        let part = mapping.offset..mapping.offset.checked_add(length)?;
        let (segment, address) =
            self.segments.iter().find(|(s, _)| s.start < part.end && part.start < s.end)?;
        let first =
            mapping.addresses.start.wrapping_sub(mapping.offset).wrapping_add(segment.start);
        Some(first.wrapping_sub(*address))
    }
}
