//! The example filter for fail2ban, judged by fail2ban itself on what a real sshd makes us log: guesses count against the address that they
//! came from, whatever the user's name says.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use authflow_tests::Machine;

const RULE: &str = r#"
[throttle]
attempts = 2
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["password", "totp"]]
"#;

const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no";

const FILTER: &str = include_str!("../../conf/fail2ban/filter.d/authflow.conf");

/// Where `beds/install-deps.sh` unpacks it.
const FAIL2BAN: &str = "/var/lib/authflow-tests/fail2ban";

#[test]
fn guesses_count_against_their_own_address_and_nobody_elses() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(RULE).sshd(SSHD).start();
    let mut phone = machine.enroll("alice");
    guess(&machine, "alice", "10.77.0.5");
    guess(&machine, "alice", "10.77.0.5");
    machine.logged(&["reason=\"wrong password\"", "rhost=10.77.0.5"]);
    // Locked by now.
    guess(&machine, "alice", "10.77.0.5");
    guess(&machine, "nobody-here", "10.77.0.6");
    // OpenSSH's own client would not send most of these. Syslog is told the name of the program.
    let _ = machine.shell("cp /usr/bin/pamtester /root/sshd").success();
    let names = [
        "x rhost=203.0.113.9 tty=ssh reason=\"wrong password\"",
        "x\" rhost=203.0.113.9 tty=ssh reason=\"wrong password",
        "x\\\" rhost=203.0.113.9 tty=ssh reason=\"wrong password\"",
        "x\\",
    ];
    for name in names {
        let argv = ["/root/sshd", "-I", "rhost=10.77.0.6", "-I", "tty=ssh", "sshd", name, "authenticate"];
        let _ = machine.feed(argv, b"a guess\n000000\n").failure(1);
    }
    // A success, and a rule that refuses, are no guesses.
    let _at_home = machine.log_in("alice", &mut phone);
    assert_eq!(banned_by(&machine), ["10.77.0.5"; 3].into_iter().chain(["10.77.0.6"; 5]).collect::<Vec<_>>());
}

/// The shipped jail reads the journal, where a user's own line has the user's uid, whatever program it says it is of.
#[test]
fn in_the_journal_only_sshd_itself_counts() {
    let Some(plan) = Machine::booted() else { return };
    let machine = plan.user("alice").config(RULE).sshd(SSHD).start();
    let _ = machine.enroll("alice");
    guess(&machine, "alice", "10.77.0.5");
    let forged = "pam_authflow(sshd:auth): event=refused phase=authenticate service=sshd user=alice rhost=203.0.113.9 tty=ssh \
                  reason=\"wrong password\"";
    let forge = [
        "setpriv",
        "--reuid=alice",
        "--regid=alice",
        "--clear-groups",
        "logger",
        "-t",
        "sshd",
        "-p",
        "authpriv.notice",
    ];
    let _ = machine.run(forge.into_iter().chain([forged])).success();
    machine.logged(&["rhost=203.0.113.9"]);
    machine.logged(&["event=refused", "rhost=10.77.0.5"]);
    let folder = machine.shell("find /run/log/journal /var/log/journal -name system.journal -printf %h").success();
    let journal = format!("systemd-journal[journalpath={}]", machine.path(&folder).display());
    let config = tempfile();
    let copied = Command::new("cp").args(["-a", &format!("{FAIL2BAN}/etc/fail2ban")]).arg(&config.0).status();
    assert!(copied.expect("cp runs").success());
    std::fs::write(config.0.join("fail2ban/filter.d/authflow.conf"), FILTER).expect("it can be written");
    let output = Command::new("python3")
        .env("PYTHONPATH", format!("{FAIL2BAN}/usr/lib/python3/dist-packages"))
        .arg(format!("{FAIL2BAN}/usr/bin/fail2ban-regex"))
        .arg("-c")
        .arg(config.0.join("fail2ban"))
        .args(["-o", "ip", &journal, "authflow"])
        .output()
        .expect("fail2ban-regex runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told.lines().collect::<Vec<_>>(), ["10.77.0.5"], "{output:?}");
}

/// A folder that is gone with its value.
struct Folder(PathBuf);

fn tempfile() -> Folder {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fail2ban-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    Folder(folder)
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// One attempt from that address, with answers that are wrong.
fn guess(machine: &Machine, name: &str, from: &str) {
    let mut person = machine.ssh_from(from, name, &[]);
    person.expect("Password: ");
    person.type_line("a guess");
    person.expect("Verification code: ");
    person.type_line("000000");
    assert_ne!(person.end().code(), Some(0), "{}", person.screen());
}

/// The addresses that fail2ban counts, an entry a line that it matched.
fn banned_by(machine: &Machine) -> Vec<String> {
    machine.write(&format!("{FAIL2BAN}/etc/fail2ban/filter.d/authflow.conf"), FILTER);
    // As a syslog daemon writes them: without the priority, and with the host's name.
    let log = machine.log();
    let lines = log.lines().filter_map(|line| line.split_once('>')).map(|(_, line)| {
        let (time, rest) = line.split_at(16);
        format!("{time}gate {rest}\n")
    });
    machine.write("/var/log/auth.log", &lines.collect::<String>());
    let regex = format!("{FAIL2BAN}/usr/bin/fail2ban-regex");
    let python = format!("PYTHONPATH={FAIL2BAN}/usr/lib/python3/dist-packages");
    let config = format!("{FAIL2BAN}/etc/fail2ban");
    let argv = ["env", &python, "/usr/bin/python3", &regex, "-c", &config, "-o", "ip", "/var/log/auth.log", "authflow"];
    machine.run(argv).success().lines().map(str::to_owned).collect()
}
