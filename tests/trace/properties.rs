//! Properties that hold for whatever a program does: a machine accepts what it learned from,
//! `parse` undoes `write`, and merging may go in any order.

use proptest::prelude::*;
use std::sync::Arc;
use sysfsm::event::{Event, EventKind, Place, Tid};
use sysfsm::machine::{
    BoundMachine, Context, Count, Delivery, Depth, Judge, Learned, Learner, Machine, Reaction,
    Reason, Replay, Verdict, MAX_HANDLERS,
};
use sysfsm::policy::{parse, Action, Children, Policy};
use sysfsm::syscall::{nr, Symbol};

/// What a made-up thread does next. The interpreter below makes possible events of these acts.
#[derive(Debug, Clone)]
enum Act {
    Call(u32),
    Signal(u8),
    Return,
    Fork { same_group: bool },
    Exec(u8),
    Restart,
    Exit,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => prop_oneof![0_u32..12, Just(5000), Just(u32::MAX)].prop_map(Act::Call),
        2 => prop_oneof![Just(10_u8), Just(17), Just(34)].prop_map(Act::Signal),
        2 => Just(Act::Return),
        1 => any::<bool>().prop_map(|same_group| Act::Fork { same_group }),
        1 => (0_u8..3).prop_map(Act::Exec),
        1 => Just(Act::Restart),
        1 => Just(Act::Exit),
    ]
}

/// Acts of up to eight threads at a time, as the events of one log.
fn events(acts: &[(u8, Act)]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut push = |tid, kind| events.push(Event { tid, place: Place::default(), kind });
    let exec = |program: u8| EventKind::Exec(Arc::from(format!("/bin/p{program}")));
    push(1, EventKind::Call(nr::EXECVE));
    push(1, exec(0));
    // By live thread: its id, and the number of active handlers.
    let mut live: Vec<(Tid, u32)> = vec![(1, 0)];
    let mut next = 2;
    for (who, act) in acts {
        let Some(at) = (!live.is_empty()).then(|| usize::from(*who) % live.len()) else { break };
        let (tid, handlers) = live[at];
        match act {
            Act::Call(number) => push(tid, EventKind::Call(*number)),
            Act::Signal(signal) => {
                push(tid, EventKind::Signal(*signal));
                live[at].1 += 1;
            }
            Act::Return if handlers > 0 => {
                push(tid, EventKind::Call(nr::RT_SIGRETURN));
                live[at].1 -= 1;
            }
            Act::Fork { same_group } if live.len() < 8 => {
                push(tid, EventKind::Call(nr::CLONE));
                push(tid, EventKind::Spawn { child: next, same_group: *same_group });
                live.push((next, handlers));
                next += 1;
            }
            Act::Exec(program) => {
                push(tid, EventKind::Call(nr::EXECVE));
                push(tid, exec(*program));
                live[at].1 = 0;
            }
            Act::Restart => push(tid, EventKind::Call(nr::RESTART_SYSCALL)),
            Act::Exit => {
                push(tid, EventKind::Call(nr::EXIT));
                push(tid, EventKind::End);
                live.swap_remove(at);
            }
            Act::Return | Act::Fork { .. } => {}
        }
    }
    events
}

fn learn(events: &[Event], depth: Depth) -> Vec<Learned> {
    let mut learner = Learner::new(depth);
    for event in events {
        learner.event(event);
    }
    learner.finish()
}

/// Judges the acts of one thread, and reports each transition that is a violation.
fn watch(
    machine: &Machine,
    acts: &[(u8, Act)],
    reaction: Reaction,
    mut tell: impl FnMut(Context, Symbol),
) {
    let judge = Judge::new(machine);
    let mut frames = judge.exec();
    let mut handlers = 0;
    for (_, act) in acts {
        let number = match act {
            Act::Call(number) => *number,
            Act::Signal(signal) => {
                // Past the limit of frames the past is not known any more.
                if handlers < MAX_HANDLERS {
                    judge.signal(&mut frames, *signal, Delivery::default());
                    handlers += 1;
                }
                continue;
            }
            Act::Return if handlers > 0 => {
                handlers -= 1;
                nr::RT_SIGRETURN
            }
            Act::Return => continue,
            Act::Fork { .. } => nr::CLONE,
            Act::Exec(_) => nr::EXECVE,
            Act::Restart => nr::RESTART_SYSCALL,
            Act::Exit => nr::EXIT,
        };
        if let Verdict::Violation(Reason::Transition, context) =
            judge.call(&mut frames, number, reaction)
        {
            tell(context, Symbol::Call(number));
        }
    }
}

fn policy(learned: &Learned, action: Action, children: Children) -> Policy {
    Policy {
        binary: (&*learned.binary).into(),
        cgroup: None,
        action,
        children,
        runs: learned.runs,
        machine: learned.machine.clone(),
    }
}

fn acts() -> impl Strategy<Value = Vec<(u8, Act)>> {
    prop::collection::vec((any::<u8>(), act()), 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_machine_accepts_what_it_learned_from_at_each_depth(acts in acts()) {
        let events = events(&acts);
        for depth in Depth::all() {
            let learned = learn(&events, depth);
            let bounds = learned
                .iter()
                .map(|l| BoundMachine { judge: Judge::new(&l.machine), inherit: false })
                .collect();
            let bind = |path: &str| learned.iter().position(|l| &*l.binary == path);
            let mut replay = Replay::new(bounds, bind, None);
            for event in &events {
                let finding = replay.event(event);
                prop_assert!(finding.is_none(), "depth {depth}: {finding:?}");
            }
            let runs: u64 = learned.iter().map(|l| l.runs).sum();
            prop_assert_eq!(replay.runs().iter().sum::<u64>(), runs);
        }
    }

    #[test]
    fn a_machine_refuses_what_it_never_saw(acts in acts()) {
        let mut events = events(&acts);
        let learned = learn(&events, Depth::PAIRS);
        // The first program's thread makes a call that no other event makes.
        events.insert(2, Event { tid: 1, place: Place::default(), kind: EventKind::Call(321) });
        let bounds = learned.iter().map(|l| BoundMachine { judge: Judge::new(&l.machine), inherit: false }).collect();
        let mut replay = Replay::new(bounds, |path: &str| learned.iter().position(|l| &*l.binary == path), None);
        let found = events.iter().find_map(|e| replay.event(e));
        prop_assert_eq!(found.map(|f| f.symbol), Some("bpf".to_string()));
    }

    #[test]
    fn one_round_of_watching_shows_all_that_the_wider_machine_needs_at_each_depth(
        known in acts(),
        other in acts(),
    ) {
        for depth in Depth::all() {
            let machine = |learned: Vec<Learned>| learned.into_iter().find(|l| &*l.binary == "/bin/p0").unwrap().machine;
            let narrow = machine(learn(&events(&known), depth));
            let mut wide = narrow.clone();
            watch(&narrow, &other, Reaction::Complain, |context, symbol| {
                wide.insert(context, symbol, Count { calls: 1, runs: 1 });
            });
            let mut found = Vec::new();
            watch(&wide, &other, Reaction::Stay, |context, symbol| found.push((context, symbol)));
            prop_assert!(found.is_empty(), "depth {depth}: {found:?}");
        }
    }

    #[test]
    fn parse_undoes_write(acts in acts(), depth in 1_u64..=8, log in any::<bool>(), inherit in any::<bool>()) {
        for learned in learn(&events(&acts), Depth::try_from(depth).unwrap()) {
            let action = if log { Action::Log } else { Action::Kill };
            let children = if inherit { Children::Inherit } else { Children::Release };
            let policy = policy(&learned, action, children);
            let text = policy.to_json();
            let parsed = parse(text.as_bytes()).expect("what was written is read");
            prop_assert_eq!(&parsed, &policy);
            prop_assert_eq!(parsed.to_json(), text);
        }
    }

    #[test]
    fn merging_is_associative_and_commutative(
        logs in prop::collection::vec(acts(), 3),
        depth in 1_u64..=8,
    ) {
        let depth = Depth::try_from(depth).unwrap();
        let machines: Vec<Machine> = logs.iter().map(|l| learn(&events(l), depth)[0].machine.clone()).collect();
        let merged = |order: [usize; 3]| {
            let mut sum = Machine::new(depth);
            for index in order {
                sum.merge(&machines[index]).expect("one depth");
            }
            sum
        };
        let mut right = machines[1].clone();
        right.merge(&machines[2]).expect("one depth");
        let mut nested = machines[0].clone();
        nested.merge(&right).expect("one depth");
        prop_assert_eq!(&merged([0, 1, 2]), &nested);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            prop_assert_eq!(&merged(order), &nested);
        }
    }

    #[test]
    fn merging_policies_in_any_order_writes_the_same_bytes(
        logs in prop::collection::vec(acts(), 3),
        depth in 1_u64..=8,
    ) {
        let depth = Depth::try_from(depth).unwrap();
        let policies: Vec<Policy> = logs
            .iter()
            .map(|l| policy(&learn(&events(l), depth)[0], Action::Kill, Children::Release))
            .collect();
        let merged = |order: &[usize]| {
            let mut sum = policies[order[0]].clone();
            for &index in &order[1..] {
                sum.merge(&policies[index]).expect("one binary");
            }
            sum
        };
        let mut nested = policies[0].clone();
        nested.merge(&merged(&[1, 2])).expect("one binary");
        let bytes = nested.to_json();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            prop_assert_eq!(merged(&order).to_json(), bytes.as_str());
        }
        prop_assert_eq!(parse(bytes.as_bytes()).expect("canonical").to_json(), bytes);
    }

    #[test]
    fn what_two_logs_teach_is_what_both_teach_merged(a in acts(), b in acts(), depth in 1_u64..=8) {
        let depth = Depth::try_from(depth).unwrap();
        let (a, b) = (events(&a), events(&b));
        // The threads of a log end with the log.
        let ends = (1..1000).map(|tid| Event { tid, place: Place::default(), kind: EventKind::End });
        let both: Vec<Event> = a.iter().cloned().chain(ends).chain(b.iter().cloned()).collect();
        let mut merged = std::collections::BTreeMap::<Arc<str>, Policy>::new();
        for learned in learn(&a, depth).iter().chain(&learn(&b, depth)) {
            let one = policy(learned, Action::Kill, Children::Release);
            match merged.get_mut(&learned.binary) {
                Some(sum) => sum.merge(&one).expect("one binary"),
                None => drop(merged.insert(learned.binary.clone(), one)),
            }
        }
        let together = learn(&both, depth);
        prop_assert_eq!(together.len(), merged.len());
        for learned in &together {
            let want = policy(learned, Action::Kill, Children::Release).to_json();
            prop_assert_eq!(merged[&learned.binary].to_json(), want);
        }
    }
}
