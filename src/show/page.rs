//! The page: one file with the graphs, maps and tables of some policies. It asks the network for
//! nothing, and its Content-Security-Policy lets no other script run than the one that it carries.

use super::drawing::{draw, Frame};
use super::escape::markup;
use super::facts::facts;
use super::graph::Graph;
use super::scale::{counted, grouped};
use super::{heat, rare};
use crate::policy::Policy;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = concat!(include_str!("drawing.css"), include_str!("page.css"));

/// The policies as one HTML file.
#[must_use]
pub fn page(policies: &[&Policy]) -> String {
    let title: Vec<String> = policies.iter().map(|policy| policy.binary.to_string()).collect();
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src '{script}'; \
         style-src '{style}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · sysfsm</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{bar}",
        script = source(SCRIPT),
        style = source(STYLE),
        title = markup(&title.join(", ")),
        bar = bar(policies),
    );
    for policy in policies {
        section(&mut text, policy);
    }
    let _ = write!(text, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    text
}

/// The search, and the choice among several policies.
fn bar(policies: &[&Policy]) -> String {
    let mut bar = String::from("<div class=\"bar\">\n<b>sysfsm</b>\n");
    if policies.len() > 1 {
        bar.push_str("<label>policy <select id=\"policy\">\n");
        for (place, policy) in policies.iter().enumerate() {
            let _ = writeln!(
                bar,
                "<option value=\"{place}\">{}</option>",
                markup(&policy.binary.to_string())
            );
        }
        bar.push_str("</select></label>\n");
    }
    bar.push_str(
        "<input id=\"search\" type=\"search\" placeholder=\"search: openat, read &gt; write, kind:files\" \
         aria-label=\"search states and transitions\" autocomplete=\"off\" spellcheck=\"false\">\n\
         <output id=\"found\" for=\"search\"></output>\n</div>\n",
    );
    bar
}

fn section(text: &mut String, policy: &Policy) {
    let graph = Graph::new(&policy.machine);
    let binary = markup(&policy.binary.to_string());
    let _ = writeln!(
        text,
        "<section aria-label=\"{binary}\">\n<h1 class=\"mono\">{binary}</h1>\n<dl class=\"facts\">"
    );
    for (name, value) in facts(policy) {
        let _ = writeln!(text, "<div><dt>{name}</dt><dd>{}</dd></div>", markup(&value));
    }
    text.push_str("</dl>\n");
    for warning in policy.warnings() {
        let _ = writeln!(text, "<p role=\"note\">warning: {}</p>", markup(&warning));
    }
    figure(text, &graph, &binary);
    chart(text, &graph);
    table(text, &graph, policy.runs);
    text.push_str("</section>\n");
}

/// The state graph, its legend, and the lists that the script fills.
fn figure(text: &mut String, graph: &Graph, binary: &str) {
    text.push_str("<ul class=\"kinds\" aria-label=\"kinds of calls\">\n");
    for (kind, size) in graph.kinds() {
        let kind = kind.as_str();
        let _ = writeln!(
            text,
            "<li><button type=\"button\" class=\"{kind}\" data-find=\"kind:{kind}\"><i></i>{kind} \
             <span>{size}</span></button></li>"
        );
    }
    let drawing = draw(graph);
    let Frame { left, top, width, height } = drawing.frame;
    let _ = write!(
        text,
        "</ul>\n<div class=\"view\">\n<div class=\"stage\">\n\
         <svg class=\"graph\" viewBox=\"{left} {top} {width} {height}\" role=\"group\" aria-label=\"state graph of {binary}\">\n\
         {}</svg>\n<div class=\"zoom\">{}</div>\n</div>\n\
         <aside class=\"lists\" aria-live=\"polite\">A state is what came before, a line leads from it to what may follow, in the \
         colour of its beginning: the thicker, the more calls. Triangle: where the program begins. Diamond: where a \
         signal's handler begins. Hollow: nothing may follow. Point at a state for its transitions, click to keep it; \
         Tab and the arrow keys do the same. Zoom by + and −, move by drag.</aside>\n</div>\n",
        drawing.elements,
        [("in", "+", "zoom in"), ("out", "−", "zoom out"), ("all", "↺", "the whole graph")]
            .map(|(act, sign, label)| format!(
                "<button type=\"button\" data-zoom=\"{act}\" aria-label=\"{label}\" title=\"{label}\">{sign}</button>"
            ))
            .concat(),
    );
}

/// The from×to map.
fn chart(text: &mut String, graph: &Graph) {
    let most = graph.edges.iter().map(|edge| edge.count.calls).max().unwrap_or(0);
    text.push_str("<h2>From × to</h2>\n<p>");
    if most > 0 {
        let steps: String =
            [0, 1, 2, 3, 4].map(|step| format!("<i class=\"step{step}\"></i>")).concat();
        let _ = write!(
            text,
            "Down: the state. Across: what followed it. From 1 call <span class=\"scale\">{steps}</span> to {}, logarithmic.",
            counted(most, "call")
        );
    } else {
        text.push_str("Down: the state. Across: what may follow it. This policy has no counts.");
    }
    let _ = write!(
        text,
        "</p>\n<p class=\"told mono\" aria-live=\"polite\">Point at a cell, or focus the map and use the arrow keys.</p>\n\
         <div class=\"scroll\">\n{}</div>\n",
        heat::map(graph)
    );
}

/// The transitions, the rarest first.
fn table(text: &mut String, graph: &Graph, runs: u64) {
    let once = graph.edges.iter().filter(|edge| edge.count.runs == 1).count() as u64;
    let total = if runs > 0 { format!(" of {}", grouped(runs)) } else { String::new() };
    let told = if graph.edges.iter().all(|edge| edge.count.runs == 0) {
        "This policy has no counts.".into()
    } else {
        format!(
            "{} seen in one run only. What is rare is where the next run is likely to show something else.",
            counted(once, "transition")
        )
    };
    let _ = write!(
        text,
        "<h2>Rare transitions first</h2>\n<p>{told}</p>\n<div class=\"scroll table\" tabindex=\"0\" role=\"region\" aria-label=\"transitions\">\n\
         <table>\n<thead><tr><th>from</th><th>to</th><th>runs{total}</th><th>calls</th></tr></thead>\n<tbody>\n{}\
         </tbody>\n</table>\n</div>\n",
        rare::rows(graph)
    );
}

/// An inline script or style as a source of the Content-Security-Policy.
fn source(text: &str) -> String {
    format!("sha256-{}", base64(&Sha256::digest(text)))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3)
            .fold(0_usize, |bits, i| bits << 8 | usize::from(chunk.get(i).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter =
                LETTERS.get(bits >> (18 - 6 * place) & 63).copied().map_or('=', char::from);
            text.push(if place > chunk.len() { '=' } else { letter });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::test_policy::{named, policy, SIGNALS};

    #[test]
    fn the_page_holds_everything_once_and_asks_for_nothing() {
        let text = page(&[&policy(SIGNALS)]);
        for (part, times) in [
            ("class=\"node ", 6),
            ("class=\"edge ", 5),
            ("class=\"cell\"", 5),
            ("<tr data-edge=", 5),
            ("<section", 1),
            ("<script", 1),
            ("<style", 1),
            ("<option", 0),
            ("<dt>action</dt><dd>kill</dd>", 1),
        ] {
            let body = text.replace(SCRIPT, "");
            assert_eq!(body.matches(part).count(), times, "{part}");
        }
        for outside in
            ["http:", "https:", "src=", "@import", "url(", " style=", " onclick", "href="]
        {
            assert!(!text.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_binary_is_never_more_than_a_text() {
        let evil = "/tmp/</title></script><script>alert(\"1\")</script>'\" onload='x";
        let text = page(&[&named(evil), &named("</select>")]);
        let tame = page(&[&named("/tmp/one"), &named("/tmp/two")]);
        for tag in ["<", ">", "<script", "</script", "</title", "</select", "</option"] {
            assert_eq!(text.matches(tag).count(), tame.matches(tag).count(), "{tag}");
        }
        assert!(!text.contains("onload='") && !text.contains("alert(\"1"));
        assert!(text.contains("alert(&quot;1&quot;)"));
    }

    #[test]
    fn several_policies_are_sections_with_a_choice() {
        let text = page(&[&named("/a"), &named("/b")]);
        assert_eq!(text.matches("<section").count(), 2);
        assert!(text.contains("<option value=\"1\">/b</option>"));
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let all = ["", "f", "fo", "foo", "foob"].map(|t| base64(t.as_bytes()));
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="].map(ToString::to_string));
    }
}
