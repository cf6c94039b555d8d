//! The transitions of a policy file: contexts, symbols and their counts.

use crate::machine::{Context, Count, Depth, Machine};
use crate::policy::parse::json::Json;
use crate::policy::parse::problem::{key_hint, Problems};
use crate::syscall::Symbol;
use crate::text::shown;
use std::collections::BTreeSet;

impl Problems {
    pub(crate) fn transitions(&mut self, key: &str, value: Json, depth: Depth) -> Machine {
        let mut machine = Machine::new(depth);
        let Json::Object(rows) = value else {
            self.wrong(key, &value, "an object");
            return machine;
        };
        self.duplicates(key, &rows);
        for (text, row) in rows {
            let place = format!("{key}.\"{}\"", shown(&text));
            let context = self.context(&place, &text, depth);
            for (symbol, count) in self.row(&place, row) {
                if let (Some(context), Some(symbol)) = (context, symbol) {
                    machine.insert(context, symbol, count);
                }
            }
        }
        machine
    }

    fn context(&mut self, place: &str, text: &str, depth: Depth) -> Option<Context> {
        let mut good = true;
        let mut symbols = Vec::new();
        if !text.is_empty() {
            for (i, part) in text.split(' ').enumerate() {
                if part.is_empty() {
                    self.problem(
                        place,
                        format!("a blank too many in the context `{}`", shown(text)),
                        "a context's symbols are separated by one blank",
                    );
                    return None;
                }
                match part.parse() {
                    Ok(Symbol::Signal(_)) if i > 0 => {
                        self.problem(
                            place,
                            format!("`{part}` in the midst of a context"),
                            "a pseudo-symbol begins a frame, so it can only be a context's first",
                        );
                        good = false;
                    }
                    Ok(symbol) => symbols.push(symbol),
                    Err(e) => {
                        self.unknown_symbol(place, &e);
                        good = false;
                    }
                }
            }
        }
        if !good {
            return None;
        }
        if symbols.len() > depth.context_len() {
            self.problem(
                place,
                format!("a context of {} symbols at depth {depth}", symbols.len()),
                format!(
                    "at depth {depth} a context has at most {}; deepen \"depth\" or shorten it",
                    depth.context_len()
                ),
            );
            return None;
        }
        if symbols.is_empty() && depth.get() > 1 {
            self.problem(
                place,
                format!("an empty context at depth {depth}"),
                "only an allow-list (\"depth\": 1) has the empty context",
            );
            return None;
        }
        Some(Context::of(symbols, depth))
    }

    fn row(&mut self, place: &str, row: Json) -> Vec<(Option<Symbol>, Count)> {
        match row {
            Json::Array(symbols) => {
                let mut seen = BTreeSet::new();
                symbols
                    .into_iter()
                    .map(|symbol| {
                        let Json::String(text) = symbol else {
                            self.wrong(place, &symbol, "a symbol's name");
                            return (None, Count::default());
                        };
                        if !seen.insert(text.clone()) {
                            self.problem(
                                place,
                                format!("`{}` stands twice in the list", shown(&text)),
                                "leave one of them",
                            );
                        }
                        (self.target(place, &text), Count::default())
                    })
                    .collect()
            }
            Json::Object(symbols) => {
                self.duplicates(place, &symbols);
                symbols
                    .into_iter()
                    .map(|(text, count)| {
                        let place = format!("{place}.\"{}\"", shown(&text));
                        (self.target(&place, &text), self.count(&place, count))
                    })
                    .collect()
            }
            other => {
                self.wrong(place, &other, "an object or a list of symbols");
                Vec::new()
            }
        }
    }

    fn target(&mut self, place: &str, text: &str) -> Option<Symbol> {
        match text.parse() {
            Ok(Symbol::Signal(_)) => {
                self.problem(
                    place,
                    format!("`{text}` as the end of a transition"),
                    "a pseudo-symbol begins a frame; a handler may begin anywhere, no transition allows it",
                );
                None
            }
            Ok(symbol) => Some(symbol),
            Err(e) => {
                self.unknown_symbol(place, &e);
                None
            }
        }
    }

    fn count(&mut self, place: &str, value: Json) -> Count {
        let mut count = Count::default();
        let Json::Object(entries) = value else {
            self.wrong(place, &value, "an object with `calls` and `runs`");
            return count;
        };
        self.duplicates(place, &entries);
        for (key, value) in entries {
            let slot = match key.as_str() {
                "calls" => &mut count.calls,
                "runs" => &mut count.runs,
                _ => {
                    let hint = key_hint(&key, &["calls", "runs"]);
                    self.problem(place, format!("unknown key `{}`", shown(&key)), hint);
                    continue;
                }
            };
            match value {
                Json::Integer(n) => *slot = n,
                other => self.wrong(&format!("{place}.{key}"), &other, "a whole number"),
            }
        }
        count
    }
}
