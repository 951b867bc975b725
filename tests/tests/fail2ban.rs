//! The example filter for fail2ban, judged by fail2ban itself on what a real sshd makes us log: guesses count against the address that they
//! came from, whatever the user's name says.

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
