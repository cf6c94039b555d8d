//! Violations as questions: how they are shown, and how they are asked on a terminal.

use crate::cli::format::count::counted;
use crate::machine::Count;
use crate::review::{Decision, Frame, Key, Question, ReviewSession};
use crate::text::UntrustedText;
use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

/// How many of several are shown.
const SHOWN: usize = 6;

/// What a violation is called: `read → execve`.
pub(crate) fn name(key: &Key) -> String {
    let context = key.context.to_string();
    let context = if context.is_empty() { "(unknown)" } else { &context };
    match key.reason.as_str() {
        "transition" => format!("{context} → {}", key.symbol),
        reason => format!("{context} → {} ({reason})", key.symbol),
    }
}

/// All that helps to decide.
pub(crate) fn text(question: &Question<'_>) -> String {
    let Question { key, entry, .. } = question;
    let sample = &entry.sample;
    let mut text = format!("{}\n", name(key));
    let mut field = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    let times = if entry.count > 1 {
        format!("{} times, first {}, last {}", entry.count, entry.first, entry.last)
    } else {
        format!("once, {}", entry.first)
    };
    field("seen", times);
    let args: Vec<String> = sample.args.iter().map(|a| format!("{a:#x}")).collect();
    field("by", format!("{} (pid {}, tid {})", sample.comm, sample.pid, sample.tid));
    field("arguments", args.join(", "));
    for (index, frame) in sample.stack.iter().take(SHOWN).enumerate() {
        field(if index == 0 { "from" } else { "" }, place(frame));
    }
    if sample.stack.len() > SHOWN {
        field("", format!("… {} more", counted((sample.stack.len() - SHOWN) as u64, "frame")));
    }
    if sample.stack.is_empty() {
        field("from", format!("{:#x}: where that is could not be read", sample.ip));
    }
    if let Some(why) = question.never {
        field("never", format!("cannot be accepted: {why}"));
        return text;
    }
    let row = question.row.iter().map(|(symbol, count)| match *count {
        Count { calls: 0, .. } => format!("{symbol}"),
        Count { calls, .. } => format!("{symbol} ({calls})"),
    });
    field("context", listed("may go on by ", row, "is not in the policy: nothing may follow it"));
    let elsewhere = question.elsewhere.iter().map(|c| format!("`{c}`"));
    field("symbol", listed("may follow ", elsewhere, "is nowhere in the policy"));
    text
}

fn listed(what: &str, items: impl ExactSizeIterator<Item = String>, none: &str) -> String {
    let count = items.len();
    if count == 0 {
        return none.into();
    }
    let more = if count > SHOWN { format!(", … {} more", count - SHOWN) } else { String::new() };
    format!("{what}{}{more}", items.take(SHOWN).collect::<Vec<_>>().join(", "))
}

/// Where a frame is: `/usr/sbin/nginx ngx_reap+0x1f`, or the address where nothing else is known.
pub(crate) fn place(frame: &Frame) -> String {
    let module = frame.module.as_ref().map(ToString::to_string).unwrap_or_default();
    match (&frame.symbol, frame.offset) {
        (Some(symbol), Some(offset)) => format!("{module} {symbol}+{offset:#x}"),
        (None, Some(offset)) if !module.is_empty() => format!("{module}+{offset:#x}"),
        _ => format!("{:#x}", frame.address),
    }
}

/// Asks about everything that is open, one by one. Whether the end was reached; else the operator
/// has quit.
pub(crate) fn ask(
    session: &mut ReviewSession<'_>,
    binary: &str,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> io::Result<bool> {
    let all = session.questions();
    for (index, key) in all.iter().enumerate() {
        // One answer may have decided several.
        if !session.open(key) {
            continue;
        }
        let Some(question) = session.question(key) else { continue };
        write!(out, "\n{} of {}, {binary}: {}", index + 1, all.len(), text(&question))?;
        let choices = Choices::of(&question);
        loop {
            write!(out, "{} ", choices.line())?;
            out.flush()?;
            let mut answer = String::new();
            if input.read_line(&mut answer)? == 0 {
                writeln!(out)?;
                return Ok(false);
            }
            let answer = answer.trim().to_lowercase();
            match answer.as_str() {
                "s" | "skip" => break,
                "q" | "quit" => return Ok(false),
                "r" | "reject" => session.decide(key, Decision::Rejected),
                "a" | "accept" if choices.accept => session.decide(key, Decision::Accepted),
                "w" if choices.accept => session.decide(key, Decision::Anywhere),
                "c" if choices.accept => accept_where(session, |k, _| k.context == key.context),
                "m" if choices.module.is_some() => {
                    let module = choices.module.clone();
                    accept_where(session, |k, m| k.symbol == key.symbol && m == module.as_ref())
                }
                _ => false,
            };
            if !session.open(key) {
                break;
            }
            writeln!(out, "{}", choices.help(key))?;
        }
    }
    Ok(true)
}

/// Accepts what is open and fits, by its key and its module.
fn accept_where(
    session: &mut ReviewSession<'_>,
    fits: impl Fn(&Key, Option<&UntrustedText>) -> bool,
) -> bool {
    let chosen: Vec<Key> = session
        .questions()
        .into_iter()
        .filter(|k| session.part().entries.get(k).is_some_and(|entry| fits(k, entry.module())))
        .collect();
    chosen.iter().filter(|key| session.decide(key, Decision::Accepted)).count() > 0
}

/// What may be answered.
struct Choices {
    accept: bool,
    module: Option<UntrustedText>,
}

impl Choices {
    fn of(question: &Question<'_>) -> Self {
        let accept = question.never.is_none();
        Choices { accept, module: question.entry.module().filter(|_| accept).cloned() }
    }

    fn line(&self) -> String {
        let mut keys = vec!["r", "s", "q", "?"];
        if self.module.is_some() {
            keys.insert(0, "m");
        }
        if self.accept {
            keys.splice(0..0, ["a", "w", "c"]);
        }
        format!("[{}]", keys.join("/"))
    }

    fn help(&self, key: &Key) -> String {
        let mut text = String::new();
        if self.accept {
            let _ = writeln!(text, "  a  accept: the policy is to allow it");
            let _ = writeln!(
                text,
                "  w  accept `{}` from anywhere: when it comes is chance",
                key.symbol
            );
            let _ = writeln!(text, "  c  accept everything from this context, `{}`", key.context);
        }
        if let Some(module) = &self.module {
            let _ = writeln!(text, "  m  accept every `{}` from {module}", key.symbol);
        }
        text.push_str("  r  reject: it stays a violation, and is not asked again\n");
        text.push_str("  s  skip: ask another time\n  q  quit: what was decided is kept");
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::policy::parse;
    use crate::review::test_log::{key, log, selector};
    use crate::review::Part;

    const POLICY: &[u8] =
        br#"{"sysfsm": 1, "binary": "/bin/p", "transitions": {"execve": {"brk": {"calls": 4}}, "brk": ["read"]}}"#;

    fn part() -> Part {
        let mut part = log(&[
            ("brk", "write", 1, 7),
            ("brk", "mmap", 1, 1),
            ("read", "brk", 2, 1),
            ("read", "write", 2, 1),
            ("", "brk", 2, 1),
        ])
        .parts
        .remove(&selector("/bin/p"))
        .unwrap();
        for (key, entry) in &mut part.entries {
            if key.symbol == "write" {
                let module = Some("/lib/log.so".into());
                entry.sample.stack = vec![Frame { module, ..Frame::default() }];
            }
        }
        part
    }

    fn answered(answers: &str) -> (Vec<(String, Decision)>, bool, String) {
        let policy = parse(POLICY).unwrap();
        let mut session = ReviewSession::new(&policy, part(), false);
        let mut out = Vec::new();
        let end = ask(&mut session, "/bin/p", &mut answers.as_bytes(), &mut out).unwrap();
        let decided =
            session.decided().iter().map(|(key, decision)| (name(key), *decision)).collect();
        (decided, end, String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_key_does_what_it_says() {
        let accepted = |names: &[&str]| -> Vec<(String, Decision)> {
            names.iter().map(|n| (n.to_string(), Decision::Accepted)).collect()
        };
        assert_eq!(answered("r\na\nq\n").0.len(), 2);
        assert_eq!(answered("s\nc\nq\n").0, accepted(&["brk → mmap", "brk → write"]));
        let everywhere = ("brk → write".to_string(), Decision::Anywhere);
        let (decided, end, _) = answered("s\nw\ns\ns\n");
        assert_eq!(decided, [everywhere]);
        assert!(end, "`read → write` is not asked any more");
        let (decided, end, _) = answered("s\nm\ns\ns\n");
        assert_eq!(decided, accepted(&["brk → write", "read → write"]));
        assert!(end);
        let (decided, end, _) = answered("");
        assert!(decided.is_empty() && !end);
    }

    #[test]
    fn what_cannot_be_accepted_offers_no_such_key_and_nonsense_is_answered_with_help() {
        let (decided, end, said) = answered("s\ns\na\nwhat\nr\nq\n");
        assert_eq!(decided, [("(unknown) → brk".to_string(), Decision::Rejected)]);
        assert!(
            !end && said.contains("cannot be accepted") && said.contains("[r/s/q/?]"),
            "{said}"
        );
        assert!(said.contains("stays a violation"), "{said}");
    }

    #[test]
    fn the_text_says_what_the_policy_knows() {
        let policy = parse(POLICY).unwrap();
        let session = ReviewSession::new(&policy, part(), false);
        let shown = text(&session.question(&key("brk", "write")).unwrap());
        for part in
            ["brk → write", "7 times", "may go on by read", "nowhere in the policy", "prog (pid 42"]
        {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let shown = text(&session.question(&key("read", "brk")).unwrap());
        assert!(
            shown.contains("may follow `execve`") && shown.contains("is not in the policy"),
            "{shown}"
        );
    }
}
