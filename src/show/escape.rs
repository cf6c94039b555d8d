//! Names in the files that are written: a policy is input, and its binary may be called anything.

use std::fmt::Write as _;

/// `text` for HTML and SVG, between tags and in a quoted attribute alike.
pub(super) fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if is_invisible(c) => escape_invisible(&mut safe, c, "\\"),
            c => safe.push(c),
        }
    }
    safe
}

/// `text` as a quoted string of Graphviz, which expands `\n` and HTML's entities in what it shows.
pub(super) fn quoted(text: &str) -> String {
    let mut safe = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => safe.push_str("\\\""),
            '\\' => safe.push_str("\\\\"),
            '&' => safe.push_str("&amp;"),
            c if is_invisible(c) => escape_invisible(&mut safe, c, "\\\\"),
            c => safe.push(c),
        }
    }
    safe.push('"');
    safe
}

/// What is not allowed in markup, or would show a name as another one: control characters, those of
/// zero width, and those that turn the direction of writing.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn escape_invisible(text: &mut String, c: char, backslash: &str) {
    let _ = write!(text, "{backslash}u{{{:x}}}", u32::from(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_keeps_nothing_that_ends_a_text_or_an_attribute() {
        assert_eq!(
            markup("</script><b a='1' b=\"2\">&amp;"),
            "&lt;/script&gt;&lt;b a=&#39;1&#39; b=&quot;2&quot;&gt;&amp;amp;"
        );
        assert_eq!(markup("/usr/bin/größe"), "/usr/bin/größe");
    }

    #[test]
    fn characters_that_are_not_seen_are_spelled_out() {
        assert_eq!(markup("a\0b\n\u{202e}c"), "a\\u{0}b\\u{a}\\u{202e}c");
        assert_eq!(quoted("a\nb"), "\"a\\\\u{a}b\"");
    }

    #[test]
    fn a_quoted_string_ends_where_it_should() {
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(quoted("&lt;"), "\"&amp;lt;\"");
    }
}
