//! Processes that share memory or descriptors: at level kill the violation of one ends them all.

use sysfsm_testing::lab::Lab;

#[test]
fn processes_that_share_with_a_violating_one_die_with_it() {
    let lab = Lab::new();
    let program = lab.fixture("family");
    let policy = lab.learn(&program, &[(&["work"], ""), (&["work"], "")]);
    let secret = lab.path("secret");
    std::fs::write(&secret, "secret").unwrap();
    let file = secret.to_str().unwrap();
    let attacks = ["share", "vfork", "files", "orphan"];
    for attack in attacks {
        let ended = lab.run(&program, &[attack, file], "").well("the attack itself");
        assert_eq!(ended.stdout, "used\n", "{attack}");
    }
    let enforcement = lab.enforce(&[&policy], &[]);
    for _ in 0..20 {
        lab.run(&program, &["work"], "").well("lawful work");
        for attack in attacks {
            let ended = lab.run(&program, &[attack, file], "");
            assert!(ended.killed() && ended.stdout.is_empty(), "{attack}: {}", ended.status);
        }
    }
    let report = enforcement.stop();
    assert_eq!(report.violations.len(), 20 * attacks.len(), "one violation a family");
}
