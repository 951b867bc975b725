//! su and sudo keep the limits that their caller has set (`ulimit`). None of them lets a guess go uncounted, or a session untracked.

use authflow_tests::{Machine, Plan};

const RULE: &str = r#"
[throttle]
attempts = 3
[[rule]]
name = "su"
service = ["su"]
methods = [["password", "totp"]]
"#;

fn machine(rule: &str) -> Option<Machine> {
    Some(plan(rule)?.shipped_pam("su").start())
}

fn plan(rule: &str) -> Option<Plan> {
    Some(Machine::overlay()?.user("alice").user("bob").config(rule))
}

/// A su that lets in whoever calls it, and has the session tracked.
const UNASKED: &str =
    "auth sufficient pam_permit.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";
const LEFT_TO_OTHERS: &str = "[[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n";

/// How many sessions are written down for a daemon that is away, over or not.
fn written_down(machine: &Machine) -> usize {
    machine.run(["find", "/run/authflow/pending", "-type", "f"]).stdout.lines().count()
}

/// Alice becomes bob under a limit, for a command. Whether it ran; what was said.
fn su(machine: &Machine, limit: &str, answers: (&str, &str), command: &str) -> (bool, String) {
    su_as(machine, (limit, "--init-groups"), answers, command)
}

/// The same, with more options for how alice runs it.
fn su_as(
    machine: &Machine,
    (limit, options): (&str, &str),
    (password, code): (&str, &str),
    command: &str,
) -> (bool, String) {
    let su = format!("ulimit {limit}; exec setpriv --reuid=alice --regid=alice {options} su bob -c '{command}'");
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

/// Without the signal that would end su, only the file would stay away, and nobody ever hear of the session.
#[test]
fn a_session_is_written_down_however_short_the_caller_lets_files_become() {
    let Some(plan) = plan(LEFT_TO_OTHERS) else { return };
    let machine = plan.pam("su", UNASKED).without_daemon().start();
    let mut opened = 0;
    for (limit, always_opens) in [("-f unlimited", true), ("-S -f 0", true), ("-f 0", false)] {
        let (is_in, said) = su(&machine, &format!("{limit}; trap '' XFSZ"), ("", ""), "id -un");
        assert!(is_in || !always_opens, "{limit}: {said}{}", machine.log());
        opened += usize::from(is_in);
        assert_eq!(written_down(&machine), opened, "{limit}: {}", machine.log());
    }
    machine.start_daemon();
    machine.logged(&["event=missed", "user=bob"]);
}

/// As in a container: where the limit stays, su could not be kept out of its caller's reach either.
#[test]
fn a_caller_whose_limit_of_files_cannot_be_raised_gets_no_session() {
    let Some(plan) = plan(LEFT_TO_OTHERS) else { return };
    let machine = plan.pam("su", UNASKED).start();
    let su = |limit| su_as(&machine, (limit, "--init-groups --bounding-set=-sys_resource"), ("", ""), "id -un");
    let (is_in, said) = su("-f unlimited");
    assert!(is_in, "{said}{}", machine.log());
    let (is_in, said) = su("-f 0");
    assert!(!is_in && said.contains("no session could be opened"), "{said}");
    machine.logged(&["event=refused", "phase=open-session", "ulimit -f"]);
    assert_eq!(machine.run(["authflow", "sessions", "--json"]).json(), serde_json::json!([]));
}

/// The file is in the way as on a disk that is full. Root has nothing to gain by it, and must not be kept out.
#[test]
fn a_session_that_cannot_be_written_down_is_roots_alone() {
    let Some(plan) = plan(LEFT_TO_OTHERS) else { return };
    let machine = plan.pam("su", UNASKED).without_daemon().start();
    machine.write("/run/authflow/pending", "");
    let (is_in, said) = su(&machine, "-f unlimited", ("", ""), "id -un");
    assert!(!is_in && said.contains("no session could be opened"), "{said}");
    machine.logged(&["event=refused", "phase=open-session", "cannot be written down"]);
    assert_eq!(machine.run(["su", "bob", "-c", "id -un"]).success(), "bob\n");
    machine.logged(&["event=session-untracked", "user=bob"]);
}
