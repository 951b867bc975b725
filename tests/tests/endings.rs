//! How sessions end when nobody ends them by authority: a shell that is left, a logout, a program that is killed, a connection that is cut,
//! and the session around a nested one. Each is closed once, with its own reason.

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

const RULES: &str = r#"
[throttle]
attempts = 10
[[rule]]
name = "all"
service = ["sshd", "su", "su-l", "sudo", "sudo-i"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn a_logout_ends_the_shell_and_leaves_what_detached_itself() {
    let Some(machine) = machine() else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    alice.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 & sleep 4712 &");
    wait::until_true("what alice started", || machine.count("sleep 471") == 2);
    alice.type_line("authflow logout");
    alice.expect("authflow: this session ends now: it was logged out.");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "logout");
    assert_eq!(machine.history("alice")[0]["ended_by"], Value::Null);
    wait::until_true("the end of what held the terminal", || machine.count("sleep 4712") == 0);
    assert_eq!(machine.count("sleep 4711"), 1, "as leaving the shell would have left it");
}

#[test]
fn a_rule_ends_what_a_logout_leaves_and_no_other_login_is_touched() {
    let strict = "[[rule]]\nname = \"strict\"\nservice = [\"sshd\"]\nuser = [\"alice\"]\n\
        methods = [[\"password\", \"totp\"]]\nsession = { at_logout = \"terminate\", grace = \"200ms\" }\n\n[[rule]]";
    let Some(machine) = machine_with(&RULES.replace("[[rule]]", strict)) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut phone);
    let mut other = machine.log_in("alice", &mut phone);
    let mut bob = machine.log_in("bob", &mut machine.enroll("bob"));
    // Without the terminal and the family, deaf to a hang-up, and one that is deaf to more than that.
    alice.type_line(
        "setsid nohup sleep 4711 >/dev/null 2>&1 & (setsid sh -c 'trap \"\" HUP TERM; sleep 4711 & wait' &)",
    );
    other.type_line("setsid nohup sleep 4712 >/dev/null 2>&1 &");
    bob.type_line("setsid nohup sleep 4713 >/dev/null 2>&1 &");
    wait::until_true("what all started", || machine.count("sleep 471") == 4);
    for (user, person) in [("alice", &mut alice), ("bob", &mut bob)] {
        person.type_line("exit");
        let _ = person.end();
        assert_eq!(machine.end_reason(user), "logout");
    }
    assert_eq!(machine.count("sleep 4711"), 0, "{}", machine.log());
    assert_eq!((machine.count("sleep 4712"), machine.count("sleep 4713")), (1, 1));
    assert_eq!(other.shell("echo still here"), "still here");

    // The leader's end is no way around it, nor is a connection that is cut.
    let leader = session_of(&machine, "alice")["leader"].to_string();
    let _ = machine.run(["kill", "-KILL", &leader]).success();
    let _ = other.end();
    wait::until_true("the end of the other", || machine.history("alice").len() == 2);
    assert_eq!(machine.count("sleep 4712"), 0);
    let mut third = machine.log_in("alice", &mut phone);
    third.type_line("setsid nohup sleep 4712 >/dev/null 2>&1 &");
    wait::until_true("what the third started", || machine.count("sleep 4712") == 1);
    let _ = machine.run(["pkill", "-KILL", "-u", "alice", "-x", "sshd"]).success();
    let _ = third.end();
    wait::until_true("the end of the third", || machine.history("alice").len() == 3);
    assert_eq!((machine.count("sleep 4712"), machine.count("sleep 4713")), (0, 1));
}

#[test]
fn what_su_left_ends_with_it_and_the_login_around_it_goes_on() {
    let rules = RULES.replace("\"sshd\", ", "") + "session = { at_logout = \"terminate\", grace = \"200ms\" }";
    let login = "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"password\", \"totp\"]]\n";
    let Some(machine) = machine_with(&format!("{rules}\n{login}")) else { return };
    let (mut phone, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = machine.log_in("alice", &mut phone);
    alice.type_line("setsid nohup sleep 4712 >/dev/null 2>&1 &");
    become_bob(&machine, &mut alice, &bobs.code());
    alice.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 & echo begun");
    alice.expect("begun\r\n");
    wait::until_true("what both started", || machine.count("sleep 471") == 2);
    alice.type_line("exit");
    alice.expect("alice@");
    assert_eq!(machine.end_reason("bob"), "logout");
    assert_eq!((machine.count("sleep 4711"), machine.count("sleep 4712")), (0, 1), "{}", machine.log());
    assert_eq!(alice.shell("echo still here"), "still here");
}

#[test]
fn one_logs_out_of_ones_own_sessions_only() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let mut first = machine.log_in("alice", &mut phone);
    let mut second = machine.log_in("alice", &mut phone);
    let _bob = machine.log_in("bob", &mut machine.enroll("bob"));
    let id = |session: &Value| session["id"].as_str().expect("an id").to_owned();
    let bobs = id(&session_of(&machine, "bob"));
    let said = machine.run(["authflow", "logout", &bobs]).failure(4);
    assert!(said.contains("another user's session, and can be revoked"), "{said}");
    assert!(second.shell(&format!("authflow logout {bobs}; echo code=$?")).contains("code=3"));
    let firsts = first.shell("authflow status --json | tr -d ' \\n'");
    let firsts: Value = serde_json::from_str(&firsts).expect("JSON");
    assert!(second.shell(&format!("authflow logout {}; echo code=$?", id(&firsts))).contains("code=0"));
    let _ = first.end();
    assert_eq!(machine.end_reason("alice"), "logout");
    assert_eq!(second.shell("echo still here"), "still here");
}

#[test]
fn a_connection_that_is_cut_is_a_logout_and_so_is_an_sshd_that_is_killed() {
    let Some(machine) = machine() else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let bob = machine.log_in("bob", &mut machine.enroll("bob"));
    // The one that serves the connection. The one that leads the session sees it gone.
    let _ = machine.run(["pkill", "-KILL", "-u", "alice", "-x", "sshd"]).success();
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "logout");
    // The client ends without a word to sshd; its machine still says that the connection is closed.
    let _ = machine.run(["pkill", "-KILL", "-x", "ssh"]).success();
    assert_eq!(machine.end_reason("bob"), "logout");
    drop(bob);
    assert!(machine.sessions().is_empty());
}

#[test]
fn a_client_that_falls_silent_is_logged_out_by_sshd() {
    let Some(plan) = Machine::overlay() else { return };
    let lines = format!("{SSHD}\nClientAliveInterval 1\nClientAliveCountMax 1");
    let machine = plan.user("alice").config(RULES).sshd(&lines).start();
    let _alice = machine.log_in("alice", &mut machine.enroll("alice"));
    // As when a laptop is closed: nothing arrives any more, and nobody says so.
    let _ = machine.run(["ip", "link", "set", "lo", "down"]).success();
    assert_eq!(machine.end_reason("alice"), "logout");
    assert!(machine.sessions().is_empty());
}

#[test]
fn a_session_whose_leader_was_killed_is_an_orphan_until_its_last_process_ends() {
    let Some(machine) = machine() else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let leader = session_of(&machine, "alice")["leader"].to_string();
    let _ = machine.run(["kill", "-KILL", &leader]).success();
    wait::until_true("the orphan", || session_of(&machine, "alice")["state"] == "orphaned");
    // sshd's child serves the connection as before.
    assert_eq!(alice.shell("echo still here"), "still here");
    assert!(machine.history("alice").is_empty());
    alice.type_line("exit");
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "leader-exited");
}

#[test]
fn an_orphan_is_not_spared_its_limits() {
    let limits = RULES.replace("[[rule]]", "[session]\nidle = \"30s\"\nwarn = \"2s\"\n[[rule]]");
    let Some(machine) = machine_with(&limits) else { return };
    let mut alice = machine.log_in("alice", &mut machine.enroll("alice"));
    let leader = session_of(&machine, "alice")["leader"].to_string();
    let _ = machine.run(["kill", "-KILL", &leader]).success();
    let _ = alice.end();
    assert_eq!(machine.end_reason("alice"), "idle");
}

#[test]
fn nested_sessions_hang_below_the_login_and_end_with_it() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let mut bobs = machine.enroll("bob");
    let mut alice = machine.log_in("alice", &mut phone);
    alice.type_line("su - bob");
    machine.give_answers(&mut alice, &bobs.code());
    alice.expect("bob@");
    alice.type_line("sudo -i");
    machine.give_answers(&mut alice, &bobs.code());
    alice.expect("root@");
    // Nothing of it hangs on the terminal any more.
    alice.type_line("setsid sh -c 'trap \"\" HUP TERM; sleep 4711' & echo begun");
    alice.expect("begun\r\n");
    let sessions = machine.sessions();
    let by = |service: &str| sessions.iter().find(|session| session["service"] == service).cloned().expect(service);
    let (login, su, sudo) = (by("sshd"), by("su-l"), by("sudo-i"));
    assert_eq!((&su["parent"], &sudo["parent"]), (&login["id"], &su["id"]), "{sessions:#?}");
    assert_eq!(by("su-l")["idle_deadline"], Value::Null);
    let table = machine.run(["authflow", "sessions"]).success();
    let rows: Vec<_> = table.lines().skip(1).collect();
    assert!(rows[0].contains("  alice "), "{table}");
    assert!(rows[1].contains("\u{2514} bob") && rows[2].contains("  \u{2514} bob as root"), "{table}");

    let _ = machine.run(["authflow", "revoke", login["id"].as_str().expect("an id")]).success();
    let _ = alice.end();
    wait::until_true("the end of them all", || machine.sessions().is_empty());
    wait::until_true("the end of what ran in the innermost", || machine.count("sleep 4711") == 0);
    let reasons = ["alice", "bob"].map(|user| machine.history(user)).concat();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.iter().all(|ended| ended["end_reason"] == "revoked"), "{reasons:#?}");
}

#[test]
fn leaving_a_nested_shell_ends_it_alone_and_leaving_the_login_ends_all() {
    let Some(machine) = machine() else { return };
    let (mut phone, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = machine.log_in("alice", &mut phone);
    become_bob(&machine, &mut alice, &bobs.code());
    alice.type_line("exit");
    alice.expect("alice@");
    assert_eq!(machine.end_reason("bob"), "logout");
    assert_eq!(machine.sessions().len(), 1);

    become_bob(&machine, &mut alice, &bobs.code());
    alice.hang_up();
    wait::until_true("the end of both", || machine.sessions().is_empty());
    assert_eq!(machine.end_reason("alice"), "logout");
    let reasons: Vec<_> = machine.history("bob").iter().map(|ended| ended["end_reason"].clone()).collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    // Whether su hears of the lost terminal before its login closes is a race; either way it is over once.
    assert!(reasons.iter().all(|reason| *reason == "logout" || *reason == "leader-exited"), "{reasons:?}");
}

#[test]
fn killing_su_is_no_way_out_of_the_session_that_it_opened() {
    let Some(machine) = machine() else { return };
    let (mut phone, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = machine.log_in("alice", &mut phone);
    become_bob(&machine, &mut alice, &bobs.code());
    alice.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 & echo begun");
    alice.expect("begun\r\n");
    let su = machine.sessions().into_iter().find(|session| session["service"] == "su-l").expect("su's session");
    // Her own program, by its real uid.
    let kill = format!("kill -KILL {}", su["leader"]);
    let _ = machine.run(["setpriv", "--reuid=alice", "--clear-groups", "--regid=alice", "sh", "-c", &kill]).success();
    let state =
        || machine.sessions().into_iter().find(|session| session["id"] == su["id"]).map(|found| found["state"].clone());
    wait::until_true("the orphan", || state() == Some("orphaned".into()));
    let _ = machine.run(["authflow", "revoke", su["id"].as_str().expect("an id")]).success();
    wait::until_true("the end of what it left", || machine.count("sleep 4711") == 0);
    wait::until_true("the end of the orphan", || state().is_none());
    assert_eq!(machine.end_reason("bob"), "revoked");
    assert_eq!(session_of(&machine, "alice")["state"], "active");
}

/// Outside of any login that is tracked descent is all that tells what su has started.
#[test]
fn what_su_has_just_started_is_its_sessions_when_su_is_killed() {
    let stack = "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";
    let rule = "[[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n";
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(rule).pam("su", stack).start();
    // Both in hundredths of a second since the machine started.
    let looked = || {
        let at = machine.shell("cat /run/authflow/live/*").json()["looked"].clone();
        at["secs"].as_u64().zip(at["nanos"].as_u64()).map(|(secs, nanos)| secs * 100 + nanos / 10_000_000)
    };
    let begun = || {
        let stat = machine.shell("cat /proc/$(pgrep -f '^sleep 4711')/stat").success();
        stat.split(' ').nth(21).and_then(|begun| begun.parse::<u64>().ok())
    };
    for is_listed in [false, true] {
        let su = machine.start(["su", "alice", "-c", "sleep 4711"]);
        // su starts it when the session was opened and looked at.
        wait::until_true("what runs in it", || machine.count("sleep 4711") == 1);
        if is_listed {
            assert_eq!(machine.sessions().len(), 1);
        } else {
            let begun = begun().expect("when it began");
            wait::until_true("a look at it", || looked() > Some(begun));
        }
        su.kill();
        let sessions = || machine.sessions();
        wait::until_true("the leader's end", || sessions().iter().all(|session| session["state"] != "active"));
        let left = sessions();
        assert!(matches!(&left[..], [orphan] if orphan["state"] == "orphaned"), "{left:#?}");
        let _ = machine.run(["authflow", "revoke", left[0]["id"].as_str().expect("an id")]).success();
        wait::until_true("the end of what it left", || machine.count("sleep 4711") == 0);
        wait::until_true("the end of the orphan", || sessions().is_empty());
    }
}

fn machine() -> Option<Machine> {
    machine_with(RULES)
}

fn machine_with(rules: &str) -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(rules).sshd(SSHD);
    let plan = plan.file("/etc/sudoers.d/bob", "bob ALL=(ALL) ALL\n").shipped_pam("su").shipped_pam("sudo");
    Some(plan.pam("su-l", "@include su\n").pam("sudo-i", "@include sudo\n").start())
}

fn become_bob(machine: &Machine, person: &mut Person, code: &str) {
    person.type_line("su - bob");
    machine.give_answers(person, code);
    person.expect("bob@");
}

/// The login of that user.
#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = machine.sessions();
    let is_login = |session: &&Value| session["user"] == user && session["class"] == "user";
    sessions.iter().find(is_login).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}
