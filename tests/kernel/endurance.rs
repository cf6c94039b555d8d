//! A hundred thousand threads and ten thousand forks a second, for long: nothing leaks, nobody is
//! misjudged. `make test-endurance` takes ten minutes for it.

use serde_json::Value;
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use sysfsm_testing::lab::{Lab, Running};
use sysfsm_testing::more_ids::MoreIds;
use sysfsm_testing::pin_directory::PinDirectory;

/// The crowd: processes, and threads of each.
const CROWD: [&str; 2] = ["10", "10000"];
/// Children in one go.
const BURST: u64 = 5000;

/// Kilobytes that the kernel has for itself, and the agent's.
fn memory(agent: &Running) -> [u64; 2] {
    let sum = |file: &str, keys: &[&str]| -> u64 {
        let text = fs::read_to_string(file).unwrap();
        let value = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let wanted = |line: &&str| keys.iter().any(|key| line.starts_with(key));
        text.lines().filter(wanted).filter_map(value).sum()
    };
    let kernel = sum(
        "/proc/meminfo",
        &["SUnreclaim:", "VmallocUsed:", "Percpu:", "KernelStack:", "PageTables:"],
    );
    [kernel, sum(&format!("/proc/{}/status", agent.pid()), &["VmRSS:"])]
}

/// What may be there afterwards. A thread's state has 1,368 bytes: twenty thousand of them left
/// behind would show, of the millions of ten minutes.
fn room(before: u64) -> u64 {
    before + before / 10 + 8192
}

/// How many threads are watched.
fn watched(status: &Value) -> u64 {
    let policies = status["policies"].as_array().unwrap();
    policies.iter().map(|policy| policy["threads"].as_u64().unwrap()).sum()
}

#[test]
fn crowds_and_forks_leave_nothing_behind() {
    let seconds = std::env::var("ENDURANCE").map_or(15, |seconds| seconds.parse::<u64>().unwrap());
    let lab = Lab::new();
    let pins = PinDirectory::new(&lab);
    let _more = MoreIds::at_least(200_000);
    let (crowd, forks) = (lab.fixture("crowd"), lab.fixture("forks"));
    let policies = lab.path("policies");
    fs::create_dir(&policies).unwrap();
    // Whether a thread or its creator comes first is chance; which calls they make is not.
    fs::copy(lab.learn_at("1", &crowd, &[(&["3", "20"], "")]), policies.join("crowd.json"))
        .unwrap();
    let of_forks = lab.learn(&forks, &[(&["burst", "60"], ""), (&["violating", "0"], "")]);
    fs::copy(of_forks, policies.join("forks.json")).unwrap();
    let agent = pins.agent(&lab, &policies, &["--at-most", "kill"], "pinned");

    // Once around, so that what is allocated once is.
    let patience = Duration::from_secs(300);
    let run_crowd = || {
        let run =
            lab.start(Command::new(&crowd).args(CROWD)).end_within(patience).well("the crowd");
        assert_eq!(run.stdout, "100000 threads\n");
    };
    run_crowd();
    lab.run(&forks, &["burst", "5000"], "").well("forks");
    sleep(Duration::from_secs(2));
    let before = memory(&agent);

    let (crowds, bursts, attacks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let over = AtomicBool::new(false);
    let until_over = |count: &AtomicU64, work: &dyn Fn()| {
        while !over.load(Ordering::Relaxed) {
            work();
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let begun = Instant::now();
    let violations_before = pins.status(&lab).1["totals"]["violations"].as_u64().unwrap();
    scope(|scope| {
        let all = [
            scope.spawn(|| until_over(&crowds, &run_crowd)),
            scope.spawn(|| {
                let burst = BURST.to_string();
                until_over(&bursts, &|| {
                    drop(lab.run(&forks, &["burst", &burst], "").well("forks"));
                });
            }),
            scope.spawn(|| {
                until_over(&attacks, &|| {
                    // Its child is killed at its only call.
                    assert_eq!(lab.run(&forks, &["violating", "1"], "").status.code(), Some(1));
                    sleep(Duration::from_millis(50));
                });
            }),
        ];
        while begun.elapsed().as_secs() < seconds
            && !all.iter().any(std::thread::ScopedJoinHandle::is_finished)
        {
            sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
    });
    let took = begun.elapsed().as_secs_f64();
    // What ends is freed later, and the later the more of it there was: a leak would stay.
    let settles = Instant::now() + Duration::from_secs(90);
    sleep(Duration::from_secs(2));
    let mut after = memory(&agent);
    while Instant::now() < settles
        && after.iter().zip(before).any(|(after, before)| *after >= room(before))
    {
        sleep(Duration::from_secs(2));
        after = memory(&agent);
    }
    let (_, status) = pins.status(&lab);
    let totals = &status["totals"];
    let (crowds, bursts, attacks) =
        (crowds.into_inner(), bursts.into_inner(), attacks.into_inner());
    #[allow(clippy::cast_precision_loss)]
    let rate = (bursts * BURST + crowds * 100_010) as f64 / took;
    eprintln!(
        "{took:.0} s: {crowds} crowds of 100,000 threads, {bursts} bursts of {BURST} forks ({rate:.0} births/s), {attacks} \
         attacks; kernel {} → {} KiB, agent {} → {} KiB; {totals}",
        before[0], after[0], before[1], after[1]
    );
    assert!(crowds > 0 && bursts > 0 && attacks > 0);
    // Nobody was misjudged, nobody overlooked.
    assert_eq!(totals["violations"].as_u64().unwrap() - violations_before, attacks, "{totals}");
    assert_eq!(
        (&totals["threads_refused"], &totals["events_lost"]),
        (&0.into(), &0.into()),
        "{totals}"
    );
    assert_eq!((watched(&status), &status["threads_in_fallback"]), (0, &0.into()), "{status}");
    for (before, after, whose) in
        [(before[0], after[0], "the kernel"), (before[1], after[1], "the agent")]
    {
        assert!(after < room(before), "{whose} had {before} KiB, and has {after} KiB");
    }
}
