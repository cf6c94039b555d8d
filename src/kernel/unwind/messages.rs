//! What the agent sends to the helper, and what the helper may answer.
//!
//! A message is one record of a socket that keeps their bounds. The agent believes no answer before
//! it has compared the answer with what it asked.

use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The most frames of one stack.
pub(super) const FRAMES: usize = 32;
/// The most mappings of a request, each with a file. The kernel passes at most 253 descriptors at a
/// time (`SCM_MAX_FD`).
pub(super) const MAPPINGS: usize = 250;
/// The most bytes of a function's name.
pub(super) const NAME: usize = 1024;
/// The most bytes of a message.
pub(super) const MESSAGE: usize = 192 << 10;

/// A thread's registers and the top of its stack, and what is mapped where the stack leads.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Request {
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    pub mappings: Vec<Mapped>,
    /// The bytes from `sp` on. They follow the other fields in the message.
    #[serde(skip)]
    pub stack: Vec<u8>,
}

/// A mapping of code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mapped {
    pub addresses: Range<u64>,
    /// The offset in the file where the mapping begins.
    pub offset: u64,
    /// The size of the file, which comes with the message: the descriptors are in the order of the
    /// mappings that have one.
    pub file: Option<u64>,
}

/// A frame, the innermost first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Found {
    /// The address of the call, or the return address.
    pub address: u64,
    /// The mapping that has it, by its index in the request.
    pub mapping: Option<usize>,
    /// The function's name.
    pub symbol: Option<String>,
    /// The offset from the symbol; without a symbol the address as the file has it.
    pub offset: Option<u64>,
}

impl Mapped {
    /// Whether the address is in the mapping, or just behind a call at the mapping's end.
    fn has(&self, address: u64) -> bool {
        self.addresses.contains(&address) || self.addresses.contains(&address.wrapping_sub(1))
    }
}

impl Request {
    /// The request as a message: the length of the fields, the fields, the stack.
    pub(super) fn message(&self) -> Vec<u8> {
        let fields = serde_json::to_vec(self).unwrap_or_default();
        let length = u32::try_from(fields.len()).unwrap_or(u32::MAX);
        [&length.to_ne_bytes(), fields.as_slice(), &self.stack].concat()
    }

    /// The request of a message; `None` if it is none.
    pub(super) fn parse(message: &[u8]) -> Option<Self> {
        let (length, rest) = message.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_ne_bytes(*length)).ok()?;
        let (fields, stack) = rest.split_at_checked(length)?;
        let request: Request = serde_json::from_slice(fields).ok()?;
        Some(Request { stack: stack.to_vec(), ..request })
    }

    /// The word of the stack at an address; `None` if it was not copied.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.sp)?).ok()?;
        Some(u64::from_ne_bytes(self.stack.get(at..at.checked_add(8)?)?.try_into().ok()?))
    }

    /// The frames of an answer. `None`: it is no answer to this request, whoever wrote it.
    pub(super) fn answer(&self, message: &[u8]) -> Option<Vec<Found>> {
        let frames: Vec<Found> = serde_json::from_slice(message).ok()?;
        let first = frames.first()?;
        let fits = |frame: &Found| match frame.mapping {
            Some(index) => self.mappings.get(index).is_some_and(|m| m.has(frame.address)),
            None => frame.symbol.is_none() && frame.offset.is_none(),
        };
        let named = |frame: &Found| frame.symbol.as_ref().is_none_or(|name| name.len() <= NAME);
        let inner = |frame: &Found| frame.mapping.is_some();
        let sound = first.address == self.ip
            && frames.len() <= FRAMES
            && frames.iter().all(|frame| fits(frame) && named(frame))
            && frames.iter().skip(1).all(inner);
        sound.then_some(frames)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request() -> Request {
        let mapping = Mapped { addresses: 100..200, offset: 0, file: Some(7) };
        Request { ip: 150, sp: 1000, bp: 3, mappings: vec![mapping], stack: vec![1; 20] }
    }

    #[test]
    fn a_request_comes_as_it_was_sent() {
        let sent = request();
        let got = Request::parse(&sent.message()).unwrap();
        assert_eq!((got.ip, got.sp, got.bp), (sent.ip, sent.sp, sent.bp));
        assert_eq!((&got.mappings, &got.stack), (&sent.mappings, &sent.stack));
        let message = sent.message();
        assert!((0..message.len() - 20).all(|end| Request::parse(&message[..end]).is_none()));
        assert_eq!(got.word(1012), Some(0x0101_0101_0101_0101));
        assert!([999, 1013, u64::MAX].iter().all(|&at| got.word(at).is_none()));
    }

    #[test]
    fn an_answer_is_believed_only_if_it_is_one() {
        let request = request();
        let good = Found { address: 150, mapping: Some(0), symbol: Some("f".into()), offset: None };
        let answer = |frames: &[Found]| request.answer(&serde_json::to_vec(frames).unwrap());
        let outer = Found { address: 200, ..good.clone() };
        assert_eq!(answer(&[good.clone(), outer.clone()]).unwrap(), [good.clone(), outer.clone()]);
        let unmapped = Found { address: 150, mapping: None, symbol: None, offset: None };
        assert!(answer(std::slice::from_ref(&unmapped)).is_some());

        let other = |change: &dyn Fn(&mut Found)| {
            let mut bad = outer.clone();
            change(&mut bad);
            answer(&[good.clone(), bad]).is_none()
        };
        assert!(other(&|f| f.address = 201));
        assert!(other(&|f| f.mapping = Some(1)));
        assert!(other(&|f| f.mapping = None));
        assert!(other(&|f| f.symbol = Some("x".repeat(NAME + 1))));
        assert!(other(&|f| *f = unmapped.clone()));
        assert!(answer(&[outer]).is_none());
        assert!(answer(&[]).is_none());
        assert!(answer(&vec![good; FRAMES + 1]).is_none());
        assert!(request.answer(b"[{\"address\":150,\"mapping\":0,\"more\":1}]").is_none());
        assert!(request.answer(b"\xff").is_none());
    }
}
