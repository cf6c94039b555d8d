//! Nothing is left of a killed thread's last call for anybody.

use crate::policy::all_but_after_the_marker;
use std::fs;
use sysfsm_testing::lab::Lab;

#[test]
fn siblings_do_not_profit_from_a_killed_threads_last_call() {
    const TIMES: usize = 50;
    let lab = Lab::new();
    let (saboteur, free) = (lab.fixture("saboteur"), lab.fixture_as("saboteur", "free"));
    let policy = lab.path("policy");
    fs::write(&policy, all_but_after_the_marker(&saboteur, "kill").to_string()).unwrap();
    let file = lab.path("precious");
    let enforcement = lab.enforce(&[&policy], &["--require", "contain"]);
    for _ in 0..TIMES {
        fs::write(&file, "precious").unwrap();
        let ended = lab.run(&saboteur, &["sibling", file.to_str().unwrap()], "");
        assert!(ended.killed(), "{}", ended.status);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
    let report = enforcement.stop();
    assert_eq!(report.violations.len(), TIMES);
    assert!(
        report.violations.iter().all(|v| v["symbol"] == "open"),
        "{:?}",
        report.violations.first()
    );

    // Where nobody watches the file is emptied, and written to: the look above can fail.
    let running = lab.start(std::process::Command::new(&free).arg("sibling").arg(&file));
    std::thread::sleep(std::time::Duration::from_secs(2));
    drop(running);
    assert!(fs::read_to_string(&file).unwrap().starts_with('x'));
}
