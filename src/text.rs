//! Text that others wrote: names of programs, files, cgroups and symbols, and what a log holds.
//!
//! Whoever chooses such a name chooses what a terminal does with it, and what a reader takes it
//! for. So [`UntrustedText`] and [`shown`] have one way to be printed, the escaped one:
//!
//! - A control character (C0, DEL, C1) is `\n`, `\r`, `\t`, `\x1b` or `\u{9b}`.
//! - A character that cannot be seen, that changes the direction of writing, that joins the one
//!   before it, or that looks like a blank, is `\u{202e}`.
//! - A byte that is no UTF-8 is `\xff`.
//! - A backslash is `\\`, and a backtick, which encloses names in messages, is `\x60`.
//!
//! Different texts have different escaped forms. Letters of two scripts that look alike are told
//! apart by nobody. For programs (JSON) the text is whole: [`json`] writes what a terminal could
//! take for an order as `\u009b`, which is the same text.
//! This layer knows no other one.

use serde::{Deserialize, Serialize, Serializer};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

/// Text that somebody else wrote. [`Display`](fmt::Display) escapes it; [`UntrustedText::whole`] is
/// for comparing, opening and writing JSON.
///
/// ```
/// use sysfsm::text::UntrustedText;
///
/// let comm = UntrustedText::from_bytes(b"\r\x1b[2Kx killed\xff");
/// assert_eq!(comm.to_string(), r"\r\x1b[2Kx killed\xff");
/// assert_eq!(comm.whole(), "\r\x1b[2Kx killed\u{fffd}");
/// ```
#[derive(Clone, Default)]
pub struct UntrustedText {
    /// With U+FFFD for what is no UTF-8.
    text: Box<str>,
    /// The bytes, if they are no UTF-8.
    bytes: Option<Box<[u8]>>,
}

impl UntrustedText {
    /// The text of bytes, which may be no UTF-8.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => UntrustedText {
                text: String::from_utf8_lossy(bytes).into(),
                bytes: Some(bytes.into()),
            },
        }
    }

    /// The text as it is, with U+FFFD for each sequence that is no UTF-8. Not for people.
    #[must_use]
    pub fn whole(&self) -> &str {
        &self.text
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().unwrap_or(self.text.as_bytes())
    }
}

impl fmt::Display for UntrustedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown(self.bytes()).fmt(f)
    }
}

impl fmt::Debug for UntrustedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl From<&str> for UntrustedText {
    fn from(text: &str) -> Self {
        UntrustedText { text: text.into(), bytes: None }
    }
}

impl From<String> for UntrustedText {
    fn from(text: String) -> Self {
        UntrustedText { text: text.into(), bytes: None }
    }
}

impl From<&OsStr> for UntrustedText {
    fn from(text: &OsStr) -> Self {
        UntrustedText::from_bytes(text.as_bytes())
    }
}

impl AsRef<OsStr> for UntrustedText {
    fn as_ref(&self) -> &OsStr {
        OsStr::from_bytes(self.bytes())
    }
}

/// The value of a JSON field: the whole text.
impl From<&UntrustedText> for serde_json::Value {
    fn from(text: &UntrustedText) -> Self {
        text.whole().into()
    }
}

/// The value of a JSON field: the whole text.
impl From<UntrustedText> for serde_json::Value {
    fn from(text: UntrustedText) -> Self {
        text.whole().into()
    }
}

impl Serialize for UntrustedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.whole())
    }
}

impl<'de> Deserialize<'de> for UntrustedText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(UntrustedText::from)
    }
}

impl PartialEq for UntrustedText {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for UntrustedText {}

impl PartialEq<str> for UntrustedText {
    fn eq(&self, other: &str) -> bool {
        self.bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for UntrustedText {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for UntrustedText {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

impl PartialOrd for UntrustedText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UntrustedText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Hash for UntrustedText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

/// Text of others as it is shown to people: escaped.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a [u8]);

/// A path, an argument, or any other text of others, as it is shown to people.
///
/// ```
/// use std::path::Path;
/// use sysfsm::text::shown;
///
/// assert_eq!(shown(Path::new("/tmp/größe")).to_string(), "/tmp/größe");
/// assert_eq!(shown("a\\\u{202e}b\n").to_string(), r"a\\\u{202e}b\n");
/// ```
pub fn shown<T: AsRef<OsStr> + ?Sized>(text: &T) -> Shown<'_> {
    Shown(text.as_ref().as_bytes())
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Through `pad`, so that columns have the width of what is seen.
        let mut escaped = String::with_capacity(self.0.len());
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => escaped.push_str("\\\\"),
                    '`' => escaped.push_str("\\x60"),
                    c if is_plain(c) => escaped.push(c),
                    c => escape(&mut escaped, c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(escaped, "\\x{byte:02x}")?;
            }
        }
        f.pad(&escaped)
    }
}

/// What is said to people, as it goes to a terminal: all of it as it is but for what cannot be seen,
/// which is escaped. Names in it were escaped before, by [`shown`]; this is for what was forgotten.
#[must_use]
pub fn said(text: &str) -> String {
    if text.chars().all(|c| c == '\n' || is_plain(c)) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || is_plain(c) {
            safe.push(c);
        } else {
            // Writing to a string cannot fail.
            let _ = escape(&mut safe, c);
        }
    }
    safe
}

/// Whether a character is seen as itself, and as nothing else: no control character, none of zero
/// width, none that turns the direction of writing or joins the one before it, and no blank but the
/// one.
fn is_plain(c: char) -> bool {
    match c {
        ' '..='~' => true,
        // Letters without a look: fillers of Hangul and Khmer, the blank of Braille.
        '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
        | '\u{2800}' => false,
        // The standard library leaves nothing that is not printable, nor what extends another
        // character.
        c => c.escape_debug().len() == 1,
    }
}

fn escape(text: &mut impl fmt::Write, c: char) -> fmt::Result {
    match c {
        '\n' => text.write_str("\\n"),
        '\r' => text.write_str("\\r"),
        '\t' => text.write_str("\\t"),
        c if c.is_ascii() => write!(text, "\\x{:02x}", u32::from(c)),
        c => write!(text, "\\u{{{:x}}}", u32::from(c)),
    }
}

/// JSON on one line, whole, and with nothing in it that a terminal takes for an order.
#[must_use]
pub fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serialized(value, Plain(serde_json::ser::CompactFormatter))
}

/// JSON on several lines, with two blanks for each level.
#[must_use]
pub fn pretty_json<T: Serialize + ?Sized>(value: &T) -> String {
    serialized(value, Plain(serde_json::ser::PrettyFormatter::new()))
}

fn serialized<T: Serialize + ?Sized>(value: &T, form: impl serde_json::ser::Formatter) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, form);
    match value.serialize(&mut serializer) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// A form of JSON in whose strings a character that is not plain is `\u009b`.
struct Plain<F>(F);

impl<F: serde_json::ser::Formatter> serde_json::ser::Formatter for Plain<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.chars().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if is_plain(c) {
                write!(writer, "{c}")?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Undoes [`shown`].
    fn read_back(escaped: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = escaped;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c != '\\' {
                bytes.extend(c.to_string().bytes());
                continue;
            }
            let (kind, after) = rest.split_at(1);
            rest = after;
            match kind {
                "\\" => bytes.push(b'\\'),
                "n" => bytes.push(b'\n'),
                "r" => bytes.push(b'\r'),
                "t" => bytes.push(b'\t'),
                "x" => {
                    let (digits, after) = rest.split_at(2);
                    bytes.push(u8::from_str_radix(digits, 16).unwrap());
                    rest = after;
                }
                "u" => {
                    let (digits, after) = rest[1..].split_once('}').unwrap();
                    let c = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
                    bytes.extend(c.to_string().bytes());
                    rest = after;
                }
                other => panic!("`\\{other}` in {escaped}"),
            }
        }
        bytes
    }

    /// What no terminal, and no reader, is to be shown.
    fn harmful(c: char) -> bool {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_bytes_are_shown_harmless_and_different_ones_differently(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                proptest::collection::vec(any::<char>(), 0..20)
                    .prop_map(|text| text.into_iter().collect::<String>().into_bytes()),
            ],
        ) {
            let text = UntrustedText::from_bytes(&bytes);
            let escaped = text.to_string();
            prop_assert!(!escaped.contains(harmful), "{escaped:?}");
            prop_assert!(!escaped.contains('`'));
            prop_assert_eq!(read_back(&escaped), bytes);
            // A line that is made of it is not escaped once more.
            prop_assert_eq!(said(&escaped), escaped);
        }

        #[test]
        fn json_is_the_whole_text_and_harmless(text in any::<String>()) {
            for line in [json(&text), json(&UntrustedText::from(text.as_str())), pretty_json(&text)] {
                prop_assert!(!line.contains(harmful), "{line:?}");
                prop_assert_eq!(&serde_json::from_str::<String>(&line).unwrap(), &text);
            }
        }
    }

    #[test]
    fn every_harmful_character_is_escaped() {
        for c in (0..=u32::from(char::MAX)).filter_map(char::from_u32).filter(|&c| harmful(c)) {
            assert!(!is_plain(c), "{:x}", u32::from(c));
            let said = said(&format!("a{c}b"));
            assert!(c == '\n' || !said.contains(c), "{said:?}");
        }
        assert_eq!(said("ä → `x`: …\nhint: 漢字"), "ä → `x`: …\nhint: 漢字");
    }

    #[test]
    fn columns_have_the_width_of_what_is_seen() {
        assert_eq!(format!("{:<6}|", shown("a\n")), "a\\n   |");
    }

    #[test]
    fn several_lines_of_json_are_as_serde_writes_them() {
        let value = serde_json::json!({"a": [1, {"b": []}], "c": {}, "d": "x\u{9b}"});
        let want = serde_json::to_string_pretty(&value).unwrap().replace('\u{9b}', "\\u009b");
        assert_eq!(pretty_json(&value), want);
        assert_eq!(json(&value), value.to_string().replace('\u{9b}', "\\u009b"));
    }
}
