//! From a copied stack to the frames on it: found by the unwind tables of the mapped files
//! (framehop), named by their symbols (blazesym). On a thread of its own: files may be large, or
//! slow to read, and enforcement waits for nobody.

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
/// Files larger than this are not read.
const LARGEST: u64 = 512 << 20;

/// A frame of the user stack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StackFrame {
    /// Where the program was, or where it returns to.
    pub address: u64,
    /// The file that is mapped there.
    pub module: Option<String>,
    /// The function's name.
    pub symbol: Option<String>,
    /// From the symbol, or else from the file's first address as it counts itself.
    pub offset: Option<u64>,
}

/// Unwinds stacks, one after another, while the one that asked does something else.
pub struct Unwinder<T> {
    questions: Option<Sender<(T, Snapshot)>>,
    answers: Receiver<(T, Vec<StackFrame>)>,
    pending: usize,
}

impl<T: Send + 'static> Unwinder<T> {
    /// Begins to wait for stacks.
    #[must_use]
    pub fn start() -> Self {
        let (questions, asked) = channel::<(T, Snapshot)>();
        let (answer, answers) = channel();
        // It ends with the process, or when nobody asks any more.
        drop(thread::Builder::new().name("unwinder".into()).spawn(move || {
            // They are meant for the thread that polls, whose waits they end.
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
        Unwinder { questions: Some(questions), answers, pending: 0 }
    }

    /// Asks for the frames of a stack; the answer comes with `tag`.
    pub fn ask(&mut self, tag: T, snapshot: Snapshot) {
        let sent = self.questions.as_ref().is_some_and(|q| q.send((tag, snapshot)).is_ok());
        self.pending += usize::from(sent);
    }

    /// The answers that are there.
    pub fn answers(&mut self) -> Vec<(T, Vec<StackFrame>)> {
        let found: Vec<_> = self.answers.try_iter().collect();
        self.pending -= found.len();
        found
    }

    /// The answers to all that was asked, as far as they come in time.
    pub fn finish(&mut self, patience: Duration) -> Vec<(T, Vec<StackFrame>)> {
        self.questions = None;
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

/// What is read of a mapped file.
struct Image {
    /// From where blazesym reads its symbols.
    path: PathBuf,
    /// Of each segment the part of the file, and its first address as the file counts.
    segments: Vec<(Range<u64>, u64)>,
    sections: ExplicitModuleSectionInfo<Arc<[u8]>>,
}

/// Files that were read, by path and inode; none where that failed.
#[derive(Default)]
struct Files {
    images: HashMap<(String, u64), Option<Arc<Image>>>,
    symbols: Symbolizer,
}

/// The frames, the innermost first. Of a process that is gone there is only where it was.
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
        // What is no code is no return address: the tables led astray, or there were none.
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
    fn image(&mut self, pid: u32, mapping: &Mapping) -> Option<Arc<Image>> {
        let key = (mapping.path.clone(), mapping.inode);
        self.images.entry(key).or_insert_with(|| Image::read(pid, mapping).map(Arc::new)).clone()
    }

    /// Finds the function.
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
        // As the process has it mapped, if it still lives: the path may be another file's by now,
        // or be meant from another root.
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

    /// What an address of this mapping has more than the file counts.
    fn bias(&self, mapping: &Mapping) -> Option<u64> {
        // A mapping begins with a page, a segment anywhere in one.
        let length = mapping.addresses.end - mapping.addresses.start;
        let part = mapping.offset..mapping.offset.checked_add(length)?;
        let (segment, address) =
            self.segments.iter().find(|(s, _)| s.start < part.end && part.start < s.end)?;
        let first =
            mapping.addresses.start.wrapping_sub(mapping.offset).wrapping_add(segment.start);
        Some(first.wrapping_sub(*address))
    }
}
