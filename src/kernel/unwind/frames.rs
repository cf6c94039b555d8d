//! The frames of a stack: found by the unwind tables of the mapped files (framehop), and named by
//! the files' symbols. The tables are programs, and may not end: who runs this is given a time.

use crate::kernel::unwind::image::{Image, Part};
use crate::kernel::unwind::messages::{Found, Request, FRAMES};
use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{Module, Unwinder as _};
use std::os::fd::OwnedFd;

/// The frames of a request, the innermost first. Without mappings only the innermost one is known.
pub(super) fn frames(request: &Request, files: Vec<OwnedFd>) -> Vec<Found> {
    let mut files = files.into_iter();
    let images: Vec<Option<(Image, u64)>> = request
        .mappings
        .iter()
        .map(|mapping| {
            let size = mapping.file?;
            let image = Image::read(files.next()?, size)?;
            let bias = image.bias(mapping)?;
            Some((image, bias))
        })
        .collect();
    let mut unwinder: UnwinderX86_64<Part> = UnwinderX86_64::new();
    for (mapping, image) in request.mappings.iter().zip(&images) {
        let Some((image, bias)) = image else { continue };
        unwinder.add_module(Module::new(
            String::new(),
            mapping.addresses.clone(),
            *bias,
            image.sections.clone(),
        ));
    }
    let mut cache = CacheX86_64::<_>::new();
    let mut read = |address| request.word(address).ok_or(());
    let registers = UnwindRegsX86_64::new(request.ip, request.sp, request.bp);
    let mut steps = unwinder.iter_frames(request.ip, registers, &mut cache, &mut read);
    let mut found = Vec::new();
    while let Ok(Some(step)) = steps.next() {
        let at = step.address_for_lookup();
        let mapping = request.mappings.iter().position(|m| m.addresses.contains(&at));
        // An address that is no code is no return address: a table was missing or wrong.
        if found.len() >= FRAMES || (mapping.is_none() && !found.is_empty()) {
            break;
        }
        let mut frame = Found { address: step.address(), mapping, symbol: None, offset: None };
        if let Some(Some((image, bias))) = mapping.and_then(|index| images.get(index)) {
            let address = frame.address.wrapping_sub(*bias);
            frame.offset = Some(address);
            if let Some(symbol) = image.symbol(at.wrapping_sub(*bias)) {
                frame.offset = Some(address.wrapping_sub(symbol.address));
                frame.symbol = Some(symbol.name);
            }
        }
        found.push(frame);
        if request.mappings.is_empty() {
            break;
        }
    }
    found
}
