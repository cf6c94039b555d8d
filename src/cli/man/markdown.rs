//! The Markdown that docs/ uses, as a part of a man page.

use clap_mangen::roff::{bold, italic, roman, Inline, Roff};
use std::iter;

/// Appends a document without its title.
pub(super) fn append(roff: &mut Roff, document: &str) {
    let mut lines = document.lines().peekable();
    let mut header: Vec<String> = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        if let Some(heading) = line.strip_prefix("## ") {
            roff.control("SH", [heading.to_uppercase().as_str()]);
        } else if line.starts_with("```") {
            roff.control("PP", []).control("RS", ["4"]).control("nf", []);
            for code in lines.by_ref().take_while(|code| !code.starts_with("```")) {
                roff.text([roman(code)]);
            }
            roff.control("fi", []).control("RE", []);
        } else if line.starts_with('|') {
            let row = cells(line);
            if lines.peek().is_some_and(|next| next.starts_with("|---")) {
                lines.next();
                header = row;
            } else {
                table_row(roff, &header, &row);
            }
        } else {
            let mut text = line.to_string();
            while let Some(next) = lines.next_if(|next| continues(next)) {
                text.push(' ');
                text.push_str(next.trim_start());
            }
            if let Some(item) = text.strip_prefix("- ") {
                roff.control("IP", ["\\(bu", "2"]).text(inlines(item));
            } else {
                roff.control("PP", []).text(inlines(&text));
            }
        }
    }
}

/// Whether a line goes on with the paragraph or the item before it.
fn continues(line: &str) -> bool {
    !line.is_empty()
        && !line.starts_with("- ")
        && !line.starts_with("```")
        && !line.starts_with('|')
}

/// The cells of a row. In a cell `\|` is no end of a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{1}");
    let row = row.trim().trim_matches('|');
    row.split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// A row as a tagged paragraph: the first cell, the second, and the others with their headings.
fn table_row(roff: &mut Roff, header: &[String], row: &[String]) {
    let mut cells = row.iter().zip(header);
    let Some((tag, _)) = cells.next() else { return };
    roff.control("TP", []).text(inlines(tag));
    let second = cells.next().map_or(String::new(), |(cell, _)| cell.clone());
    let others = cells.filter(|(cell, _)| !cell.is_empty());
    let others = others.map(|(cell, heading)| format!("({heading}: {cell})"));
    let text: Vec<String> = iter::once(second).chain(others).collect();
    roff.text(inlines(&text.join(" ")));
}

/// Text with its code and emphasis. Of a link its words are left.
fn inlines(text: &str) -> Vec<Inline> {
    let mut found = Vec::new();
    let mut rest = without_links(text);
    while let Some(at) = rest.find(['`', '*']) {
        let (before, marked) = rest.split_at(at);
        let mark =
            ["**", "*", "`"].into_iter().find(|mark| marked.starts_with(mark)).unwrap_or("`");
        let inner = marked.get(mark.len()..).unwrap_or_default();
        let Some(end) = inner.find(mark) else { break };
        found.push(roman(before));
        let (inner, after) = inner.split_at(end);
        found.push(match mark {
            "*" => italic(inner),
            "**" => bold(inner.replace('`', "")),
            _ => bold(inner),
        });
        rest = after.get(mark.len()..).unwrap_or_default().to_string();
    }
    found.push(roman(rest));
    found.retain(|inline| !matches!(inline, Inline::Roman(text) if text.is_empty()));
    found
}

fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        out.push_str(before);
        let target = link.split_once("](").and_then(|(words, tail)| {
            let (_, after) = tail.split_once(')')?;
            Some((words, after))
        });
        match target {
            Some((words, after)) if !words.contains('[') => {
                out.push_str(words);
                rest = after;
            }
            _ => {
                out.push('[');
                rest = link;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(document: &str) -> String {
        let mut roff = Roff::new();
        append(&mut roff, document);
        roff.to_roff()
    }

    #[test]
    fn paragraphs_items_and_code_keep_their_text() {
        let document = "# Title\n\n## A part\n\nSee [it](it.md), `a-b` and **this**\nof *all*.\n\n\
                        - one\n  more\n- two\n\n```json\n{\"a\": [\"b\"]}\n.c\n```\n";
        let want = ".SH \"A PART\"\n.PP\nSee it, \\fBa\\-b\\fR and \\fBthis\\fR of \\fIall\\fR.\n\
                    .IP \\(bu 2\none more\n.IP \\(bu 2\ntwo\n\
                    .PP\n.RS 4\n.nf\n{\"a\": [\"b\"]}\n\\&.c\n.fi\n.RE\n";
        assert_eq!(page(document), want);
    }

    #[test]
    fn a_row_of_a_table_is_a_tagged_paragraph() {
        let document =
            "| key | value | without |\n|---|---|---|\n| `x` | `a\\|b` | 2 |\n| `\"*\"` | c | |\n";
        let want = ".TP\n\\fBx\\fR\n\\fBa|b\\fR (without: 2)\n.TP\n\\fB\"*\"\\fR\nc\n";
        assert_eq!(page(document), want);
    }
}
