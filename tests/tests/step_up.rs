//! Step-up at the real sudo and su: a login that proved itself a moment ago is asked nothing more, for its owner and inside it alone.
//! Where the kernel has a process is what counts, never a terminal or an environment variable.

use authflow_tests::{Authenticator, Machine, Output, Person, Plan, wait};
use serde_json::Value;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

/// `{within}` is how long ago the code may have been proved.
const RULES: &str = r#"
[[rule]]
name = "step-up"
service = ["sudo", "su", "su-l"]
methods = [["session"], ["password", "totp"]]
from_session = { proved = ["totp"], within = "{within}" }
[[rule]]
name = "login"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

/// Logins prove no code: no session vouches until sudo has asked for one.
const BY_PASSWORD: &str = r#"
[[rule]]
name = "step-up"
service = ["sudo"]
methods = [["session"], ["password", "totp"]]
from_session = { proved = ["totp"], within = "1h" }
[[rule]]
name = "login"
service = ["sshd", "su", "su-l"]
methods = [["password"]]
"#;

/// sudo's own ticket would hide all of it.
const SUDOERS: &str = "Defaults timestamp_timeout=0\nalice, bob ALL=(ALL) ALL\n";

#[test]
fn inside_a_fresh_login_its_owner_is_asked_nothing() {
    let Some(machine) = machine(&rules("1h")) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let login = session_of(&machine, "alice");
    assert_eq!(vouched(&mut alice, "sudo -S id -un"), "root code=0");
    assert_eq!(vouched(&mut alice, "su alice -c 'id -un'"), "alice code=0", "su to oneself");
    // It is still that session.
    assert_eq!(vouched(&mut alice, "setsid --wait sudo -S id -un"), "root code=0");
    let id = word(&login, "id");
    machine.logged(&["event=granted", "user=alice", "factors=session", &format!("vouched-by={id}")]);
    machine.logged(&["event=session-opened", "user=alice", "target=root", "factors=session aal=0"]);
    assert_eq!(session_of(&machine, "alice"), login, "and nothing was renewed by it");
}

#[test]
fn a_proof_that_is_too_old_is_asked_for_in_full_and_renews_the_login() {
    let Some(machine) = machine(&rules("1s")) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, "alice", &mut phone);
    let before = session_of(&machine, "alice");
    let proved = word(&before, "authenticated_at");
    let age = ["sh", "-c", "expr $(date +%s) - $(date +%s --date=$0)", proved];
    wait::until_true("the proof to be too old", || {
        machine.run(age).stdout.trim().parse::<u64>().is_ok_and(|age| age > 2)
    });
    alice.type_line("sudo id -un");
    type_all(&machine, &mut alice, &phone.code());
    alice.expect("root\r\n");
    wait::until_true("the end of sudo", || sessions(&machine).len() == 1);
    let after = session_of(&machine, "alice");
    for key in ["authenticated_at", "lifetime_deadline"] {
        assert!(word(&after, key) > word(&before, key), "{key}: {before:#} {after:#}");
    }
    assert_eq!(after["opened_at"], before["opened_at"]);
    machine.logged(&["event=renewed", word(&before, "id"), "factors=password+totp"]);
}

#[test]
fn what_sudo_proved_vouches_for_the_next_sudo() {
    let Some(machine) = machine(BY_PASSWORD) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("$ ");
    alice.type_line("sudo true");
    type_all(&machine, &mut alice, &phone.code());
    alice.expect("$ ");
    machine.logged(&["event=renewed", "factors=password+totp"]);
    let renewed = session_of(&machine, "alice");
    assert_eq!(vouched(&mut alice, "sudo -S id -un"), "root code=0");
    assert_eq!(session_of(&machine, "alice")["authenticated_at"], renewed["authenticated_at"]);
    // A password does not make it forget that.
    assert_eq!(unasked(&mut alice, &format!("echo '{}' | su alice -c true", machine.password())), "Password: code=0");
    wait::until_true("the renewal by password", || {
        machine.log().lines().any(|line| line.contains("event=renewed") && line.ends_with("factors=password"))
    });
    assert_eq!(vouched(&mut alice, "sudo -S id -un"), "root code=0");
}

#[test]
fn only_what_is_missing_is_asked_where_a_method_combines() {
    let rules = rules("1h").replace(r#"["session"],"#, r#"["session", "password"],"#);
    let Some(machine) = machine(&rules) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let login = session_of(&machine, "alice");
    let password = machine.password();
    let become_root = format!("echo '{password}' | sudo -S -p 'mine: ' id -un");
    assert_eq!(unasked(&mut alice, &become_root), "mine: root code=0");
    machine.logged(&["event=granted", "factors=password+session"]);
    assert_eq!(session_of(&machine, "alice")["authenticated_at"], login["authenticated_at"], "it was not all");
    let wrong = unasked(&mut alice, "echo wrong | sudo -S id -un");
    assert!(wrong.ends_with("code=1"), "{wrong}");
}

#[test]
fn becoming_somebody_else_is_asked_in_full() {
    let Some(machine) = machine(&rules("1h")) else { return };
    let (mut phone, _, _) = (machine.enroll("alice"), machine.enroll("bob"), machine.enroll("root"));
    let mut alice = log_in(&machine, "alice", &mut phone);
    for line in ["su", "su -", "su bob", "su - bob", "su -c id root"] {
        is_asked(&mut alice, line);
    }
    for (defaults, line) in [
        ("targetpw", "sudo -S id"),
        ("targetpw", "sudo -S -u bob id"),
        ("rootpw", "sudo -S id"),
        ("runaspw", "sudo -S id"),
        ("runaspw", "sudo -S -u bob id"),
    ] {
        machine.write("/etc/sudoers.d/whose", &format!("Defaults {defaults}\n"));
        is_asked(&mut alice, line);
    }
    machine.write("/etc/sudoers.d/whose", "");
    assert_eq!(
        unasked(&mut alice, "sudo -S -u bob id -un"),
        "bob code=0",
        "sudo asks for who calls, whoever it runs as"
    );
}

/// What sudo-rs had wrong (CVE-2025-64517): whose password it was is what counts, not who typed it.
#[test]
fn roots_factors_renew_nothing_of_the_users() {
    let Some(machine) = machine(BY_PASSWORD) else { return };
    let (_, mut roots) = (machine.enroll("alice"), machine.enroll("root"));
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("$ ");
    let login = session_of(&machine, "alice");
    machine.write("/etc/sudoers.d/whose", "Defaults rootpw\n");
    alice.type_line("sudo true");
    type_all(&machine, &mut alice, &roots.code());
    alice.expect("$ ");
    machine.logged(&["event=not-renewed", word(&login, "id"), "another user's"]);
    assert_eq!(session_of(&machine, "alice")["authenticated_at"], login["authenticated_at"]);
    is_asked(&mut alice, "sudo -S id");
    machine.write("/etc/sudoers.d/whose", "");
    is_asked(&mut alice, "sudo -S id");
}

#[test]
fn a_session_inside_another_vouches_for_nobody() {
    let Some(machine) = machine(&rules("1h")) else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = log_in(&machine, "alice", &mut alices);
    alice.type_line("su - bob");
    type_all(&machine, &mut alice, &bobs.code());
    alice.expect("bob@");
    alice.expect("$ ");
    is_asked(&mut alice, "sudo -S id");
    // Nor does the login around it: bob's processes are not alice's.
    is_asked(&mut alice, "su alice -c id");
}

#[test]
fn outside_of_the_session_nothing_but_the_kernel_is_believed() {
    let Some(machine) = machine(&rules("1h")) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = machine.ssh("bob", &[]);
    type_all(&machine, &mut bob, &machine.enroll("bob").code());
    bob.expect("$ ");
    let session = session_of(&machine, "alice");
    let (id, tty) = (word(&session, "id"), alice.shell("tty"));
    // Processes of alice's outside of it, with all that can be copied.
    for line in [
        format!("AUTHFLOW_SESSION={id} XDG_SESSION_ID=1 sudo -S id </dev/null"),
        format!("AUTHFLOW_SESSION={id} setsid --wait sh -c 'exec 0<>{tty}; sudo -S id </dev/null'"),
    ] {
        let told = as_user(&machine, "alice", &line);
        assert!(told.stderr.contains("assword") && !told.stdout.contains("uid="), "{line}: {told:?}");
    }
    // bob has a session of his own, and alice's id.
    let su = unasked(&mut bob, &format!("AUTHFLOW_SESSION={id} XDG_SESSION_ID=1 su alice -c 'id -un'"));
    assert!(su.contains("Password: ") && su.ends_with("code=1"), "{su}");
    machine.logged(&["event=not-vouched", "user=alice", "no audit session"]);
}

#[test]
fn without_the_daemon_everything_is_asked() {
    let Some(machine) = machine(&rules("1h")) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, "alice", &mut phone);
    machine.signal_daemon(rustix::process::Signal::STOP);
    is_asked(&mut alice, "sudo -S id");
    machine.logged(&["event=not-vouched", "did not answer within 300 ms"]);
    machine.kill_daemon();
    is_asked(&mut alice, "sudo -S id");
    machine.stop_bus();
    alice.type_line("sudo id -un");
    type_all(&machine, &mut alice, &phone.code());
    alice.expect("root\r\n");
}

/// The kernel has all of these in sessions of their own, although they are alice's and as fresh as her login.
#[test]
fn cron_and_the_user_manager_are_outside_of_every_login() {
    let Some(machine) = Machine::booted() else { return };
    let probe = "sudo -S id </dev/null >/tmp/$1 2>&1\necho code=$? >>/tmp/$1\n";
    let unit = "[Service]\nType=oneshot\nExecStart=/bin/sh /usr/local/bin/probe manager\n";
    let plan = plan(machine).file("/usr/local/bin/probe", probe).file("/etc/systemd/user/probe.service", unit);
    let machine = plan.config(&rules("1h")).start();
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    assert_eq!(vouched(&mut alice, "sudo -S id -un"), "root code=0");
    assert_eq!(alice.shell("systemctl --user start probe"), "");
    machine.write("/etc/cron.d/job", "@reboot alice sh /usr/local/bin/probe cron\n");
    let _ = machine.shell("rm -f /run/crond.reboot && systemctl restart cron").success();
    for place in ["/tmp/manager", "/tmp/cron"] {
        wait::until_true(place, || machine.read(place).contains("code="));
        let told = machine.read(place);
        assert!(told.contains("assword") && !told.contains("uid=") && told.contains("code=1"), "{place}: {told}");
    }
}

#[test]
fn what_a_session_vouched_for_ends_with_it() {
    let rules = rules("1h").replace(r#"["session"],"#, r#"["session", "password"],"#);
    let Some(machine) = machine(&rules) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let _ = machine.shell("mkfifo /srv/answer /srv/go && chown alice /srv/answer").success();
    // Deaf to the hangup, and at its prompt before alice leaves.
    alice.type_line("setsid nohup sudo -S touch /tmp/ran </srv/answer >/tmp/told 2>&1 &");
    let mut answer = machine.start(["sh", "-c", "exec 3>/srv/answer; cat /srv/go >&3"]);
    wait::until_true("sudo's prompt", || machine.read("/tmp/told").contains("assword"));
    alice.type_line("exit");
    let _ = alice.end();
    wait::until_true("the end of the session", || sessions(&machine).is_empty());
    let _ = machine.feed(["tee", "/srv/go"], format!("{}\n", machine.password()).as_bytes()).success();
    answer.end();
    machine.logged(&["event=refused phase=open-session", "service=sudo", "the session that vouched"]);
    machine.logged(&["pam_open_session"]);
    assert!(!machine.path("/tmp/ran").exists());
}

#[test]
fn ansibles_become_works_with_and_without_a_password() {
    let rules = BY_PASSWORD.replace(r#"["password", "totp"]"#, r#"["password"]"#).replace("totp", "password");
    let Some(machine) = machine(&rules) else { return };
    let _ = machine.enroll("alice");
    let prompt = "[sudo via ansible, key=kx] password:";
    let command = "/bin/sh -c 'echo BECOME-SUCCESS-kx; id -un'";
    let with_password = format!("echo '{}' | sudo -H -S -p '{prompt}' -u root {command} 2>&1", machine.password());
    let outside = as_user(&machine, "alice", &with_password).success();
    assert_eq!(outside, format!("{prompt}BECOME-SUCCESS-kx\nroot\n"));
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    alice.expect("$ ");
    assert_eq!(vouched(&mut alice, &with_password), "BECOME-SUCCESS-kx\nroot code=0");
    // Without a password Ansible says -n, and sudo then asks PAM only where it is told that PAM may need no answer.
    let without = format!("sudo -H -S -n -u root {command}");
    assert_eq!(unasked(&mut alice, &without), "sudo: a password is required code=1");
    machine.write("/etc/sudoers.d/more", "Defaults noninteractive_auth\n");
    assert_eq!(unasked(&mut alice, &without), "BECOME-SUCCESS-kx\nroot code=0");
}

#[test]
fn the_check_says_where_sudo_gives_a_ticket() {
    let Some(machine) = machine(&rules("5m")) else { return };
    let _ = machine.enroll("alice");
    let check = || machine.run(["authflow", "config", "check"]).success();
    assert!(!check().contains("ticket"), "{}", check());
    machine.write("/etc/sudoers.d/more", "Defaults:alice timestamp_timeout=5\n");
    assert!(check().contains("/etc/sudoers.d/more:1: sudo's own ticket (timestamp_timeout=5)"), "{}", check());
}

fn rules(within: &str) -> String {
    RULES.replace("{within}", within)
}

fn machine(config: &str) -> Option<Machine> {
    Some(plan(Machine::overlay()?).config(config).start())
}

fn plan(plan: Plan) -> Plan {
    let plan = plan.user("alice").user("bob").sshd(SSHD).file("/etc/sudoers.d/bed", SUDOERS);
    // Or sudo complains about the machine's name.
    let plan = plan.file("/etc/hosts", "127.0.0.1 localhost bed\n");
    let stacks =
        [("su", include_str!("../../conf/pam.d/su.example")), ("sudo", include_str!("../../conf/pam.d/sudo.example"))];
    let plan = stacks.into_iter().fold(plan, |plan, (service, stack)| {
        plan.pam(service, &stack.replace("default=die]  pam_authflow.so", "default=die]  pam_authflow.so debug"))
    });
    plan.pam("su-l", "@include su\n")
}

fn log_in(machine: &Machine, user: &str, phone: &mut Authenticator) -> Person {
    let mut person = machine.ssh(user, &[]);
    type_all(machine, &mut person, &phone.code());
    person.expect("$ ");
    person
}

fn type_all(machine: &Machine, person: &mut Person, code: &str) {
    person.expect("assword");
    person.expect(": ");
    person.type_line(machine.password());
    person.expect("Verification code: ");
    person.type_line(code);
}

/// Runs a line that must not wait for an answer. What it said, and its exit code.
#[track_caller]
fn unasked(person: &mut Person, line: &str) -> String {
    let redirect = if line.contains('|') { "" } else { " </dev/null" };
    person.shell(&format!("({line}{redirect}) 2>&1; echo code=$?")).replace("\ncode=", " code=")
}

/// Runs a line that a session vouches for. On a machine that is busy with other tests the daemon may once be late, and then it is asked.
#[track_caller]
fn vouched(person: &mut Person, line: &str) -> String {
    wait::until("the session to vouch", || Some(unasked(person, line)).filter(|told| !told.contains("assword")))
}

/// The line asks, and without an answer does nothing.
#[track_caller]
fn is_asked(person: &mut Person, line: &str) {
    let told = unasked(person, line);
    assert!(told.contains("assword") && !told.contains("uid=") && told.ends_with("code=1"), "{line}: {told}");
}

fn sessions(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
}

/// The login of that user.
#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = sessions(machine);
    let is_login = |session: &&Value| session["user"] == user && session["class"] == "user";
    sessions.iter().find(is_login).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}

#[track_caller]
fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no word {key} in {value:#}"))
}

/// Runs a line of shell as that user, outside of any session.
fn as_user(machine: &Machine, user: &str, line: &str) -> Output {
    machine.run(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "sh", "-c", line])
}
