//! Where a thread's state lives when the kernel has no storage for it at its birth: in a spare
//! place, as if nothing had happened.

use std::path::Path;
use std::time::Duration;
use sysfsm::kernel::{Enforcer, Level, Options, Totals};
use sysfsm::policy;
use sysfsm_testing::lab::Lab;

/// Enforces a policy from within this process while `work` runs; the totals, and how many
/// violations were reported.
fn enforce(policy: &Path, options: Options, work: impl FnOnce()) -> (Totals, usize) {
    let loaded = policy::load(&[policy.to_path_buf()]).unwrap();
    let policies: Vec<_> = loaded.into_iter().map(|l| l.policy).collect();
    let mut enforcer = Enforcer::start(&policies, options).unwrap();
    work();
    enforcer.detach();
    let mut violations = 0;
    while enforcer.poll(Duration::ZERO, |_| violations += 1).unwrap() > 0 {}
    (enforcer.totals().unwrap(), violations)
}

#[test]
fn spare_places_are_as_good_as_storage() {
    let lab = Lab::new();
    let forks = lab.fixture("forks");
    let policy = lab
        .learn(&forks, &[(&["burst", "60"], ""), (&["violating", "0"], ""), (&[], ""), (&[], "")]);
    let fallbacks = Options { fallbacks_only: true, at_most: Level::Kill, ..Options::default() };
    for (options, all_fallbacks) in
        [(Options { at_most: Level::Kill, ..Options::default() }, false), (fallbacks, true)]
    {
        let (totals, violations) = enforce(&policy, options, || {
            // More than there are places, but never at once: each is given back.
            lab.run(&forks, &["burst", "2000"], "").well("lawful children");
            lab.run(&forks, &[], "").well("children of every kind");
        });
        assert_eq!((violations, totals.threads_refused), (0, 0), "{totals:?}");
        assert!(totals.judged > 8000, "{totals:?}");
        // Without the option some may be needed too: all of them where the kernel has no storage to
        // give.
        assert!(totals.fallback_threads > 2000 || !all_fallbacks, "{totals:?}");

        let options = Options { log_only: true, ..options };
        let (totals, violations) = enforce(&policy, options, || {
            lab.run(&forks, &["violating", "1000"], "").well("violating children");
        });
        assert_eq!(
            (violations, totals.violations, totals.threads_refused),
            (1000, 1000, 0),
            "{totals:?}"
        );
    }
}

#[test]
fn without_any_place_no_process_is_unwatched() {
    // As many as there are places, the creator's among them.
    const PLACES: &str = "1023";
    let lab = Lab::new();
    let hoard = lab.fixture("hoard");
    let file = lab.path("file");
    let file = file.to_str().unwrap();
    let policy = lab.learn_at("1", &hoard, &[(&[file, "20"], ""), (&[file, "20"], "")]);
    let ended = lab.run(&hoard, &[file, PLACES, "loud"], "").well("the attack itself");
    assert_eq!(ended.stdout, "1043 made\n");
    for made in ["file.made", "file.lives"] {
        std::fs::remove_dir(lab.path(made)).unwrap();
    }
    let options = Options { fallbacks_only: true, at_most: Level::Kill, ..Options::default() };
    let (totals, violations) = enforce(&policy, options, || {
        let ended = lab.run(&hoard, &[file, PLACES, "loud"], "");
        // Where a newborn can be killed its creator lives.
        assert!(ended.stdout == "1043 made\n" || ended.killed(), "{}", ended.stdout);
        std::thread::sleep(Duration::from_millis(200));
    });
    assert!(!lab.path("file.lives").exists(), "a process was unwatched");
    assert_eq!((violations, totals.violations), (0, 0), "{totals:?}");
    assert!(totals.threads_refused > 0, "{totals:?}");
}

#[test]
fn without_any_place_the_creator_is_killed() {
    let lab = Lab::new();
    let crowd = lab.fixture("crowd");
    // The order of threads is chance, which calls they make is not.
    let policy = lab.learn_at("1", &crowd, &[(&["1", "20"], "")]);
    let options = Options { fallbacks_only: true, at_most: Level::Kill, ..Options::default() };
    // Fewer threads at once than there are places, and more.
    for (threads, dies) in [("900", false), ("1200", true)] {
        let (totals, violations) = enforce(&policy, options, || {
            let ended = lab.run(&crowd, &["1", threads], "");
            // The crowd's process dies, and the first one says so.
            assert_eq!(ended.status.code(), Some(i32::from(dies)), "{}", ended.stderr);
        });
        assert_eq!((violations, totals.threads_refused > 0), (0, dies), "{totals:?}");
    }
}
