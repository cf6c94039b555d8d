//! Texts in the files that are written: a policy is input, and its binary may be called anything.

use crate::text::said;

/// `text` for HTML and SVG, between tags and in a quoted attribute alike. Names in `text` are
/// escaped before.
pub(super) fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in one_line(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// `text` as a quoted string of Graphviz, which expands `\n` and HTML's entities in what it shows.
pub(super) fn quoted(text: &str) -> String {
    let mut safe = String::from("\"");
    for c in one_line(text).chars() {
        match c {
            '"' => safe.push_str("\\\""),
            '\\' => safe.push_str("\\\\"),
            '&' => safe.push_str("&amp;"),
            c => safe.push(c),
        }
    }
    safe.push('"');
    safe
}

/// `text` without what is not allowed in markup, or would show a name as another one.
fn one_line(text: &str) -> String {
    said(text).replace('\n', "\\n")
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
        assert_eq!(markup("a\0b\n\u{202e}c"), "a\\x00b\\n\\u{202e}c");
        assert_eq!(quoted("a\nb"), "\"a\\\\nb\"");
    }

    #[test]
    fn a_quoted_string_ends_where_it_should() {
        assert_eq!(quoted("a\"b\\"), "\"a\\\"b\\\\\"");
        assert_eq!(quoted("&lt;"), "\"&amp;lt;\"");
    }
}
