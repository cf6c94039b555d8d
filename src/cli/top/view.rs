//! How a sample looks in a terminal.

use super::sample::{Enforced, Process, Sample};
use crate::cli::format::count::counted;
use crate::cli::format::time::rough;
use crate::explain::Violation;
use crate::kernel::Totals;
use crate::machine::Reason;
use crate::text::shown;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table};
use ratatui::Frame;

/// No more lines than this for policies: the processes are what there are many of.
const POLICIES: usize = 8;
const VIOLATIONS: u16 = 10;
/// How many contexts of a process are named.
const CONTEXTS: usize = 4;

/// What of it is in sight.
#[derive(Debug, Default)]
pub(super) struct View {
    /// How many processes are above.
    above: usize,
}

impl View {
    pub(super) fn scroll(&mut self, by: isize) {
        self.above = self.above.saturating_add_signed(by);
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, sample: &Sample) {
        let Some(enforced) = &sample.enforced else {
            let [text, keys] =
                Layout::vertical([Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
            frame.render_widget(
                Paragraph::new("nothing is enforced beyond the end of its process"),
                text,
            );
            frame.render_widget(Line::from("q: end").dim(), keys);
            return;
        };
        // Two lines of a frame, and one that names the columns.
        let policies = u16::try_from(enforced.policies.len().min(POLICIES)).unwrap_or(0) + 3;
        let violations = if sample.violations.is_some() { VIOLATIONS } else { 0 };
        let [head, above, middle, below, keys] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(policies),
            Constraint::Min(4),
            Constraint::Length(violations),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Paragraph::new(header(enforced, sample)), head);
        frame.render_widget(policies_table(enforced), above);
        self.processes(frame, middle, enforced);
        if let Some((_, recent)) = &sample.violations {
            frame.render_widget(violations_list(recent, below.height), below);
        }
        let keys_text = match sample.violations {
            Some(_) => "q: end  ↑↓: scroll",
            None => "q: end  ↑↓: scroll  (violations are listed with --events FILE)",
        };
        frame.render_widget(Line::from(keys_text).dim(), keys);
    }

    fn processes(&mut self, frame: &mut Frame<'_>, area: Rect, enforced: &Enforced) {
        let room = usize::from(area.height.saturating_sub(3));
        self.above = self.above.min(enforced.processes.len().saturating_sub(room));
        let rows = enforced.processes.iter().skip(self.above).take(room).map(|process| {
            Row::new([
                Cell::from(process.pid.to_string()),
                Cell::from(process.comm.to_string()),
                Cell::from(process.policy.to_string()),
                Cell::from(process.threads.to_string()),
                Cell::from(contexts(process)),
            ])
        });
        let widths = [
            Constraint::Length(8),
            Constraint::Length(16),
            Constraint::Fill(2),
            Constraint::Length(8),
            Constraint::Fill(3),
        ];
        let title = match self.above {
            0 => counted(enforced.processes.len() as u64, "watched process"),
            above => {
                format!(
                    "{}, {above} above",
                    counted(enforced.processes.len() as u64, "watched process")
                )
            }
        };
        frame.render_widget(
            table(rows, &widths, ["PID", "COMM", "POLICY", "THREADS", "CONTEXT"], title),
            area,
        );
    }
}

fn header<'a>(enforced: &Enforced, sample: &Sample) -> Vec<Line<'a>> {
    let doing = if enforced.log_only {
        Span::from("watching (log only)").yellow()
    } else {
        Span::from(format!("enforcing at level {}", enforced.level)).green()
    };
    let ago = rough(sample.time.duration_since(enforced.since).unwrap_or_default());
    let by = if enforced.has_agent {
        Span::from("an agent reads its events")
    } else {
        Span::from("no agent reads its events").yellow()
    };
    let first = Line::from(vec![
        Span::from(format!("sysfsm {}: ", shown(&enforced.version))),
        doing.bold(),
        Span::from(format!(" for {ago}; ")),
        by,
    ]);
    let Some(totals) = &enforced.totals else {
        return vec![
            first,
            Line::from("its totals and its threads are another version's").yellow(),
        ];
    };
    vec![first, totals_line(enforced, totals)]
}

fn totals_line<'a>(enforced: &Enforced, totals: &Totals) -> Line<'a> {
    let rate = |rate: Option<f64>| rate.map_or_else(String::new, |rate| format!(" ({rate:.1}/s)"));
    let rates = enforced.rates;
    let mut spans = vec![Span::from(format!(
        "judged {}{}",
        counted(totals.judged, "call"),
        rate(rates.map(|rates| rates.calls))
    ))];
    for (count, noun, rate) in [
        (totals.violations, "violation", rate(rates.map(|rates| rates.violations))),
        (totals.kills, "kill", String::new()),
        (totals.denials, "denial", String::new()),
    ] {
        spans.push(Span::from(format!("  {}{rate}", counted(count, noun))).style(alarm(count)));
    }
    spans.push(
        Span::from(format!("  {} lost", counted(totals.events_lost, "event")))
            .style(alarm(totals.events_lost)),
    );
    Line::from(spans)
}

/// What should not be.
fn alarm(count: u64) -> Style {
    if count > 0 {
        Style::default().fg(Color::Red)
    } else {
        Style::default()
    }
}

fn policies_table<'a>(enforced: &Enforced) -> Table<'a> {
    let mut policies: Vec<_> = enforced.policies.iter().collect();
    policies.sort_by_key(|policy| std::cmp::Reverse((policy.violations, policy.threads)));
    let rows = policies.into_iter().take(POLICIES).map(|policy| {
        Row::new([
            Cell::from(policy.selector.to_string()),
            Cell::from(policy.processes.to_string()),
            Cell::from(policy.threads.to_string()),
            Cell::from(policy.violations.to_string()).style(alarm(policy.violations)),
            Cell::from(policy.rate.map_or_else(|| "-".into(), |rate| format!("{rate:.1}"))),
        ])
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(10),
        Constraint::Length(8),
        Constraint::Length(11),
        Constraint::Length(8),
    ];
    let title = counted(enforced.policies.len() as u64, "policy");
    table(rows, &widths, ["POLICY", "PROCESSES", "THREADS", "VIOLATIONS", "A SECOND"], title)
}

fn table<'a, const N: usize>(
    rows: impl IntoIterator<Item = Row<'a>>,
    widths: &[Constraint; N],
    header: [&'a str; N],
    title: String,
) -> Table<'a> {
    Table::new(rows, *widths).header(Row::new(header).bold()).block(Block::bordered().title(title))
}

fn violations_list<'a>(recent: &[Violation], height: u16) -> Paragraph<'a> {
    let room = usize::from(height.saturating_sub(2));
    let lines: Vec<Line<'_>> =
        recent.iter().rev().take(room).map(|v| Line::from(violation(v))).collect();
    Paragraph::new(lines).block(Block::bordered().title("violations, the last one first"))
}

/// A violation, in a line.
fn violation(found: &Violation) -> String {
    // To the second: the file has it all.
    let time = found.time.as_ref().map(ToString::to_string).unwrap_or_default();
    let time = time.get(11..19).unwrap_or_default();
    let what = match found.context.as_slice() {
        [] => found.symbol.to_string(),
        _ => format!("{} → {}", found.done(), found.symbol),
    };
    let reason = match found.reason {
        Reason::Transition => String::new(),
        other => format!(" ({})", other.as_str()),
    };
    let who = match found.count {
        Some(count) => format!("{count} more"),
        None => format!(
            "pid {} ({})",
            found.pid.unwrap_or_default(),
            found.comm.clone().unwrap_or_default()
        ),
    };
    format!("{time} {} {who}: {what}{reason}: {}", found.policy, found.outcome())
}

/// Where the threads of a process are.
fn contexts(process: &Process) -> String {
    let several = process.threads > 1;
    let named = process.contexts.iter().take(CONTEXTS).map(|(context, threads)| {
        let text = match context {
            None => "?".into(),
            Some(context) if context.symbols().is_empty() => "(any)".into(),
            Some(context) => context.to_string(),
        };
        if several {
            format!("{text} ×{threads}")
        } else {
            text
        }
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if process.contexts.len() > CONTEXTS {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::cli::top::sample::{Policy, Rates};
    use crate::kernel::Level;
    use crate::machine::{Context, Depth};
    use crate::policy::PolicySelector;
    use crate::syscall::{nr, Symbol};
    use ratatui::backend::TestBackend;
    use ratatui::Terminal;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    fn sample() -> Sample {
        let policy = PolicySelector { binary: "/usr/sbin/served".into(), cgroup: None };
        let context = Context::start(Symbol::Call(nr::EXECVE), Depth::default());
        let process = |pid, comm: &str, contexts: Vec<(Option<Context>, usize)>| Process {
            pid,
            comm: comm.into(),
            policy: policy.clone(),
            threads: contexts.iter().map(|(_, threads)| threads).sum(),
            contexts,
        };
        let enforced = Enforced {
            level: Level::Contain,
            log_only: false,
            version: "1.2.3".into(),
            since: UNIX_EPOCH,
            has_agent: true,
            totals: Some(Totals { judged: 1000, violations: 2, kills: 2, ..Totals::default() }),
            rates: Some(Rates { calls: 12.34, violations: 0.5 }),
            policies: vec![Policy {
                selector: policy.clone(),
                processes: 2,
                threads: 4,
                violations: 2,
                rate: Some(0.5),
            }],
            processes: vec![
                process(11, "served", vec![(Some(context), 1)]),
                process(
                    22,
                    "a\u{1b}[31mb\n",
                    vec![(Some(context), 2), (None, 1), (Some(Context::EMPTY), 1)],
                ),
            ],
        };
        let line = json!({
            "event": "violation", "time": "2026-11-23T13:19:58.673899891Z", "reason": "transition",
            "action": "kill", "policy": "/usr/sbin/served", "pid": 33, "comm": "served",
            "context": ["read"], "symbol": "execve",
        });
        let violation = Violation::parse(&line.to_string()).unwrap();
        Sample {
            time: UNIX_EPOCH + Duration::from_secs(300),
            enforced: Some(enforced),
            violations: Some((Vec::new(), vec![violation])),
        }
    }

    fn drawn(view: &mut View, sample: &Sample, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame, sample)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let cells: Vec<&str> = buffer.content().iter().map(ratatui::buffer::Cell::symbol).collect();
        cells.chunks(usize::from(width)).map(|line| line.concat().trim_end().to_string()).collect()
    }

    #[test]
    fn everything_is_in_sight() {
        let lines = drawn(&mut View::default(), &sample(), 100, 30);
        for part in [
            "sysfsm 1.2.3: enforcing at level contain for 5 min; an agent reads its events",
            "judged 1000 calls (12.3/s)  2 violations (0.5/s)  2 kills  0 denials  0 events lost",
            "1 policy",
            "2 watched processes",
            "execve ×2, ? ×1, (any) ×1",
            "13:19:58 /usr/sbin/served pid 33 (served): read → execve: killed",
            "q: end",
        ] {
            assert!(lines.iter().any(|line| line.contains(part)), "{part} in {lines:#?}");
        }
        let row = lines.iter().find(|line| line.contains("11 ")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words, ["│11", "served", "/usr/sbin/served", "1", "execve", "│"]);
    }

    #[test]
    fn a_name_does_not_speak_to_the_terminal() {
        let lines = drawn(&mut View::default(), &sample(), 100, 30);
        assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("a\\x1b[31mb")), "{lines:#?}");
    }

    #[test]
    fn any_size_is_drawn_and_scrolling_ends_with_the_list() {
        let mut sample = sample();
        let one = sample.enforced.as_ref().unwrap().processes[0].clone();
        let many = (100..200).map(|pid| Process { pid, ..one.clone() });
        sample.enforced.as_mut().unwrap().processes = many.collect();
        let mut view = View::default();
        for (width, height) in [(1, 1), (3, 2), (20, 10), (200, 60)] {
            drawn(&mut view, &sample, width, height);
        }
        view.scroll(-1);
        assert!(drawn(&mut view, &sample, 100, 30).iter().any(|line| line.contains("│100 ")));
        view.scroll(1000);
        let lines = drawn(&mut view, &sample, 100, 30);
        assert!(lines.iter().any(|line| line.contains("│199 ")), "{lines:#?}");
        view.scroll(-1);
        assert!(drawn(&mut view, &sample, 100, 30).iter().any(|line| line.contains("│198 ")));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let mut sample = sample();
        sample.violations = None;
        let enforced = sample.enforced.as_mut().unwrap();
        (enforced.totals, enforced.has_agent, enforced.log_only) = (None, false, true);
        let text = drawn(&mut View::default(), &sample, 100, 30).join("\n");
        for part in [
            "watching (log only)",
            "no agent reads its events",
            "another version's",
            "--events FILE",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        sample.enforced = None;
        let text = drawn(&mut View::default(), &sample, 100, 30).join("\n");
        assert!(text.contains("nothing is enforced"), "{text}");
    }
}
