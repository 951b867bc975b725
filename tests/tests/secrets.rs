//! What becomes of a password and a code: nothing is left of them in the application's memory, and no line of the log holds one.

mod door;

use authflow_tests::Machine;

/// No code that an app shows, and digits that stand nowhere by chance.
const WRONG: &str = "4711089471";
const DEBUG: &str = "auth required pam_authflow.so debug\naccount required pam_authflow.so debug\nsession required pam_authflow.so debug\n";

#[test]
fn nothing_of_the_answers_stays_in_memory() {
    let Some((machine, code)) = machine() else { return };
    machine.compile("left_secrets");
    let (password, code, wrong) = (masked(machine.password()), masked(&code), masked(WRONG));
    let left = |by: &[&str], code: &str| {
        machine.run([by, &["left_secrets", "door", "alice", &password, code]].concat()).success()
    };
    let opened = "authenticate 0: 0 0\nacct_mgmt 0: 0 0\nopen_session 0: 0 0\nclose_session 0: 0 0\nend 0: 0 0\n";
    assert_eq!(left(&[], &code), opened);
    let denied = "authenticate 7: 0 0\nend 0: 0 0\n";
    assert_eq!(left(&[], &wrong), denied);
    // In a locker, which hands the answers to the daemon.
    assert_eq!(left(&["runuser", "-u", "alice", "--"], &wrong), denied);
    machine.logged(&["event=flow-denied", "user=alice", "wrong code"]);
}

#[test]
fn the_log_is_told_no_answer_and_is_for_administrators() {
    let Some((machine, code)) = machine() else { return };
    let login = ["authenticate", "acct_mgmt", "open_session", "close_session"];
    assert!(!door::knock(&machine, "alice", machine.password(), WRONG, &login));
    assert!(door::knock(&machine, "alice", machine.password(), &code, &login), "{}", machine.log());
    let _ = machine.run(["authflow", "user", "disable", "alice"]).success();
    machine.logged(&["authflow[", "event=disabled"]);
    machine.logged(&["event=answered", "pam_authflow(door:auth)"]);
    machine.logged(&["authflow-sessiond[", "event=closed"]);
    let log = machine.log();
    for secret in [machine.password(), &code, WRONG] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
    for line in log.lines().filter(|line| line.contains(" event=")) {
        assert_eq!(facility(line), AUTHPRIV, "{line}");
    }
}

/// syslog's number of what only administrators read.
const AUTHPRIV: u32 = 10;

/// The facility in the `<PRIORITY>` that a message begins with.
fn facility(line: &str) -> u32 {
    let number = line.strip_prefix('<').and_then(|line| line.split('>').next());
    number.and_then(|number| number.parse::<u32>().ok()).expect("a priority") / 8
}

/// A machine, and alice's code.
fn machine() -> Option<(Machine, String)> {
    let machine = door::plan(door::RULE)?.pam("door", DEBUG).start();
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    Some((machine, code))
}

/// As `left_secrets` takes it.
fn masked(secret: &str) -> String {
    secret.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect()
}
