//! What must be true on a real machine: systemd, logind, cron, polkit, the real system bus and sshd, with authflow's lines in
//! Debian's common stacks and rules about every service.

use authflow_tests::{Authenticator, Machine, Person, wait};
use serde_json::Value;

/// Two factors for whatever asks.
const EVERY_SERVICE: &str = r#"
[[rule]]
name = "every"
service = ["*"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

const SUDOERS: &str = "alice ALL=(ALL) ALL\nbob ALL=(ALL) NOPASSWD: ALL\n";

const MANAGER: &str =
    "busctl --system call org.authflow.sessiond1 /org/authflow/sessiond1 org.authflow.sessiond1.Manager";

#[test]
fn what_runs_without_a_login_goes_on_as_before() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    assert_eq!(machine.run(["su", "-", "bob", "-c", "id -un"]).success(), "bob\n");
    assert_eq!(as_user(&machine, "bob", "sudo -n id -un").success(), "root\n");

    // A job at the start of cron, which is now.
    machine.write("/etc/cron.d/job", "@reboot carol id -un > /tmp/job-ran\n");
    let _ = machine.shell("rm -f /run/crond.reboot && systemctl restart cron").success();
    wait::until_true("the cron job", || machine.read("/tmp/job-ran") == "carol\n");

    let _ = machine.run(["loginctl", "enable-linger", "carol"]).success();
    wait::until_true("carol's user manager", || manages(&machine, "carol"));
    assert_eq!(machine.shell("systemctl show -P Result user@$(id -u carol)").success(), "success\n");

    // We were asked each time.
    // After Debian 12 systemd keeps from the log what modules say of debugging.
    let is_told =
        |service: &&str| *service != "service=systemd-user" || machine.read("/etc/os-release").contains("bookworm");
    for service in ["service=su-l", "service=sudo", "service=cron", "service=systemd-user"].into_iter().filter(is_told)
    {
        machine.logged(&["answered phase=account", service, "answer=NoObjection"]);
    }
    assert_eq!(refusals(&machine), Vec::<String>::new());
    assert_eq!(sessions(&machine), Vec::<Value>::new());
    let mut services: Vec<_> = history(&machine).iter().map(|ended| word(ended, "service").to_owned()).collect();
    services.sort();
    // Nobody's login: cron and systemd-user are not tracked, although "*" governs them.
    assert_eq!(services, ["su-l", "sudo"], "{:#?}", history(&machine));
}

#[test]
fn a_sudo_ticket_saves_the_second_flow() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, "alice", &mut phone);
    assert!(manages(&machine, "alice"));
    assert!(alice.shell("sudo -n id -un; echo code=$?").contains("code=1"));
    alice.type_line("sudo id -un");
    answer(&machine, &mut alice, &phone.code());
    alice.expect("root\r\n");
    // sudo passes on what is typed while it runs.
    alice.expect("$ ");
    assert_eq!(alice.shell("sudo -n id -un"), "root");
    assert_eq!(refusals(&machine), Vec::<String>::new());
}

#[test]
fn a_revoked_login_ends_with_its_scope_and_nothing_else_does() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    let session = session_of(&machine, "alice");
    let logind = word(&session, "logind_id").to_owned();
    let told =
        machine.run(["loginctl", "show-session", &logind, "-P", "Leader", "-P", "Name", "-P", "Service"]).success();
    let mut told: Vec<_> = told.lines().map(str::to_owned).collect();
    told.sort();
    assert_eq!(told, [session["leader"].to_string(), "alice".to_owned(), "sshd".to_owned()]);

    // Three that a hangup would not reach: a session of its own, deaf to the hangup, an orphan twice over.
    alice.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 & nohup sleep 4712 >/dev/null 2>&1 &");
    alice.type_line("(setsid sh -c 'setsid sleep 4713 & exit' &)");
    let children = || running(&machine, "sleep 471");
    wait::until_true("alice's children", || children().len() == 3);
    let scope = format!("/sys/fs/cgroup/user.slice/user-1000.slice/session-{logind}.scope");
    assert!(machine.path(&scope).exists());
    let sshd = machine.run(["systemctl", "show", "-P", "MainPID", "ssh"]).success();

    let _ = machine.run(["authflow", "revoke", word(&session, "id")]).success();
    let _ = alice.end();
    wait::until_true("the end of alice's children", || children().is_empty());
    wait::until_true("the end of the scope", || !machine.path(&scope).exists());
    assert_eq!(end_reason(&machine, "alice"), "revoked");
    assert_eq!(bob.shell("echo still here"), "still here");
    assert_eq!(machine.run(["systemctl", "show", "-P", "MainPID", "ssh"]).success(), sshd);
    let _carol = log_in(&machine, "carol", &mut machine.enroll("carol"));
}

#[test]
fn whoever_logged_in_through_an_administrators_sshd_outlives_the_administrators_session() {
    let rule = EVERY_SERVICE.replace("\"*\"", "\"sshd\"");
    let Some(machine) = machine(&format!("{rule}session = {{ grace = \"1s\" }}\n")) else { return };
    let mut bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    // Deaf to all but the last signal, for which the scope as a whole is ended.
    bob.type_line("(trap '' HUP TERM; exec sleep 4711) & sudo -b /usr/sbin/sshd -p 2222");
    let answers = "exec 3<>/dev/tcp/127.0.0.1/2222 && head -c 4 <&3";
    wait::until_true("sshd", || machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
    let mut alice = machine.ssh("alice", &["-p", "2222"]);
    answer(&machine, &mut alice, &machine.enroll("alice").code());
    alice.expect("$ ");
    let session = session_of(&machine, "bob");
    let scope = format!("session-{}.scope", word(&session, "logind_id"));
    assert!(alice.shell("cat /proc/self/cgroup").contains(&scope), "systemd lets nobody leave a scope");
    let _ = machine.run(["authflow", "revoke", word(&session, "id")]).success();
    assert_eq!(end_reason(&machine, "bob"), "revoked");
    assert_eq!(running(&machine, "sleep 4711"), Vec::<String>::new());
    assert_eq!(alice.shell("echo still here"), "still here");
    assert_eq!(session_of(&machine, "alice")["state"], "active");
}

#[test]
fn an_idle_login_ends_and_what_it_left_to_run_does_not() {
    let limits = r#"session = { idle = "30s", warn = "6s" }"#;
    let Some(machine) = machine(&format!("{EVERY_SERVICE}{limits}\n")) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    alice.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 &");
    alice.type_line("tmux new-session -d 'sleep 4712'");
    alice.type_line("sleep 4713");
    let is_running = |number: &str| running(&machine, &format!("sleep {number}$")).len() == 1;
    wait::until_true("what alice started", || ["4711", "4712", "4713"].into_iter().all(is_running));
    alice.expect("authflow: nobody is using this session");
    let _ = alice.end();
    assert_eq!(end_reason(&machine, "alice"), "idle");
    wait::until_true("the end of what held the terminal", || !is_running("4713"));
    assert!(is_running("4711"), "nohup did not outlive the session\n{}", machine.log());
    assert!(is_running("4712"), "tmux did not outlive the session\n{}", machine.log());
}

#[test]
fn a_rule_that_enforces_ends_nopasswd() {
    let Some(machine) = machine(&format!("{EVERY_SERVICE}account = \"enforce\"\n")) else { return };
    let sudo = as_user(&machine, "bob", "sudo -n touch /tmp/ran");
    assert!(sudo.failure(1).contains("account management error"));
    assert!(!machine.path("/tmp/ran").exists());
    machine.logged(&["service=sudo", "user=bob", "what was proved is not enough"]);
    assert!(!refusals(&machine).is_empty());
}

#[test]
fn one_session_too_many_gets_no_shell() {
    let limits = r#"session = { max_sessions = 1, at_limit = "refuse" }"#;
    let Some(machine) = machine(&format!("{EVERY_SERVICE}{limits}\n")) else { return };
    let mut phone = machine.enroll("alice");
    let mut first = log_in(&machine, "alice", &mut phone);
    let mut second = machine.ssh("alice", &["touch /tmp/ran; echo in-$((6*7))"]);
    answer(&machine, &mut second, &phone.code());
    assert_eq!(second.end().code(), Some(254), "{}", second.screen());
    assert!(!second.sees("in-42"));
    assert!(!machine.path("/tmp/ran").exists());
    assert_eq!(sessions(&machine).len(), 1);
    assert_eq!(first.shell("echo still here"), "still here");
    first.type_line("exit");
    let _ = first.end();
    wait::until_true("room", || sessions(&machine).is_empty());
    let _third = log_in(&machine, "alice", &mut phone);
}

#[test]
fn sudo_runs_nothing_for_a_session_that_was_refused() {
    let limits = r#"session = { when_unavailable = "deny" }"#;
    let Some(machine) = machine(&format!("{EVERY_SERVICE}{limits}\n")) else { return };
    let _ = as_user(&machine, "bob", "sudo -n true").success();
    let _ = machine.shell("systemctl stop authflow-sessiond && systemctl mask --runtime authflow-sessiond").success();
    let sudo = as_user(&machine, "bob", "sudo -n touch /tmp/ran");
    assert!(!sudo.status.success(), "{sudo:?}");
    assert!(!machine.path("/tmp/ran").exists());
    machine.logged(&["phase=open-session", "service=sudo"]);
    let _ = machine.shell("systemctl unmask --runtime authflow-sessiond").success();
    // The bus starts it.
    let _ = as_user(&machine, "bob", "sudo -n true").success();
}

#[test]
fn the_sessions_outlive_the_daemon() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = machine.person(["login", "bob"]);
    answer(&machine, &mut bob, &machine.enroll("bob").code());
    bob.expect("$ ");
    assert_eq!(session_of(&machine, "bob")["service"], "login");
    assert_eq!(format!("/dev/{}", session_of(&machine, "bob")["ttys"][0].as_str().unwrap_or("none")), bob.shell("tty"));

    let before = identities(&machine);
    assert_eq!(before.len(), 2);
    let daemon = || machine.run(["systemctl", "show", "-P", "MainPID", "authflow-sessiond"]).stdout;
    let first = daemon();
    let _ = machine.run(["systemctl", "restart", "authflow-sessiond"]).success();
    let second = daemon();
    assert_ne!(first, second);
    assert_eq!(identities(&machine), before);
    machine.kill_daemon();
    // Nobody asks for it by the bus.
    wait::until_true("systemd to start it again", || ![second.as_str(), "0\n", ""].contains(&daemon().as_str()));
    wait::until_true("the daemon", || machine.run(["systemctl", "is-active", "authflow-sessiond"]).status.success());
    assert_eq!(identities(&machine), before);

    for (person, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        assert_eq!(person.shell("echo still here"), "still here");
        person.type_line("exit");
        let _ = person.end();
        assert_eq!(end_reason(&machine, user), "logout");
    }
}

#[test]
fn the_sessions_outlive_a_restart_of_the_bus_and_end_once_each() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = log_in(&machine, "alice", &mut phone);
    let before = identities(&machine);
    let _ = machine.run(["systemctl", "restart", "dbus"]).success();
    // systemd starts the daemon with the bus, or the first who asks does.
    let listed = || machine.run(["authflow", "sessions", "--json"]);
    wait::until_true("the daemon", || listed().status.success());
    assert_eq!(identities(&machine), before);
    assert_eq!(alice.shell("echo still here"), "still here");
    let mut second = log_in(&machine, "alice", &mut phone);
    for person in [&mut alice, &mut second] {
        person.type_line("exit");
        let _ = person.end();
    }
    wait::until_true("both ends", || sessions(&machine).is_empty());
    let ended = history(&machine);
    assert_eq!(ended.iter().map(|ended| word(ended, "end_reason")).collect::<Vec<_>>(), ["logout", "logout"]);
}

#[test]
fn who_was_let_in_while_the_daemon_hung_is_tracked_as_soon_as_it_goes_on() {
    let rule = EVERY_SERVICE.replace("\"*\"", "\"sshd\"");
    let Some(machine) = machine(&format!("bus_timeout = \"1s\"\n{rule}")) else { return };
    let mut phone = machine.enroll("alice");
    let signal = |name: &str| {
        let _ = machine.run(["systemctl", "kill", "--signal", name, "authflow-sessiond"]).success();
    };
    signal("STOP");
    let mut alice = machine.ssh("alice", &[]);
    answer(&machine, &mut alice, &phone.code());
    alice.expect("$ ");
    machine.logged(&["daemon-away", "user=alice"]);
    signal("CONT");
    machine.logged(&["event=adopted", "user=alice"]);
    assert_eq!(session_of(&machine, "alice")["state"], "active");
}

#[test]
fn a_user_opens_no_session_and_ends_no_other() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    let other = word(&session_of(&machine, "bob"), "id").to_owned();
    let _ = machine.run(["systemctl", "start", "polkit"]).success();
    let open = "OpenSession 'a{sv}' 3 User s alice Uid u 1000 Service s login";
    let revoke = format!("Revoke ss {other} ''");
    for (call, why) in [
        (open, "only root's login programs open sessions"),
        (revoke.as_str(), "no such session"),
        (&format!("CloseSession s {other}"), "no such session"),
    ] {
        let said = alice.shell(&format!("{MANAGER} {call}; echo code=$?"));
        assert!(said.contains(why) && said.contains("code=1"), "{call}: {said}");
    }
    assert_eq!(sessions(&machine).len(), 2);
    assert_eq!(bob.shell("echo still here"), "still here");
    // Nor does she take the daemon's name.
    let _ = machine.run(["systemctl", "stop", "authflow-sessiond"]).success();
    let name =
        "busctl --system call org.freedesktop.DBus / org.freedesktop.DBus RequestName su org.authflow.sessiond1 4";
    let said = alice.shell(name);
    assert!(said.contains("Access denied"), "{said}");
}

#[test]
fn polkit_makes_a_user_a_manager() {
    let Some(machine) = machine(EVERY_SERVICE) else { return };
    let rule = "polkit.addRule(function(action, subject) {\n\
        if (action.id == 'org.authflow.sessiond1.manage' && subject.user == 'alice') return polkit.Result.YES;\n});\n";
    machine.write("/etc/polkit-1/rules.d/10-alice.rules", rule);
    let _ = machine.run(["systemctl", "restart", "polkit"]).success();
    let mut alice = log_in(&machine, "alice", &mut machine.enroll("alice"));
    let mut bob = log_in(&machine, "bob", &mut machine.enroll("bob"));
    let mut carol = log_in(&machine, "carol", &mut machine.enroll("carol"));
    let other = word(&session_of(&machine, "bob"), "id").to_owned();
    let revoke = format!("{MANAGER} Revoke ss {other} ''; echo code=$?");
    assert!(carol.shell(&revoke).contains("code=1"));
    assert_eq!(alice.shell(&revoke), "code=0");
    let _ = bob.end();
    assert_eq!(end_reason(&machine, "bob"), "revoked");
}

/// A booted machine with our lines in the common stacks. alice has to prove herself to sudo, bob has not.
fn machine(config: &str) -> Option<Machine> {
    let users = ["alice", "bob", "carol"].into_iter().fold(Machine::booted()?, |plan, user| plan.user(user));
    let common = users.sshd(SSHD).common_stacks();
    Some(common.file("/etc/sudoers.d/bed", SUDOERS).config(config).start())
}

fn answer(machine: &Machine, person: &mut Person, code: &str) {
    // sudo has words of its own for it.
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

/// Runs a line of shell as that user, without a terminal or a login.
fn as_user(machine: &Machine, user: &str, line: &str) -> authflow_tests::Output {
    machine.run(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "sh", "-c", line])
}

/// Whether systemd runs a manager for that user.
fn manages(machine: &Machine, user: &str) -> bool {
    machine.shell(&format!("systemctl is-active user@$(id -u {user}).service")).stdout == "active\n"
}

/// What authflow refused, by its log.
fn refusals(machine: &Machine) -> Vec<String> {
    machine
        .log()
        .lines()
        .filter(|line| line.contains("authflow") && line.contains("refused"))
        .map(str::to_owned)
        .collect()
}

fn running(machine: &Machine, command: &str) -> Vec<String> {
    machine.run(["pgrep", "-f", &format!("^{command}")]).stdout.lines().map(str::to_owned).collect()
}

fn sessions(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
}

fn history(machine: &Machine) -> Vec<Value> {
    machine.run(["authflow", "history", "--json"]).json().as_array().expect("a list").clone()
}

/// What must not change while a session lives.
fn identities(machine: &Machine) -> Vec<String> {
    let keys = ["id", "user", "service", "leader", "opened_at", "authenticated_at", "logind_id", "factors"];
    let told = |session: &Value| keys.map(|key| session[key].to_string()).join(" ");
    let mut all: Vec<_> = sessions(machine).iter().map(told).collect();
    all.sort();
    all
}

#[track_caller]
fn session_of(machine: &Machine, user: &str) -> Value {
    let sessions = sessions(machine);
    sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}")).clone()
}

#[track_caller]
fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no word {key} in {value:#}"))
}

/// Why the only session of that user that has ended did so.
#[track_caller]
fn end_reason(machine: &Machine, user: &str) -> String {
    let ended = wait::until("the end in the history", || {
        let ended: Vec<_> = history(machine).into_iter().filter(|ended| ended["user"] == user).collect();
        (!ended.is_empty()).then_some(ended)
    });
    assert_eq!(ended.len(), 1, "{ended:#?}");
    word(&ended[0], "end_reason").to_owned()
}
