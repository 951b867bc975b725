//! su and sudo keep the limits that their caller has set (`ulimit`). None of them lets a guess go uncounted, or a session untracked.

use authflow_tests::Machine;

const RULE: &str = r#"
[throttle]
attempts = 3
[[rule]]
name = "su"
service = ["su"]
methods = [["password", "totp"]]
"#;

fn machine(rule: &str) -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(rule).shipped_pam("su").start())
}

/// Alice becomes bob under a limit, for a command. Whether it ran; what was said.
fn su(machine: &Machine, limit: &str, (password, code): (&str, &str), command: &str) -> (bool, String) {
    let su = format!("ulimit {limit}; exec setpriv --reuid=alice --regid=alice --init-groups su bob -c '{command}'");
    let run = machine.feed(["sh", "-c", &su], format!("{password}\n{code}\n").as_bytes());
    (run.stdout == "bob\n", format!("{}{}", run.stdout, run.stderr))
}

/// Where the hard limit cannot be raised, as in a container without CAP_SYS_RESOURCE, nobody is judged. A soft one always can.
#[test]
fn no_guess_goes_uncounted_however_short_the_caller_lets_files_become() {
    for (limit, is_always_judged) in [("-f 0", false), ("-S -f 0", true)] {
        let Some(machine) = machine(RULE) else { return };
        let mut phone = machine.enroll("bob");
        for _ in 0..3 {
            let (is_in, said) = su(&machine, limit, ("wrong", &phone.wrong_code()), "id -un");
            assert!(!is_in, "{limit}: {said}");
        }
        let (is_in, said) = su(&machine, limit, (machine.password(), &phone.code()), "id -un");
        assert!(!is_in, "three failures lock, or none is judged: {limit}: {said}");
        let _ = machine.run(["authflow", "user", "unlock", "bob"]).success();
        let (is_in, said) = su(&machine, limit, (machine.password(), &phone.code()), "id -un");
        let is_judged = !machine.log().contains("cannot make room (ulimit -f)");
        assert!(is_judged || !is_always_judged, "{limit}: {}", machine.log());
        assert_eq!(is_in, is_judged, "{limit}: {said}");
    }
}

#[test]
fn a_caller_who_leaves_no_descriptor_for_the_daemon_gets_no_untracked_session() {
    let Some(machine) = machine(&RULE.replace(", \"totp\"", "")) else { return };
    let _ = machine.enroll("bob");
    let mut opened = 0;
    // From where su hardly reads its stack to where it has room.
    for limit in [5, 6, 7, 8, 9, 10, 12, 16, 64] {
        opened += usize::from(su(&machine, &format!("-n {limit}"), (machine.password(), ""), "id -un").0);
    }
    let history = machine.run(["authflow", "history", "--service", "su", "--json"]).success();
    assert_eq!(history.matches("\"service\": \"su\"").count(), opened, "{history}{}", machine.log());
    assert!(opened > 0, "{}", machine.log());
    machine.logged(&["user=bob", "ulimit -n"]);
}
