//! The README's way from nothing to a protected login, typed as it stands there on a stock Debian, with Ctrl-C at each command first. After
//! each, done or broken off, alice logs in over ssh with what she has by then.

use authflow_tests::{Authenticator, Machine, Packages, Person, wait};

const CTRL_C: &[u8] = b"\x03";

/// The commands of the README's section, in their order, each with the prompt in front of it.
fn commands() -> Vec<(char, String)> {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("From nothing to a protected login"));
    let block = section.and_then(|section| section.split("```").nth(1)).expect("the section has a block of commands");
    let command = |line: &str| {
        let (prompt, command) = line.split_once(' ')?;
        Some((prompt.chars().next().filter(|c| matches!(c, '#' | '$'))?, command.to_owned()))
    };
    block.lines().filter_map(command).collect()
}

struct Site {
    machine: Machine,
    phone: Option<Authenticator>,
    /// Whether a code is asked.
    is_protected: bool,
}

impl Site {
    fn alice_gets_in(&self, when: &str) {
        let mut alice = self.machine.ssh("alice", &["echo in-$((6*7))"]);
        alice.expect("assword: ");
        alice.type_line(self.machine.password());
        self.give_code(&mut alice);
        let _ = alice.end();
        assert!(alice.sees("in-42"), "{when}: {}\n{}", alice.screen(), self.machine.log());
    }

    /// A code passes once, and there are more logins here than codes.
    fn give_code(&self, alice: &mut Person) {
        let Some(phone) = self.phone.as_ref().filter(|_| self.is_protected) else { return };
        alice.expect("Verification code: ");
        let _ = self.machine.shell("rm -f /var/lib/authflow/state/alice").success();
        alice.type_line(&phone.code_at(0));
    }
}

/// Types a command, waits for these words, and presses Ctrl-C.
fn break_off(person: &mut Person, command: &str, at: &str, prompt: &str) {
    person.type_line(command);
    person.expect(at);
    person.type_bytes(CTRL_C);
    person.expect(prompt);
}

fn shell(machine: &Machine) -> Person {
    let mut person = machine.person(["env", "-C", "/root/packages", "PS1=READY# ", "bash", "--norc", "--noprofile"]);
    person.expect("READY# ");
    person
}

#[test]
fn five_commands_protect_a_login_and_ctrl_c_at_none_of_them_locks_anybody_out() {
    let commands = commands();
    assert!(commands.len() <= 6, "{commands:?}");
    let commands: Vec<&str> = commands.iter().map(|(_, command)| command.as_str()).collect();
    let [install, enrol, setup, ssh, confirm] = commands[..] else { panic!("not the five of this test: {commands:?}") };
    let Some(packages) = Packages::built() else { return };
    let Some(plan) = Machine::booted() else { return };
    let machine = plan.user("alice").without_authflow().file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n").start();
    let _ = machine.take(&packages);
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
    let mut site = Site { machine, phone: None, is_protected: false };
    let mut root = shell(&site.machine);

    for moment in ["Reading package lists", "Unpacking"] {
        break_off(&mut root, install, moment, "READY# ");
        site.alice_gets_in("apt was broken off");
    }
    root.type_line(install);
    root.expect("READY# ");
    root.type_line("dpkg --verify authflow && systemctl is-active authflow-sessiond");
    root.expect("\nactive");
    root.expect("READY# ");
    site.alice_gets_in("installed");

    break_off(&mut root, enrol, "Code that the app shows now: ", "READY# ");
    site.alice_gets_in("enrolment was broken off");
    root.type_line(enrol);
    root.expect("Secret: ");
    let phone = Authenticator::new(root.expect("\r\n").trim());
    root.expect("Code that the app shows now: ");
    root.type_line(&phone.code_at(0));
    // Sessions that somebody else may have opened: there are none to end.
    root.expect("alice now has");
    root.expect("READY# ");
    site.phone = Some(phone);
    site.alice_gets_in("enrolled");

    break_off(&mut root, setup, "[y/N] ", "READY# ");
    site.alice_gets_in("setup was broken off");
    root.type_line(setup);
    root.expect("[y/N] ");
    root.type_line("y");
    root.expect("sudo authflow setup confirm");
    root.expect("READY# ");
    site.is_protected = true;
    site.alice_gets_in("live");

    let mut terminal = shell(&site.machine);
    terminal.type_line(ssh);
    terminal.expect("continue connecting");
    terminal.type_line("yes");
    terminal.expect("assword: ");
    terminal.type_bytes(CTRL_C);
    terminal.expect("READY# ");
    site.alice_gets_in("ssh was broken off");
    terminal.type_line(ssh);
    terminal.expect("assword: ");
    terminal.type_line(site.machine.password());
    site.give_code(&mut terminal);
    terminal.expect("$ ");

    terminal.type_line(confirm);
    terminal.expect("password for alice: ");
    // sudo forgets what was typed in the moment after its prompt: whoever presses once more is heard.
    let prompts = |person: &Person| person.screen().matches("alice@bed:~$ ").count();
    let before = prompts(&terminal);
    wait::until_true("sudo's end", || {
        terminal.type_bytes(CTRL_C);
        let _ = terminal.sees("");
        prompts(&terminal) > before
    });
    terminal.expect("$ ");
    site.alice_gets_in("the confirmation was broken off");
    terminal.type_line(confirm);
    terminal.expect("password for alice: ");
    terminal.type_line(site.machine.password());
    terminal.expect("sshd for alice stays");
    assert!(!site.machine.path("/var/lib/authflow/setup/pending").exists());
    site.alice_gets_in("confirmed");
    let session = site.machine.sessions().into_iter().find(|session| session["rule"] == "setup-sshd");
    assert_eq!(session.expect("the protected login")["aal"], 2);

    // And out again: the packages name the way.
    let refused = site.machine.dpkg(&["--remove", "libpam-authflow"]).failure(1);
    assert!(refused.contains("/etc/pam.d/sshd") && refused.contains("authflow setup remove"), "{refused}");
    site.alice_gets_in("the packages stay");
    let _ = site.machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _ = site.machine.dpkg(&["--remove", "authflow", "libpam-authflow"]).success();
    site.is_protected = false;
    site.alice_gets_in("removed");
}
