//! What a policy knows of a violation.

use crate::explain::args::{self, Arg};
use crate::explain::violation::Violation;
use crate::explain::words;
use crate::machine::{Context, Count, Machine, Reason};
use crate::policy::Policy;
use crate::syscall::{nr, signal_name, Symbol};
use crate::text::UntrustedText;
use std::collections::BTreeMap;

/// A symbol, and what it is in plain words where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// As it stands in the policy.
    pub symbol: UntrustedText,
    /// `open a file`.
    pub words: Option<String>,
}

/// What can be done so that it is no violation the next time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// One more transition.
    Transition {
        /// The key of `transitions`.
        context: String,
        /// What may follow.
        symbol: String,
        /// Both as they would stand in the file.
        line: String,
        /// Whether the key is there already.
        present: bool,
        /// Whether nothing could follow it then.
        dead_end: bool,
    },
    /// The policy has it: it is not the one that judged, or has been changed since.
    Allowed,
    /// The thread's past was not known, so any transition to the symbol would do.
    AnyContext,
    /// None: a 32-bit or x32 call is always a violation.
    Abi,
    /// None: a return from a handler that is not active is always a violation.
    Sigreturn,
}

/// What a policy knows of a violation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the thread had done last, oldest first.
    pub done: Vec<Step>,
    /// What it tried then.
    pub tried: Step,
    /// With which arguments.
    pub args: Vec<Arg>,
    /// How often a thread was seen to go on from the context, and in how many runs at least.
    pub seen: Count,
    /// What may follow the context, the most travelled first.
    pub lawful: Vec<(Symbol, Count)>,
    /// From which contexts the symbol is lawful, the most travelled first.
    pub elsewhere: Vec<(Context, Count)>,
    /// What would allow it.
    pub remedy: Remedy,
}

/// A violation that a policy cannot have found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A name that is no symbol.
    #[error("unknown symbol `{0}`")]
    Symbol(UntrustedText),
    /// A context that does not fit into the window.
    #[error("its context has {symbols} symbols, and the policy's depth is {depth}")]
    Depth {
        /// How many it has.
        symbols: usize,
        /// The policy's depth.
        depth: u8,
    },
}

/// Explains a violation by the policy that it is of.
///
/// # Errors
/// If the policy cannot be the one that judged.
pub fn explain(violation: &Violation, policy: &Policy) -> Result<Explanation, Mismatch> {
    let machine = &policy.machine;
    let symbols: Vec<Symbol> =
        violation.context.iter().map(symbol).collect::<Result<_, Mismatch>>()?;
    if symbols.len() > machine.depth().context_len() {
        return Err(Mismatch::Depth { symbols: symbols.len(), depth: machine.depth().get() });
    }
    let context = Context::of(symbols.iter().copied(), machine.depth());
    let row = machine.row(&context);
    let lawful: Vec<(Symbol, Count)> =
        row.map(|row| row.iter().map(|(&s, &c)| (s, c)).collect()).unwrap_or_default();
    let foreign = violation.reason == Reason::Abi;
    let wanted = if foreign { None } else { Some(symbol(&violation.symbol)?) };
    let elsewhere: Vec<(Context, Count)> = machine
        .rows()
        .filter(|(from, _)| **from != context)
        .filter_map(|(from, row)| Some((*from, *row.get(&wanted?)?)))
        .collect();
    Ok(Explanation {
        done: symbols.iter().map(|s| done(*s)).collect(),
        tried: wanted.map_or_else(|| foreign_step(violation), step),
        args: if foreign {
            Vec::new()
        } else {
            args::decode(violation.symbol.whole(), &violation.args)
        },
        seen: seen(&lawful),
        remedy: wanted.map_or(Remedy::Abi, |wanted| remedy(machine, context, wanted)),
        lawful: by_travel(lawful),
        elsewhere: by_travel(elsewhere),
    })
}

fn symbol(text: &UntrustedText) -> Result<Symbol, Mismatch> {
    text.whole().parse().map_err(|_| Mismatch::Symbol(text.clone()))
}

fn step(symbol: Symbol) -> Step {
    let text = symbol.to_string();
    let words = match symbol {
        Symbol::Call(_) => words::words(&text).map(ToString::to_string),
        Symbol::Signal(number) => {
            signal_name(number).map(|name| format!("begin a handler of {name}"))
        }
    };
    Step { symbol: text.into(), words }
}

/// An `execve` that lies behind is not what its words say: had it run another program, that one
/// would be judged.
fn done(symbol: Symbol) -> Step {
    let mut step = step(symbol);
    if symbol == Symbol::Call(nr::EXECVE) {
        step.words = Some("its own start, or a failed try to run another program".into());
    }
    step
}

/// A call through a foreign ABI: named by the log, or by a number of its own table, which says
/// nothing here.
fn foreign_step(violation: &Violation) -> Step {
    let abi = if violation.symbol == *"@x32" { "the x32 ABI" } else { "the 32-bit ABI" };
    let what = match (&violation.call, violation.number) {
        (Some(call), _) => format!("make the call `{call}` through {abi}"),
        (None, Some(number)) => format!("make call {number} of {abi}"),
        (None, None) => format!("make a call through {abi}"),
    };
    Step { symbol: violation.symbol.clone(), words: Some(what) }
}

/// Runs of different transitions may be the same runs: what is certain is the largest.
fn seen(row: &[(Symbol, Count)]) -> Count {
    Count {
        calls: row.iter().fold(0, |sum, (_, count)| sum.saturating_add(count.calls)),
        runs: row.iter().map(|(_, count)| count.runs).max().unwrap_or(0),
    }
}

fn by_travel<T: ToString>(mut list: Vec<(T, Count)>) -> Vec<(T, Count)> {
    list.sort_by_cached_key(|(what, count)| (std::cmp::Reverse(count.calls), what.to_string()));
    list
}

fn remedy(machine: &Machine, context: Context, wanted: Symbol) -> Remedy {
    let lost = context == Context::EMPTY && machine.depth().context_len() > 0;
    // From depth 3 on a part of the context may have been known (semantics, rule 8): then the
    // alphabet says nothing.
    let anywhere =
        lost && machine.depth().context_len() == 1 && machine.alphabet().contains(&wanted);
    let row = machine.row(&context);
    if wanted == Symbol::Call(nr::RT_SIGRETURN) {
        Remedy::Sigreturn
    } else if anywhere || row.is_some_and(|r| r.contains_key(&wanted)) {
        Remedy::Allowed
    } else if lost {
        Remedy::AnyContext
    } else {
        Remedy::Transition {
            context: context.to_string(),
            symbol: wanted.to_string(),
            line: line(row, context, wanted),
            present: row.is_some(),
            dead_end: machine.depth().context_len() > 0
                && machine.row(&context.then(wanted, machine.depth())).is_none(),
        }
    }
}

/// In the canonical form a context without a single count has a list, and any other has counts
/// throughout.
fn line(row: Option<&BTreeMap<Symbol, Count>>, context: Context, wanted: Symbol) -> String {
    let counted = row.is_some_and(|row| row.values().any(|count| *count != Count::default()));
    if counted {
        format!("\"{context}\": {{\"{wanted}\": {{\"calls\": 0, \"runs\": 0}}}}")
    } else {
        format!("\"{context}\": [\"{wanted}\"]")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::policy::parse;
    use serde_json::{json, Value};

    fn policy(depth: u8, transitions: &Value) -> Policy {
        let file =
            json!({"sysfsm": 1, "binary": "/bin/x", "depth": depth, "transitions": transitions});
        parse(file.to_string().as_bytes()).unwrap()
    }

    fn violation(reason: &str, context: &[&str], symbol: &str) -> Violation {
        let line = json!({"event": "violation", "reason": reason, "action": "kill", "policy": "/bin/x",
            "context": context, "symbol": symbol, "number": 11});
        Violation::parse(&line.to_string()).unwrap()
    }

    fn counted() -> Policy {
        let count = |calls: u64, runs: u64| json!({"calls": calls, "runs": runs});
        policy(
            2,
            &json!({
                "execve": {"brk": count(3, 3)},
                "brk": {"openat": count(2, 2), "mmap": count(9, 1), "execve": count(1, 1)},
                "mmap": {"socket": count(1, 1)},
                "openat": {"socket": count(5, 3)},
            }),
        )
    }

    #[test]
    fn it_tells_the_lawful_ways_on_and_where_else_the_symbol_is_lawful() {
        let told = explain(&violation("transition", &["brk"], "socket"), &counted()).unwrap();
        let lawful: Vec<String> =
            told.lawful.iter().map(|(s, c)| format!("{s} {}", c.calls)).collect();
        assert_eq!(lawful, ["mmap 9", "openat 2", "execve 1"]);
        let elsewhere: Vec<String> = told.elsewhere.iter().map(|(c, _)| c.to_string()).collect();
        assert_eq!(elsewhere, ["openat", "mmap"]);
        assert_eq!(told.seen, Count { calls: 12, runs: 2 });
        assert_eq!(told.done[0].words.as_deref(), Some("grow or shrink the heap"));
        assert_eq!(told.tried.words.as_deref(), Some("make a socket"));
    }

    /// The line, put into the file, must give the policy with the transition, in its canonical
    /// form.
    #[test]
    fn the_line_stands_in_the_policy_as_it_would_be_written() {
        let deep = json!({"execve": ["brk"], "execve brk": ["mmap"]});
        for (before, context) in [
            (counted(), &["brk"][..]),
            (counted(), &["write"]),
            (policy(2, &json!({"brk": ["mmap"]})), &["brk"]),
            (policy(2, &json!({"brk": ["mmap"]})), &["@SIGUSR1"]),
            (policy(3, &deep), &["execve", "brk"]),
            (policy(3, &deep), &["brk", "mmap"]),
            (policy(1, &json!({"": ["mmap"]})), &[]),
        ] {
            let told = explain(&violation("transition", context, "connect"), &before).unwrap();
            let Remedy::Transition { context, symbol, line, present, .. } = told.remedy else {
                panic!("{:?}", told.remedy)
            };
            let mut after = before.clone();
            after.machine.insert(
                context.parse().unwrap(),
                symbol.parse().unwrap(),
                Count::default(),
            );
            let entry: Value = serde_json::from_str(&format!("{{{line}}}")).unwrap();
            let (old, new) = (before.to_value(), after.to_value());
            assert_eq!(present, old["transitions"].get(&context).is_some());
            let written = &new["transitions"][&context];
            match &entry[&context] {
                Value::Array(list) => {
                    assert!(written.as_array().unwrap().contains(&list[0]), "{line}");
                }
                object => assert_eq!(written[&symbol], object[&symbol], "{line}"),
            }
            let again = explain(
                &violation("transition", told_context(&context).as_slice(), "connect"),
                &after,
            );
            assert_eq!(again.unwrap().remedy, Remedy::Allowed);
        }
    }

    fn told_context(key: &str) -> Vec<&str> {
        key.split_whitespace().collect()
    }

    #[test]
    fn after_a_symbol_that_no_context_begins_with_nothing_could_follow() {
        let dead =
            |symbol: &str| match explain(&violation("transition", &["execve"], symbol), &counted())
            {
                Ok(Explanation { remedy: Remedy::Transition { dead_end, .. }, .. }) => dead_end,
                other => panic!("{other:?}"),
            };
        assert!(dead("socket") && !dead("mmap"));
    }

    #[test]
    fn what_no_line_can_allow_is_told_so() {
        let remedy = |v: &Violation| explain(v, &counted()).unwrap().remedy;
        assert_eq!(remedy(&violation("abi", &["brk"], "@i386")), Remedy::Abi);
        assert_eq!(remedy(&violation("sigreturn", &["brk"], "rt_sigreturn")), Remedy::Sigreturn);
        assert_eq!(remedy(&violation("transition", &[], "connect")), Remedy::AnyContext);
        assert_eq!(remedy(&violation("transition", &[], "socket")), Remedy::Allowed);
        let foreign = explain(&violation("abi", &["brk"], "@i386"), &counted()).unwrap();
        assert_eq!(foreign.tried.words.as_deref(), Some("make call 11 of the 32-bit ABI"));
    }

    #[test]
    fn a_policy_of_another_depth_cannot_have_judged() {
        let two = violation("transition", &["execve", "brk"], "socket");
        let told = explain(&two, &counted()).unwrap_err().to_string();
        assert_eq!(told, "its context has 2 symbols, and the policy's depth is 2");
        let odd = violation("transition", &["brk"], "frobnicate");
        assert_eq!(explain(&odd, &counted()).unwrap_err(), Mismatch::Symbol("frobnicate".into()));
    }
}
