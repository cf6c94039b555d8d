//! The transitions that one machine has and another one refuses.

use super::automaton::Machine;
use super::context::Context;
use crate::syscall::Symbol;

impl Machine {
    /// The transitions of this machine that `other` refuses, in the order of their contexts.
    ///
    /// If this machine is deeper than `other`, a context is shortened to the depth of `other` to
    /// look it up. If this machine is less deep, no single transition can be compared, and the
    /// result is empty.
    #[must_use]
    pub fn refused_by(&self, other: &Machine) -> Vec<(Context, Symbol)> {
        if self.depth() < other.depth() {
            return Vec::new();
        }
        let refused = |context: &Context, symbol: &Symbol| {
            let shortened = Context::of(context.symbols().iter().copied(), other.depth());
            !other.row(&shortened).is_some_and(|row| row.contains_key(symbol))
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

    fn refused(a: &Machine, b: &Machine) -> Vec<String> {
        a.refused_by(b).iter().map(|(context, symbol)| format!("{context} → {symbol}")).collect()
    }

    #[test]
    fn of_one_depth_it_is_what_the_other_lacks() {
        let a = machine(2, &[("execve", "brk"), ("brk", "read")]);
        let b = machine(2, &[("execve", "brk"), ("brk", "write"), ("write", "brk")]);
        assert_eq!(refused(&a, &b), ["brk → read"]);
        assert_eq!(refused(&b, &a), ["write → brk", "brk → write"]);
        assert!(refused(&a, &a).is_empty());
    }

    #[test]
    fn a_deeper_machine_is_seen_with_the_eyes_of_the_shallower_one() {
        let pairs = machine(2, &[("execve", "brk"), ("brk", "read")]);
        let triples = machine(3, &[("execve", "brk"), ("execve brk", "read"), ("brk read", "brk")]);
        assert_eq!(refused(&triples, &pairs), ["brk read → brk"]);
        assert!(refused(&pairs, &triples).is_empty());
        let list = machine(1, &[("", "brk"), ("", "read")]);
        assert!(refused(&triples, &list).is_empty());
    }
}
