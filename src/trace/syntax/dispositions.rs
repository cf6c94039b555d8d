//! Signal dispositions: which signals run a handler, as `rt_sigaction` sets it.

use super::args::Args;
use super::scan::{after, from, in_name, number, run, until};
use crate::syscall::{signal_number, SIGNAL_MAX};

/// What a signal does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    /// Not known: the process was running when the log began, and the log does not set the action.
    #[default]
    Unknown,
    /// No handler runs: the default action, or ignored.
    None,
    /// No handler seems to run, because no `rt_sigreturn` was seen. A later one may show the
    /// contrary.
    GuessedNone,
    /// A handler runs.
    Handler,
    /// A handler runs once (`SA_RESETHAND`).
    HandlerOnce,
}

impl Action {
    /// Whether a handler runs; `None`: not known.
    pub(crate) fn runs(self) -> Option<bool> {
        match self {
            Action::Unknown => None,
            Action::None | Action::GuessedNone => Some(false),
            Action::Handler | Action::HandlerOnce => Some(true),
        }
    }
}

/// The actions of one process's signals.
#[derive(Debug, Clone)]
pub(crate) struct Dispositions([Action; SIGNAL_MAX as usize + 1]);

impl Dispositions {
    /// The actions of a process that was running when the log began.
    pub(crate) fn unknown() -> Self {
        let mut table = Dispositions([Action::Unknown; SIGNAL_MAX as usize + 1]);
        // SIGKILL and SIGSTOP cannot be handled.
        table.set(9, Action::None);
        table.set(19, Action::None);
        table
    }

    /// The actions after an exec. Handlers are reset and ignored signals stay ignored, so that no
    /// handler runs.
    pub(crate) fn exec() -> Self {
        Dispositions([Action::None; SIGNAL_MAX as usize + 1])
    }

    pub(crate) fn get(&self, signal: u8) -> Action {
        self.0.get(usize::from(signal)).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, signal: u8, action: Action) {
        if let Some(slot) = self.0.get_mut(usize::from(signal)) {
            *slot = action;
        }
    }

    /// Resets all handlers (`CLONE_CLEAR_SIGHAND`).
    pub(crate) fn clear_handlers(&mut self) {
        *self = Dispositions::exec();
    }

    /// Takes the actions that are unknown here from `other`.
    pub(crate) fn fill_from(&mut self, other: &Dispositions) {
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            if *own == Action::Unknown {
                *own = theirs;
            }
        }
    }
}

/// The signal and the action that the arguments of `rt_sigaction` set. `None`: they set nothing, or
/// the signal is not known.
pub(crate) fn sigaction(args: &[u8]) -> Option<(u8, Action)> {
    let mut args = Args::new(args);
    let first = args.next()?;
    let token = until(first, run(first, in_name));
    let signal = match number(token) {
        // -e raw=rt_sigaction, -X raw: `0xa`.
        Some(number) => u8::try_from(number).ok().filter(|n| (1..=SIGNAL_MAX).contains(n))?,
        None => signal_number(std::str::from_utf8(token).ok()?)?,
    };
    let act = args.next()?;
    let action = if act.starts_with(b"NULL") || act == b"0" {
        return None;
    } else if let Some(inner) = act.strip_prefix(b"{") {
        structure(inner)
    } else {
        // An address: strace could not read the structure, or was asked not to (-e raw).
        Action::Unknown
    };
    Some((signal, action))
}

/// The action of `{sa_handler=X, sa_mask=[…], sa_flags=F, …}`, up to strace 4.12 `{X, [MASK], F,
/// …}`.
fn structure(inner: &[u8]) -> Action {
    let handler = Args::new(inner).next().unwrap_or_default();
    // -X raw prints SIG_DFL as 0 (or NULL) and SIG_IGN as 1.
    let value = until(handler, run(handler, in_name));
    match value {
        b"SIG_DFL" | b"SIG_IGN" | b"NULL" => return Action::None,
        _ if number(value).is_some_and(|n| n <= 1) => return Action::None,
        _ => {}
    }
    let flags = match after(inner, b"sa_flags=") {
        Some(flags) => until(flags, run(flags, |b| !matches!(b, b',' | b'}'))),
        None => Args::new(inner).nth(2).unwrap_or_default(),
    };
    let once = flags.split(|&b| matches!(b, b'|' | b' ' | b'}')).any(|flag| {
        matches!(flag, b"SA_RESETHAND" | b"SA_ONESHOT")
            || (flag.starts_with(b"0x") && number(flag).is_some_and(|n| n & 0x8000_0000 != 0))
    });
    if once {
        Action::HandlerOnce
    } else {
        Action::Handler
    }
}

/// The actions that a whole file sets, by signal: bit 0 for no handler, bit 1 for a handler.
#[derive(Debug, Clone)]
pub(crate) struct ActionsSeen([u8; SIGNAL_MAX as usize + 1]);

impl Default for ActionsSeen {
    fn default() -> Self {
        ActionsSeen([0; SIGNAL_MAX as usize + 1])
    }
}

impl ActionsSeen {
    pub(crate) fn add(&mut self, signal: u8, action: Action) {
        if let Some(slot) = self.0.get_mut(usize::from(signal)) {
            *slot |= match action.runs() {
                Some(false) => 1,
                Some(true) => 2,
                None => 3,
            };
        }
    }

    pub(crate) fn unite(&mut self, other: &ActionsSeen) {
        for (own, theirs) in self.0.iter_mut().zip(other.0) {
            *own |= theirs;
        }
    }

    /// Whether all actions that were set for the signal agree with `action`.
    pub(crate) fn agrees(&self, signal: u8, action: Action) -> bool {
        let allowed = match action.runs() {
            Some(false) => 1,
            Some(true) => 2,
            None => return true,
        };
        from(&self.0, usize::from(signal)).first().is_none_or(|&set| set & !allowed == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_in_every_shape() {
        let s = |t: &str| sigaction(t.as_bytes());
        let named = "{sa_handler=0x55d, sa_mask=[INT CHLD], sa_flags=SA_RESTORER|SA_RESTART, \
             sa_restorer=0x7f}";
        assert_eq!(s(&format!("SIGINT, {named}, NULL, 8")), Some((2, Action::Handler)));
        assert_eq!(s(&format!("SIGINT, {named},  ")), Some((2, Action::Handler)));
        assert_eq!(
            s("SIGUSR1, {sa_sigaction=0x55d, sa_mask=~[], sa_flags=SA_SIGINFO}, NULL, 8"),
            Some((10, Action::Handler))
        );
        assert_eq!(
            s("SIGINT, {sa_handler=SIG_DFL, sa_mask=[], sa_flags=0}, NULL, 8"),
            Some((2, Action::None))
        );
        assert_eq!(
            s("SIGPIPE, {SIG_IGN, [PIPE], SA_RESTORER|SA_RESTART, 0x7f}, {SIG_DFL, [], 0}, 8"),
            Some((13, Action::None))
        );
        assert_eq!(
            s("SIGRT_1, {0x7f0a, [], SA_RESTORER|SA_SIGINFO, 0x7f}, NULL, 8"),
            Some((33, Action::Handler))
        );
        assert_eq!(
            s("SIGINT, {0x7f0a, [], SA_RESTORER|SA_ONESHOT, 0x7f}, NULL, 8"),
            Some((2, Action::HandlerOnce))
        );
        assert_eq!(
            s("SIGINT, {sa_handler=0x7f0a, sa_mask=[], sa_flags=SA_RESETHAND|0x1}, NULL, 8"),
            Some((2, Action::HandlerOnce))
        );
        assert_eq!(
            s("0x2, {sa_handler=0x1, sa_mask=0, sa_flags=0x4000000}, NULL, 8"),
            Some((2, Action::None))
        );
        assert_eq!(
            s("0x2 /* SIGINT */, {sa_handler=0x1 /* SIG_IGN */, sa_mask=0}, NULL, 8"),
            Some((2, Action::None))
        );
        assert_eq!(
            s("2, {sa_handler=0x5555, sa_mask=0, sa_flags=0x84000000}, NULL, 8"),
            Some((2, Action::HandlerOnce))
        );
        assert_eq!(
            s("sig=SIGINT, act={sa_handler=0x55, sa_flags=0}, oact=NULL"),
            Some((2, Action::Handler))
        );
        assert_eq!(s("SIGINT, 0x7ffd0, NULL, 8"), Some((2, Action::Unknown)));
        assert_eq!(
            s("SIGINT, {sa_handler=SIG_ERR, sa_mask=[], sa_flags=0}, NULL, 8"),
            Some((2, Action::Handler))
        );
        for nothing in [
            "SIGINT, NULL, {sa_handler=SIG_DFL}, 8",
            "SIGINT, 0, 0x7f, 8",
            "",
            "SIGINT",
            "65, {0x5}",
            "x, {0x5}",
        ] {
            assert_eq!(s(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn seen_actions_agree_or_not() {
        let mut seen = ActionsSeen::default();
        assert!(seen.agrees(2, Action::None));
        seen.add(2, Action::Handler);
        assert!(seen.agrees(2, Action::Handler) && !seen.agrees(2, Action::None));
        let mut other = ActionsSeen::default();
        other.add(2, Action::None);
        seen.unite(&other);
        assert!(!seen.agrees(2, Action::Handler));
    }
}
