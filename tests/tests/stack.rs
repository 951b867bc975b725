//! What must be true on a real machine, with systemd, logind and everybody's PAM stacks: who never authenticates keeps working, and
//! a session is exactly what logind calls one.

use authflow_tests::{Authenticator, Machine, Person, Plan, wait};
use serde_json::Value;

/// Debian's, with our line in front: account is asked by everything that changes users, auth by few of it.
const COMMON_ACCOUNT: &str = "\
account [success=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so
account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so
account requisite pam_deny.so
account required pam_permit.so
";

const EVERYTHING: &str = r#"
[[rule]]
name = "everything"
service = ["*"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn who_never_authenticates_keeps_working() {
    let Some(plan) = plan() else { return };
    let machine = plan
        .file("/etc/sudoers.d/beds", "alice ALL=(ALL) NOPASSWD: ALL\nbob ALL=(ALL) ALL\n")
        .shipped_pam("sudo")
        .pam("common-account", COMMON_ACCOUNT)
        .start();
    assert_eq!(machine.run(["su", "-", "alice", "-c", "id -un"]).success().trim(), "alice");
    assert_eq!(machine.run(["su", "alice", "-c", "sudo -n id -un"]).success().trim(), "root");

    // A ticket: the second sudo on this terminal asks nothing and so proves nothing.
    let mut phone = machine.enroll("bob");
    let mut bob = machine.person(["su", "-", "bob"]);
    bob.expect("$ ");
    bob.type_line("sudo id -un");
    answer(&machine, &mut bob, &phone.code());
    bob.expect("root\r\n");
    // sudo throws away what was typed before it ends.
    bob.expect("$ ");
    assert_eq!(bob.shell("sudo -n id -un"), "root");

    // Cron runs what is for the boot when it starts without its mark of having done so.
    machine.write("/etc/cron.d/beds", "@reboot alice id -un > /tmp/by-cron\n");
    let _ = machine.shell("rm -f /run/crond.reboot && systemctl restart cron").success();
    wait::until_true("cron's job", || machine.read("/tmp/by-cron") == "alice\n");

    // Its PAM stack includes common-account; a refusal there fails the unit.
    let _ = machine.run(["systemctl", "start", "user@1001.service"]).success();
    assert_eq!(machine.run(["systemctl", "is-active", "user@1001.service"]).stdout.trim(), "active");
}

#[test]
fn a_rule_that_enforces_ends_sudo_without_a_password() {
    let enforced = r#"
[[rule]]
name = "sudo"
service = ["sudo"]
methods = [["password", "totp"]]
account = "enforce"
"#;
    let Some(plan) = plan() else { return };
    let machine = plan
        .config(enforced)
        .shipped_pam("sudo")
        .file("/etc/sudoers.d/beds", "alice ALL=(ALL) NOPASSWD: ALL\n")
        .start();
    let refused = machine.run(["su", "alice", "-c", "sudo -n id -un"]);
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
}

#[test]
fn a_command_does_not_run_where_its_session_is_refused() {
    let Some(plan) = plan() else { return };
    let denies = format!("[session]\nwhen_unavailable = \"deny\"\n{EVERYTHING}");
    let machine = plan.config(&denies).shipped_pam("sudo").file("/etc/sudoers.d/beds", "alice ALL=(ALL) ALL\n").start();
    let mut phone = machine.enroll("alice");
    // Masked, or the bus would start it.
    let _ = machine.run(["systemctl", "mask", "--runtime", "--now", "authflow-sessiond"]).success();
    let mut alice =
        machine.person(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "touch", "/tmp/ran"]);
    answer(&machine, &mut alice, &phone.code());
    assert_eq!(alice.end().code(), Some(1), "{}", alice.screen());
    assert!(!machine.path("/tmp/ran").exists());
}

#[test]
fn a_revoked_login_ends_with_its_scope_and_sshd_lives_on() {
    let Some(plan) = plan() else { return };
    let machine = plan.start();
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, "alice", &mut phone);
    let logind = alice.shell("echo $XDG_SESSION_ID");
    let session = only_session(&machine);
    assert_eq!(session["logind_id"], logind.as_str(), "{session}");
    let leader = ["loginctl", "show-session", &logind, "--property=Leader", "--value"];
    assert_eq!(session["leader"].to_string(), machine.run(leader).success().trim(), "{session}");

    // The first leaves the terminal's process group, the second its session and its parent.
    alice.shell("sleep 4711 & (setsid sleep 4712 >/dev/null 2>&1 &)");
    wait::until_true("alice's children", || sleepers(&machine) == 2);
    let id = session["id"].as_str().expect("an id");
    let _ = machine.run(["authflow", "revoke", id, "--message", "enough"]).success();
    alice.expect("it was revoked (enough)");
    let _ = alice.end();
    wait::until_true("the end of alice's children", || sleepers(&machine) == 0);
    wait::until_true("the end in logind", || !machine.run(["loginctl", "show-session", &logind]).status.success());

    let mut again = log_in(&machine, "alice", &mut phone);
    assert_eq!(again.shell("id -un"), "alice");
    again.type_line("exit");
    assert_eq!(again.end().code(), Some(0));
}

#[test]
fn a_login_at_a_terminal_is_a_session_and_su_in_it_is_nested() {
    let Some(plan) = plan() else { return };
    let machine = plan.shipped_pam("login").shipped_pam("su").start();
    let mut phone = machine.enroll("alice");
    let mut bobs = machine.enroll("bob");
    let mut alice = machine.person(["login", "alice"]);
    answer(&machine, &mut alice, &phone.code());
    alice.expect("$ ");
    let tty = alice.shell("tty").trim_start_matches("/dev/").to_owned();
    let login = only_session(&machine);
    assert_eq!((login["service"].as_str(), login["class"].as_str()), (Some("login"), Some("user")), "{login}");
    assert_eq!(login["ttys"], serde_json::json!([tty]), "{login}");
    assert!(!machine.run(["authflow", "status"]).status.success(), "root is in no session");

    alice.type_line("su - bob");
    answer(&machine, &mut alice, &bobs.code());
    alice.expect("bob@");
    let nested = wait::until("the nested session", || {
        sessions(&machine).into_iter().find(|session| session["class"] == "nested")
    });
    assert_eq!((&nested["parent"], nested["target"].as_str()), (&login["id"], Some("bob")), "{nested}");

    let _ = machine.run(["authflow", "revoke", login["id"].as_str().expect("an id")]).success();
    let _ = alice.end();
    wait::until_true("the end of both", || sessions(&machine).is_empty());
    assert!(phone.code() != bobs.code());
}

#[test]
fn a_daemon_that_dies_is_started_again_and_by_a_login_too() {
    let Some(plan) = plan() else { return };
    let machine = plan.without_daemon().start();
    let mut phone = machine.enroll("alice");
    assert_eq!(machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout.trim(), "inactive");
    let mut alice = log_in(&machine, "alice", &mut phone);
    assert_eq!(machine.run(["systemctl", "is-active", "authflow-sessiond"]).stdout.trim(), "active");
    let before = only_session(&machine);
    machine.kill_daemon();
    let after = wait::until("the daemon to be back", || {
        let listed = machine.run(["authflow", "sessions", "--json"]);
        listed.status.success().then(|| listed.json()[0].clone())
    });
    assert_eq!(before["id"], after["id"]);
    let _ = machine.run(["systemctl", "restart", "authflow-sessiond"]).success();
    assert_eq!(alice.shell("echo here"), "here", "a restart ends nothing");
    alice.type_line("exit");
    assert_eq!(alice.end().code(), Some(0));
    wait::until_true("the logout", || sessions(&machine).is_empty());
}

fn plan() -> Option<Plan> {
    Some(Machine::booted()?.user("alice").user("bob").config(EVERYTHING).sshd(SSHD))
}

fn answer(machine: &Machine, person: &mut Person, code: &str) {
    // sudo takes our first prompt for the usual one and puts its own words there.
    person.expect("assword");
    person.expect(": ");
    person.type_line(machine.password());
    person.expect("Verification code: ");
    person.type_line(code);
}

fn log_in(machine: &Machine, user: &str, phone: &mut Authenticator) -> Person {
    let mut person = machine.ssh(user, &[]);
    answer(machine, &mut person, &phone.code());
    person.expect("$ ");
    person
}

fn sessions(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
}

#[track_caller]
fn only_session(machine: &Machine) -> Value {
    let mut sessions = sessions(machine);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    sessions.remove(0)
}

fn sleepers(machine: &Machine) -> usize {
    machine.run(["pgrep", "-f", "^sleep 471"]).stdout.lines().count()
}
