//! Answers and names that no honest person types: refused like any wrong one, nothing crashes, and no file or log line is theirs.

mod door;

#[test]
fn odd_answers_are_wrong_answers() {
    let Some(plan) = door::plan(&format!("[throttle]\nattempts = 10\n{}", door::RULE)) else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    let long = vec![b'x'; 100 * 1024];
    let password = machine.password().as_bytes();
    let answers: [(&str, &[u8], &[u8]); 6] = [
        ("nothing", b"", b""),
        ("no password", b"", code.as_bytes()),
        ("100 KiB", &long, &long),
        ("a NUL", &[&password[..5], b"\0", &password[5..]].concat(), code.as_bytes()),
        ("no UTF-8", b"\xff\xfe\x80", code.as_bytes()),
        ("a code of other bytes", password, b"\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6"),
    ];
    for (what, first, second) in answers {
        let output =
            machine.feed(["pamtester", "door", "alice", "authenticate"], &[first, b"\n", second, b"\n"].concat());
        // An exit code, so no signal: it did not crash.
        assert_eq!(output.status.code(), Some(1), "{what}: {output:#?}");
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
