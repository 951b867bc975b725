//! `make demo`: the main job before your eyes, on real programs in throw-away namespaces. Nothing of this machine's own is touched.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a demonstration shows itself, in real time")]

use std::io::{BufRead as _, Write as _};

use authflow_tests::{Authenticator, Machine, Person, wait};

const CONFIG: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
session = { idle = "24s", warn = "8s" }
"#;

fn main() {
    let Some(plan) = Machine::overlay() else { return };
    say("A throw-away machine: its own /etc, users, system bus and sshd");
    let machine = plan
        .config(CONFIG)
        .user("alice")
        .user("bob")
        .sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no")
        .start();
    show(&machine, "cat /etc/authflow/authflow.toml");

    say("alice gets a password, and an authenticator to scan with a phone");
    let mut bobs_phone = machine.enroll("bob");
    let set = ["authflow", "passwd", "--user", "alice", "--stdin"];
    println!("root# {} < PASSWORD\n{}", set.join(" "), machine.feed(set, machine.password().as_bytes()).success());
    let added = show(&machine, "authflow factor add totp --user alice --name phone --no-confirm");
    let mut alices_phone = Authenticator::new(secret_in(&added));
    show(&machine, "authflow factor list --user alice");

    if std::env::var("INTERACTIVE").is_ok_and(|value| value == "1") {
        return leave_running(&machine, &alices_phone);
    }

    say("She logs in with a real OpenSSH client: password, code, shell");
    let code = alices_phone.code();
    let mut alice = answer(&machine, "alice", machine.password(), &code);
    alice.expect("$ ");
    print!("{}", alice.screen());
    say("What root sees, and what she sees");
    show(&machine, "authflow sessions");
    println!("alice$ authflow status\n{}", alice.shell("authflow status"));

    say("The same code a second time");
    refused(answer(&machine, "alice", machine.password(), &code));
    say("A wrong password and a wrong code look alike");
    let wrong_password = refused(answer(&machine, "alice", "not her password", &alices_phone.code()));
    let wrong_code = refused(answer(&machine, "alice", machine.password(), &alices_phone.wrong_code()));
    assert_eq!(wrong_password, wrong_code);
    println!("the client saw the same");

    say("A session left alone is warned, then ended; a busy one next to it lives on (24 s)");
    let mut bob = answer(&machine, "bob", machine.password(), &bobs_phone.code());
    bob.expect("$ ");
    while alice.is_there() {
        bob.shell("echo typing");
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    let _ = alice.end();
    let screen = alice.screen();
    show_told("alice", &screen, "authflow: nobody");
    show_told("alice", &screen, "ends now");
    is_still_here("bob", &mut bob);

    say("Revoked: shell and children end at once, and bob is told why");
    bob.type_line("(sleep 4711 & setsid sleep 4712 & wait)");
    let id = id_of(&machine, "bob");
    show(&machine, &format!("authflow revoke {} --message 'the laptop is lost'", id.get(..8).unwrap_or(&id)));
    bob.expect("the laptop is lost");
    let _ = bob.end();
    show_told("bob", &bob.screen(), "the laptop is lost");
    wait::until_true("the end of bob's children", || !machine.shell("pgrep -f 'sleep 471[12]'").status.success());
    println!("none of bob's processes is left");

    say("The daemon is killed with -9 and started again; a login survives it and still ends by logout");
    let mut alice = answer(&machine, "alice", machine.password(), &alices_phone.code());
    alice.expect("$ ");
    machine.kill_daemon();
    is_still_here("alice", &mut alice);
    machine.start_daemon();
    let sessions = show(&machine, "authflow sessions");
    assert!(sessions.contains("alice"), "the new daemon does not know of her");
    alice.type_line("exit");
    let _ = alice.end();
    say("And the history of it all");
    wait::until_true("the logout", || machine.shell("authflow history").stdout.contains("logout"));
    let history = show(&machine, "authflow history");
    for why in ["idle", "revoked", "logout"] {
        assert!(history.contains(why), "no end by {why}");
    }
}

fn leave_running(machine: &Machine, phone: &Authenticator) {
    let first = machine.first_process();
    say("It is running. From another root shell on this machine:");
    println!("  nsenter --net --target {first} ssh -o UserKnownHostsFile=/dev/null alice@127.0.0.1");
    println!("  password:  {}", machine.password());
    println!("  code:      oathtool --totp --base32 {}", phone.secret);
    println!("  a root shell inside:  nsenter --all --target {first} --root --wd bash");
    println!("Sessions end after 24 s without a key. Press Enter here to end it all.");
    let _ended = std::io::stdin().lock().read_line(&mut String::new());
}

/// Answers both questions of an ssh login.
fn answer(machine: &Machine, user: &str, password: &str, code: &str) -> Person {
    let mut person = machine.ssh(user, &[]);
    person.expect("Password: ");
    person.type_line(password);
    person.expect("Verification code: ");
    person.type_line(code);
    person
}

fn refused(mut person: Person) -> String {
    person.expect("Permission denied");
    let _ = person.end();
    print!("{}", person.screen());
    person.screen()
}

/// Shows what somebody was told on the terminal. Without it there is nothing to see here.
fn show_told(user: &str, screen: &str, words: &str) {
    let told: Vec<_> = screen.lines().filter(|line| line.contains(words)).collect();
    assert!(!told.is_empty(), "{user} was not told {words:?}:\n{screen}");
    told.iter().for_each(|line| println!("on {user}'s terminal: {line}"));
}

fn is_still_here(user: &str, person: &mut Person) {
    let told = person.shell("echo still here");
    println!("{user}$ echo still here\n{told}");
    assert_eq!(told, "still here");
}

fn id_of(machine: &Machine, user: &str) -> String {
    let sessions = machine.run(["authflow", "sessions", "--json", "--user", user]).json();
    sessions[0]["id"].as_str().unwrap_or_default().to_owned()
}

/// What a phone reads off the QR code.
fn secret_in(shown: &str) -> &str {
    shown.lines().find_map(|line| line.strip_prefix("Secret: ")).unwrap_or_default()
}

fn show(machine: &Machine, line: &str) -> String {
    let printed = machine.shell(line).success();
    println!("root# {line}\n{printed}");
    printed
}

fn say(text: &str) {
    println!("\n\x1b[1m== {text}\x1b[0m");
    let _flushed = std::io::stdout().flush();
}
