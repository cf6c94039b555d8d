//! What one machine allows and another one does not.

use super::automaton::Machine;
use super::context::Context;
use crate::syscall::Symbol;

impl Machine {
    /// The transitions of this machine that `other` refuses, by context. Where this one is the
    /// deeper one, a context is what the other one sees of it; where it is the shallower one,
    /// nothing can be told of single transitions.
    #[must_use]
    pub fn beyond(&self, other: &Machine) -> Vec<(Context, Symbol)> {
        if self.depth() < other.depth() {
            return Vec::new();
        }
        let refused = |context: &Context, symbol: &Symbol| {
            let seen = Context::of(context.symbols().iter().copied(), other.depth());
            !other.row(&seen).is_some_and(|row| row.contains_key(symbol))
        };
        self.rows()
            .flat_map(|(context, row)| row.keys().map(|symbol| (*context, *symbol)))
            .filter(|(context, symbol)| refused(context, symbol))
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::machine::automaton::Machine;
    use crate::machine::context::Depth;
    use crate::machine::count::Count;

    fn machine(depth: u64, transitions: &[(&str, &str)]) -> Machine {
        let mut machine = Machine::new(Depth::try_from(depth).unwrap());
        for (context, symbol) in transitions {
            machine.insert(context.parse().unwrap(), symbol.parse().unwrap(), Count::default());
        }
        machine
    }

    fn beyond(a: &Machine, b: &Machine) -> Vec<String> {
        a.beyond(b).iter().map(|(context, symbol)| format!("{context} → {symbol}")).collect()
    }

    #[test]
    fn of_one_depth_it_is_what_the_other_lacks() {
        let a = machine(2, &[("execve", "brk"), ("brk", "read")]);
        let b = machine(2, &[("execve", "brk"), ("brk", "write"), ("write", "brk")]);
        assert_eq!(beyond(&a, &b), ["brk → read"]);
        assert_eq!(beyond(&b, &a), ["write → brk", "brk → write"]);
        assert!(beyond(&a, &a).is_empty());
    }

    #[test]
    fn a_deeper_machine_is_seen_with_the_eyes_of_the_shallower_one() {
        let pairs = machine(2, &[("execve", "brk"), ("brk", "read")]);
        let triples = machine(3, &[("execve", "brk"), ("execve brk", "read"), ("brk read", "brk")]);
        assert_eq!(beyond(&triples, &pairs), ["brk read → brk"]);
        assert!(beyond(&pairs, &triples).is_empty());
        let list = machine(1, &[("", "brk"), ("", "read")]);
        assert!(beyond(&triples, &list).is_empty());
    }
}
