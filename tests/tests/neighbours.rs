//! Who ends with a session and who does not: everything that it started, however it hid, and nobody else, with two hundred others around, some
//! of them the user's own, and whatever the kernel's audit session ids are.

use authflow_tests::{Machine, Person, wait};

const RULE: &str = "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\", \"totp\"]]\n";

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

/// Processes of both users that are in no session, with the audit session id of whoever starts them.
const NEIGHBOURS: &str = "for user in alice bob; do for i in $(seq 100); do \
    setpriv --reuid=$user --regid=$user --clear-groups sleep 5811 & done; done";

/// On the terminal, off it, adopted by init, and what looks as if it were over.
const STARTED: &str =
    "sleep 4711 & setsid sleep 4712 & (setsid sh -c 'setsid sleep 4713 & exit' &); (setsid headless &)";

#[test]
fn nothing_that_a_session_started_escapes_and_nobody_else_is_touched() {
    let Some(machine) = machine(include_str!("../../conf/pam.d/sshd.example")) else { return };
    let _neighbours = machine.start(["sh", "-c", &format!("{NEIGHBOURS}; wait")]);
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let mut bob = machine.log_in("bob", &mut machine.enroll("bob"));
    machine.compile("headless");
    let headless =
        || machine.shell("grep -l '^Name:.headless$' /proc/[0-9]*/status | xargs -r grep -l '^Threads:.2'").stdout;
    alice.type_line(STARTED);
    wait::until_true("a program without its first thread", || !headless().is_empty());
    wait::until_true("everybody", || machine.count("sleep 471") == 3 && machine.count("sleep 5811") == 200);
    revoke(&machine, &mut alice);
    wait::until_true("the end of all that alice started", || machine.count("sleep 471") == 0);
    wait::until_true("the end of what went on without its first thread", || headless().is_empty());
    all_others_are_there(&machine, &mut bob);
}

#[test]
fn an_audit_session_id_that_nobody_set_or_everybody_has_ends_nobody_else() {
    let stack = include_str!("../../conf/pam.d/sshd.example");
    let without: Vec<_> = stack.lines().filter(|line| !line.contains("pam_loginuid")).collect();
    let Some(machine) = machine(&(without.join("\n") + "\n")) else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    // As an administrator starts it from his shell: the listener, the neighbours and every login have the administrator's id.
    let shared = format!("echo 0 > /proc/self/loginuid; {NEIGHBOURS}; exec /usr/sbin/sshd -D -p 2222");
    for (listener, port) in [(NEIGHBOURS.to_owned() + "; wait", "22"), (shared, "2222")] {
        let around = machine.start(["sh", "-c", &listener]);
        let answers = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 4 <&3");
        wait::until_true("sshd", || machine.run(["timeout", "2", "bash", "-c", &answers]).stdout == "SSH-");
        let come_in = |user: &str, code: &str| {
            let mut person = machine.ssh(user, &["-p", port]);
            machine.give_answers(&mut person, code);
            person.expect("$ ");
            person
        };
        let mut alice = come_in("alice", &alices.code());
        let mut bob = come_in("bob", &bobs.code());
        // Without an id of its own descent is all that tells, so nothing here leaves the family.
        alice.type_line("sleep 4711 & nohup sleep 4712 >/dev/null 2>&1 &");
        wait::until_true("everybody", || machine.count("sleep 471") == 2 && machine.count("sleep 5811") == 200);
        revoke(&machine, &mut alice);
        wait::until_true("the end of what alice started", || machine.count("sleep 471") == 0);
        all_others_are_there(&machine, &mut bob);
        assert_eq!(machine.run(["timeout", "60", "bash", "-c", &answers]).stdout, "SSH-", "the listener lives");
        drop(around);
        let _ = machine.shell("pkill -f '^sleep 5811'");
        wait::until_true("the neighbours to go", || machine.count("sleep 5811") == 0);
    }
}

#[test]
fn what_cannot_be_killed_is_waited_for_once_and_ends_with_what_holds_it() {
    let Some(machine) = machine(include_str!("../../conf/pam.d/sshd.example")) else { return };
    machine.write("/etc/authflow/authflow.toml", &format!("{RULE}session = {{ grace = \"100ms\" }}\n"));
    machine.compile("stuck");
    let _ = machine.shell("mknod /dev/fuse c 10 229 && mkdir /run/stuck").success();
    let holds = machine.start(["stuck", "/run/stuck"]);
    wait::until_true("the file system", || machine.run(["ls", "-d", "/run/stuck/file"]).status.success());
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.type_line("(exec -a held bash -c 'exec 3</run/stuck/file; exec 3<&-') &");
    let waits_for = || machine.shell("cat /proc/$(pgrep -f '^held')/wchan").stdout;
    wait::until_true("a process that closes a file", || waits_for().contains("request_wait_answer"));
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    let strikes = || machine.log().matches("event=struck").count();
    wait::until_true("many strikes", || strikes() > 20);
    let descriptors = format!("ls -l /proc/{}/fd | grep -c pidfd", machine.daemon_pid());
    let pidfds: usize = machine.shell(&descriptors).success().trim().parse().expect("a number");
    assert!(pidfds < 10 && machine.count("held") == 1, "{pidfds}");
    assert_eq!(machine.sessions()[0]["state"], "closing");
    holds.kill();
    assert_eq!(machine.end_reason("alice"), "revoked");
    assert_eq!(machine.count("held"), 0);
}

fn machine(stack: &str) -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(RULE).sshd(SSHD).pam("sshd", stack).start())
}

#[track_caller]
fn revoke(machine: &Machine, alice: &mut Person) {
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    wait::until_true("the end of alice's session", || {
        machine.sessions().iter().all(|session| session["user"] != "alice")
    });
}

#[track_caller]
fn all_others_are_there(machine: &Machine, bob: &mut Person) {
    assert_eq!(machine.count("sleep 5811"), 200, "{}", machine.log());
    assert_eq!(bob.shell("echo still here"), "still here");
}
