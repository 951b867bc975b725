//! Answers and names that no honest person types: refused like any wrong one, nothing crashes, and no file or log line is theirs.

mod door;

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use authflow_tests::wait;

#[test]
fn odd_answers_are_wrong_answers() {
    let Some(plan) = door::plan(&format!("[throttle]\nattempts = 10\n{}", door::RULE)) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    let long = [b'x'; 100 * 1024];
    let password = machine.password().as_bytes();
    // An answer is a C string, so of one with a NUL that is all there is.
    let before_a_nul = &password[..5];
    let answers: [(&str, &[u8], &[u8], &str); 7] = [
        ("nothing", b"", b"", "wrong password"),
        ("no password", b"", code.as_bytes(), "wrong password"),
        ("100 KiB", &long, &long, "wrong password"),
        ("100 KiB of code", password, &long, "wrong code"),
        ("before a NUL", before_a_nul, code.as_bytes(), "wrong password"),
        ("no UTF-8", b"\xff\xfe\x80", code.as_bytes(), "wrong password"),
        ("a code of other bytes", password, b"\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6", "wrong code"),
    ];
    // pamtester cuts an answer at 4095 bytes.
    machine.compile("switch_user");
    let logged = |reason: &str| {
        machine
            .log()
            .matches(&format!("event=refused phase=authenticate service=door user=alice reason=\"{reason}\""))
            .count()
    };
    for (what, first, second, reason) in answers {
        let before = logged(reason);
        let argv = ["switch_user", "door", "alice", "alice", "never"].map(OsStr::new);
        let output = machine.run(argv.into_iter().chain([first, second].map(OsStr::from_bytes)));
        // An exit code, so no signal: it did not crash. What was looked at is in the log and nowhere else.
        assert_eq!(
            (output.status.code(), output.stdout.trim()),
            (Some(1), "authenticate: 7"),
            "{what}: {}",
            machine.log()
        );
        wait::until_true(what, || logged(reason) == before + 1);
    }
    assert!(door::opens(&machine, "alice", machine.password(), &code));
}

#[test]
fn odd_names_open_nothing_and_make_no_files() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    let files = || machine.run(["find", "/var/lib/authflow", "/etc/authflow", "/run/authflow"]).stdout;
    // Strangers leave their failures with one of a fixed number of decoys.
    assert!(!door::opens(&machine, "nobody-here", "x", "000000"));
    let long = "n".repeat(300);
    let names = [
        "../users/alice",
        "alice/../alice",
        "..",
        "/etc/passwd",
        "al\u{1b}[2Jice",
        "al\nevent=granted",
        " ",
        long.as_str(),
    ];
    for name in names {
        assert!(!door::opens(&machine, name, machine.password(), &phone.code_at(0)), "{name:?}");
    }
    let made = files();
    assert!(
        !made.contains("nobody-here") && !made.contains("nnnn") && !made.contains("..") && !made.contains("passwd"),
        "{made}"
    );
    let log = machine.log();
    assert!(!log.contains('\u{1b}') && !log.lines().any(|line| line.starts_with("event=granted")), "{log}");
    assert!(door::opens(&machine, "alice", machine.password(), &phone.code()));
}
