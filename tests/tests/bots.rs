//! Guessers from the network, against whom others lock the owner out (linux-pam#857, #865): they are stopped where they come from, and
//! neither another address nor the console is theirs to lock, root's included.

use authflow_tests::{Authenticator, Machine};

const CONFIG: &str = r#"
[throttle]
attempts = 2
[[rule]]
name = "all"
service = ["sshd", "login", "door"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

const DOOR: &str = "auth required pam_authflow.so\naccount required pam_authflow.so\n";

#[test]
fn a_bot_at_ssh_locks_neither_the_console_nor_another_address() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(CONFIG).sshd(SSHD).shipped_pam("login").start();
    for user in ["alice", "root"] {
        let mut phone = machine.enroll(user);
        for _ in 0..3 {
            assert!(!by_ssh(&machine, user, "10.77.0.2", "a guess", &phone.wrong_code()));
        }
        machine.logged(&[&format!("user={user}"), "rhost=10.77.0.2", "locked for this source until"]);
        assert!(at_the_console(&machine, user, &mut phone), "{user} at the console");
        assert!(by_ssh(&machine, user, "10.77.0.1", machine.password(), &phone.code()), "{user} from elsewhere");
    }
}

#[test]
fn a_hundred_bots_stop_strangers_and_nobody_who_was_here_before() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(CONFIG).pam("door", DOOR).shipped_pam("login").without_daemon().start();
    let mut phone = machine.enroll("alice");
    assert!(at_the_door(&machine, "192.0.2.1", &phone.code()));
    for net in 0..4 {
        let guess = format!("printf 'a guess\\n000000\\n' | pamtester -I rhost=10.0.{net}.$i door alice authenticate");
        // Each waits the delay of a failure, all of them at once.
        let _ = machine.shell(&format!("for i in $(seq 26); do ({guess}) >/dev/null 2>&1 & done; wait")).success();
    }
    let counted = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
    assert_eq!(counted["throttle"]["stopped_for_strangers"], true, "{counted:#}");
    // The right answers, from an address that never failed.
    assert!(!at_the_door(&machine, "192.0.2.9", &phone.code_at(1)));
    machine.logged(&["user=alice", "rhost=192.0.2.9", "stopped for unknown sources"]);
    assert!(at_the_console(&machine, "alice", &mut phone));
    assert!(at_the_door(&machine, "192.0.2.9", &phone.code()), "a success from here has cleared the count");
}

fn by_ssh(machine: &Machine, user: &str, from: &str, password: &str, code: &str) -> bool {
    let mut client = machine.ssh_from(from, user, &["true"]);
    client.answer_all(&[("Password: ", password), ("Verification code: ", code)]).success()
}

fn at_the_console(machine: &Machine, user: &str, phone: &mut Authenticator) -> bool {
    let mut console = machine.person(["login", user]);
    console.expect("Password: ");
    console.type_line(machine.password());
    console.expect("Verification code: ");
    console.type_line(&phone.code());
    console.expect(if user == "root" { "# " } else { "$ " });
    console.shell("id -un") == user
}

fn at_the_door(machine: &Machine, from: &str, code: &str) -> bool {
    let from = format!("rhost={from}");
    let mut client = machine.person(["pamtester", "-I", &from, "door", "alice", "authenticate", "acct_mgmt"]);
    client.answer_all(&[("Password: ", machine.password()), ("Verification code: ", code)]).success()
}
