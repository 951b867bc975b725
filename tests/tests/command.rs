//! The command before people's eyes: on terminals of any width, kept up to date, in a prompt; and what programs get instead.

use authflow_tests::{Machine, Person, wait};
use serde_json::Value;

const CONFIG: &str = r#"
[[rule]]
name = "all"
service = ["sshd", "sudo"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

#[test]
fn the_view_follows_what_happens_and_leaves_the_terminal_as_it_was() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let mut root = root(&machine);
    let before = root.shell("stty -g");
    for leave in ["q", "\u{3}", ""] {
        root.type_line("authflow sessions --watch; echo left-$((6*7))");
        root.expect("\u{1b}[?1049h");
        root.expect("0 sessions");
        let mut alice = machine.log_in("alice", &mut phone);
        root.expect("1 session ");
        root.expect("alice");
        alice.type_line("exit");
        let _ = alice.end();
        root.expect("0 sessions");
        match leave {
            "" => drop(machine.run(["pkill", "-TERM", "-x", "authflow"]).success()),
            key => root.type_bytes(key.as_bytes()),
        }
        root.expect("\u{1b}[?1049l");
        root.expect("left-42");
        assert_eq!(root.shell("stty -g"), before, "after {leave:?}");
    }
}

#[test]
fn a_view_outlives_the_daemon_and_says_that_it_is_away() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let mut root = root(&machine);
    root.type_line("authflow sessions --watch");
    root.expect("1 session ");
    machine.kill_daemon();
    // Nobody announces that; it is noticed when the list is asked for again.
    root.expect("the daemon is away");
    root.expect("alice");
    machine.start_daemon();
    root.expect("1 session  (q");
    assert_eq!(alice.shell("echo still here"), "still here");
    root.type_bytes(b"q");
    root.expect("\u{1b}[?1049l");
}

#[test]
fn programs_get_a_line_for_each_change_and_no_screen() {
    let Some(machine) = machine() else { return };
    let refusal = machine.run(["authflow", "sessions", "--watch"]).failure(2);
    assert!(refusal.contains("--watch --json"), "{refusal}");
    let _stream = machine.start(["sh", "-c", "authflow sessions --watch --json > /root/changes"]);
    let numbers = || {
        let lines = machine.read("/root/changes");
        let complete = lines.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        complete.map(|line| serde_json::from_str::<Vec<Value>>(line).expect("an array").len()).collect::<Vec<_>>()
    };
    wait::until_true("the first list", || numbers() == [0]);
    let mut alice = log_in(&machine, "alice");
    wait::until_true("alice in the list", || numbers().last() == Some(&1));
    alice.type_line("exit");
    wait::until_true("alice out of it", || numbers().last() == Some(&0));
}

#[test]
fn nothing_is_wider_than_the_terminal_and_what_matters_stays() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut phone);
    // A session inside hers.
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    alice.type_line("sudo -s");
    machine.give_answers(&mut alice, &phone.code());
    alice.expect("# ");
    let _ = log_in(&machine, "bob");
    wait::until_true("bob's end in the history", || !machine.history("bob").is_empty());
    let mut root = root(&machine);
    for (columns, shown, hidden) in [(40, "LEFT", "FROM"), (80, "FROM", "OPENED"), (200, "OPENED", "nothing")] {
        let mut on = |command: &str| {
            let line = format!("stty cols {columns}; TERM=xterm {command}; stty cols 400");
            let screen = plain(&root.shell(&line));
            let widest = screen.lines().map(|line| line.chars().count()).max().unwrap_or(0);
            assert!(widest <= columns, "{columns}: {screen}");
            screen
        };
        let sessions = on("authflow sessions");
        assert!(sessions.contains(shown) && !sessions.contains(hidden), "{columns}: {sessions}");
        assert!(sessions.contains("\u{2514} alice as root"), "{columns}: {sessions}");
        let history = on("authflow history");
        assert!(history.contains("bob") && history.contains("REASON"), "{columns}: {history}");
        // Its sentences may wrap, where a table must not.
        if columns >= 80 {
            assert!(on("authflow report").contains("REASON"));
        }
    }
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let Some(machine) = machine() else { return };
    let _alice = log_in(&machine, "alice");
    let mut root = root(&machine);
    let mut is_coloured =
        |before: &str, after: &str| root.shell(&format!("{before} authflow sessions {after}")).contains("\u{1b}[1mID");
    assert!(is_coloured("TERM=xterm", ""));
    assert!(!is_coloured("TERM=xterm NO_COLOR=1", ""));
    assert!(!is_coloured("TERM=dumb", ""));
    assert!(!is_coloured("TERM=xterm", "| cat"));
    assert!(!is_coloured("TERM=xterm", "--json"));
}

#[test]
fn a_prompt_shows_the_session_and_nothing_where_there_is_none() {
    let Some(machine) = machine() else { return };
    let mut alice = log_in(&machine, "alice");
    let short = alice.shell("authflow status --short");
    assert!(short.starts_with("AAL2 ") && short.ends_with(" min") && short.len() < 16, "{short:?}");
    let quiet = |code: i32| {
        let said = machine.run(["authflow", "status", "--short"]);
        assert_eq!((said.status.code(), said.stdout.as_str(), said.stderr.as_str()), (Some(code), "", ""));
    };
    quiet(3);
    // What is wrong elsewhere is for other commands to tell.
    machine.write("/etc/authflow/authflow.toml", "[[rule");
    quiet(3);
    assert_eq!(alice.shell("authflow status --short 2>&1"), short);
    machine.kill_daemon();
    quiet(5);
    let _ = machine.run(["authflow", "status"]).failure(5);
}

fn machine() -> Option<Machine> {
    Some(Machine::overlay()?.user("alice").user("bob").config(CONFIG).sshd(SSHD).shipped_pam("sudo").start())
}

fn log_in(machine: &Machine, user: &str) -> Person {
    let mut phone = machine.enroll(user);
    machine.log_in(user, &mut phone)
}

/// Root at a terminal, in no session of ours.
fn root(machine: &Machine) -> Person {
    machine.person(["bash", "--norc"])
}

/// What is left on a screen when the colours are taken away.
fn plain(text: &str) -> String {
    let mut left = String::new();
    let mut parts = text.split('\u{1b}');
    left.extend(parts.next());
    for part in parts {
        left.push_str(part.split_once('m').map_or("", |(_colour, rest)| rest));
    }
    left
}
