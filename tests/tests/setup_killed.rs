//! `authflow setup` stopped at every change that it makes, by Ctrl-C and by `kill -9`: whoever got in before gets in then, with what the
//! user has, and what was left half done is finished or taken back.

use authflow_tests::{Authenticator, Machine, Program, wait};

/// Debian's own sshd and stacks, without systemd. alice has a password, kay a key and no password; both have an authenticator.
struct Site {
    machine: Machine,
    _sshd: Program,
    phone: Authenticator,
    stock: String,
}

const SETUP: &str = "authflow setup sshd --user alice --user kay --yes";
const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// More changes of names than setup makes.
const MOST: usize = 30;

impl Site {
    fn new() -> Option<Self> {
        let machine = Machine::overlay()?.user("alice").user("kay").start();
        let _ = machine.feed(["chpasswd"], format!("alice:{0}\nroot:{0}\n", machine.password()).as_bytes()).success();
        for user in ["alice", "kay"] {
            let add = ["authflow", "factor", "add", "totp", "--user", user, "--secret-stdin", "--no-confirm"];
            let _ = machine.feed(add, SECRET.as_bytes()).success();
        }
        let key = "ssh-keygen -q -t ed25519 -N '' -f /root/key && install -d -o kay -m 700 /home/kay/.ssh && \
                   install -o kay -m 600 /root/key.pub /home/kay/.ssh/authorized_keys && ssh-keygen -A";
        let _ = machine.shell(key).success();
        let sshd = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1"]);
        let answers = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3";
        wait::until_true("sshd", || machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
        let phone = Authenticator::new(SECRET);
        let stock = files(&machine);
        Some(Self { machine, _sshd: sshd, phone, stock })
    }

    /// Runs a command that gets this signal when it is about to give a file its name for the nth time. Whether it came that far.
    fn stopped_at(&self, number: usize, signal: &str, command: &str) -> bool {
        self.stopped_when("rename", &format!("signal={signal}:when={number}"), command)
    }

    /// Runs a command that gets a signal when it is about to change the nth of the files that decide who gets in.
    fn stopped_at_file(&self, number: usize, signal: &str, command: &str) -> bool {
        // A new text is there under another name first.
        let calls = "(rename|unlink) -P /etc/authflow/authflow.toml.d/50-setup-sshd.toml -P /etc/pam.d/.sshd.new \
                     -P /etc/authflow/authflow.toml.d/.50-setup-sshd.toml.new -P /etc/ssh/sshd_config.d/10-authflow.conf";
        self.stopped_when(calls, &format!("signal={signal}:when={number}"), command)
    }

    fn stopped_when(&self, calls: &str, when: &str, command: &str) -> bool {
        let run = self.machine.shell(&to_be_stopped(calls, when, command));
        let is_stopped =
            [Some(128 + 9), Some(128 + 2)].contains(&run.status.code()) || run.stderr.contains("as you asked");
        assert!(run.status.success() || is_stopped, "{run:#?}");
        is_stopped
    }

    #[track_caller]
    fn everybody_gets_in(&self, when: &str) {
        let code = self.phone.code_at(0);
        for (user, options) in [("alice", &[][..]), ("kay", &["-i", "/root/key"])] {
            if let Err(screen) = self.log_in(user, options, &code) {
                panic!("{user}, {when}: {screen}\n{}", self.machine.log());
            }
        }
    }

    /// Logs somebody in who has those options and knows that code; else gives what was on the screen.
    fn log_in(&self, user: &str, options: &[&str], code: &str) -> Result<(), String> {
        self.run_in_login((user, options, code), "true").map(drop)
    }

    /// The same for a command; gives the screen.
    fn run_in_login(&self, (user, options, code): (&str, &[&str], &str), command: &str) -> Result<String, String> {
        let answers = [("assword: ", self.machine.password()), ("Verification code: ", code)];
        let mut screen = String::new();
        // An sshd that reads its configuration anew takes no connection for a moment.
        for _ in 0..20 {
            // A code passes once, and there are more logins here than codes.
            let _ = self.machine.shell("rm -f /var/lib/authflow/state/alice /var/lib/authflow/state/kay").success();
            let command = format!("{command}; echo in-$((6*7))");
            let mut person = self.machine.ssh(user, &[options, &[command.as_str()]].concat());
            let _ = person.answer_all(&answers);
            screen = person.screen();
            if person.sees("in-42") {
                return Ok(screen);
            }
            if screen.contains("Permission denied") {
                break;
            }
        }
        Err(screen)
    }

    #[track_caller]
    fn roll_back(&self, when: &str) {
        let _ = self.machine.run(["authflow", "setup", "rollback", "--yes"]).success();
        assert_eq!(files(&self.machine), self.stock, "{when}");
    }

    /// Whether `authflow check` has a finding of that id.
    fn check_tells(&self, id: &str) -> bool {
        let said = self.machine.run(["authflow", "check", "--json"]).stdout;
        let found: Vec<serde_json::Value> = serde_json::from_str(&said).expect("a list");
        found.iter().any(|finding| finding["id"] == id)
    }

    /// A setup that was confirmed, without a login that does it.
    fn set_up_for_good(&self) {
        let confirm =
            "rm /var/lib/authflow/setup/pending && for f in /var/lib/authflow/setup/2*; do touch $f/confirmed; done";
        let _ = self.machine.shell(&format!("{SETUP} && {confirm}")).success();
    }

    /// Nobody does by a password and no code, and whoever has a key does.
    #[track_caller]
    fn keys_alone_let_in(&self, when: &str) {
        let screen = self.log_in("alice", &[], "000000").expect_err(when);
        assert!(screen.contains("Permission denied"), "{when}: {screen}");
        let kay = self.log_in("kay", &["-i", "/root/key"], &self.phone.code_at(0));
        assert_eq!(kay, Ok(()), "{when}: {}", self.machine.log());
    }
}

/// That command, which gets a signal or an error at those calls.
fn to_be_stopped(calls: &str, when: &str, command: &str) -> String {
    let (names, paths) = calls.split_once(' ').unwrap_or((calls, ""));
    format!("strace -qq -o /dev/null -e 'trace=/^{names}' -e 'inject=/^{names}:{when}' {paths} {command}")
}

/// Everything that setup may touch, as text.
fn files(machine: &Machine) -> String {
    let listed = "for f in /etc/pam.d/* /etc/ssh/sshd_config.d/* /etc/authflow/*.toml /etc/authflow/authflow.toml.d/*; do \
                  [ -f $f ] && stat -c '%n %a %U:%G' $f && cat $f; done; true";
    machine.shell(listed).success()
}

#[test]
fn killed_at_any_change_setup_leaves_everybody_a_way_in() {
    let Some(site) = Site::new() else { return };
    let mut number = 1;
    while site.stopped_at(number, "SIGKILL", SETUP) {
        let when = format!("killed at {number}");
        site.everybody_gets_in(&when);
        if site.machine.path("/var/lib/authflow/setup/pending").exists() && number % 2 == 0 {
            site.roll_back(&when);
        }
        // Else the next setup takes it back first.
        number += 1;
        assert!(number < MOST, "it never came to its end");
    }
    assert!(number > 7, "it was stopped too seldom: {number}");
    site.everybody_gets_in("all is live");
    assert!(files(&site.machine).contains("setup-sshd"), "the last one was not stopped");

    // The way back, killed as often, and run again.
    let mut number = 1;
    while site.stopped_at(number, "SIGKILL", "authflow setup rollback --yes") {
        site.everybody_gets_in(&format!("the roll-back killed at {number}"));
        number += 1;
        assert!(number < MOST, "it never came to its end");
    }
    assert_eq!(files(&site.machine), site.stock);
    site.everybody_gets_in("all is back");
}

#[test]
fn ctrl_c_at_any_change_takes_back_what_was_made() {
    let Some(site) = Site::new() else { return };
    let mut number = 1;
    while site.stopped_at(number, "SIGINT", SETUP) {
        assert_eq!(files(&site.machine), site.stock, "Ctrl-C at {number}");
        assert!(!site.machine.path("/var/lib/authflow/setup/pending").exists(), "Ctrl-C at {number}");
        number += 1;
        assert!(number < MOST, "it never came to its end");
    }
    assert!(number > 7, "it was stopped too seldom: {number}");
    site.roll_back("after all of it");

    // Nobody confirms, and there is no systemd to wait for that.
    let _ = site.machine.shell(&format!("{SETUP} --rollback-after 30s")).success();
    site.everybody_gets_in("all is live");
    wait::until_true("the roll-back", || !site.machine.path("/var/lib/authflow/setup/pending").exists());
    assert_eq!(files(&site.machine), site.stock);
    site.everybody_gets_in("all is back");
}

#[test]
fn a_removal_that_is_stopped_anywhere_lets_nobody_in_by_less_and_goes_on_from_there() {
    let Some(site) = Site::new() else { return };
    // A machine that takes keys alone.
    site.machine.write("/etc/ssh/sshd_config.d/50-keys.conf", "PasswordAuthentication no\n");
    let _ = site.machine.shell("kill -HUP $(cat /run/sshd.pid)").success();
    let stock = files(&site.machine);
    site.keys_alone_let_in("stock");
    let mut was_told = false;
    for signal in ["SIGINT", "SIGKILL"] {
        let mut number = 1;
        loop {
            site.set_up_for_good();
            let is_stopped = site.stopped_at_file(number, signal, "authflow setup remove --yes");
            let when = format!("{signal} at {number}");
            site.keys_alone_let_in(&when);
            let is_on_the_way = files(&site.machine).contains("setup-sshd-on-the-way");
            was_told |= is_on_the_way;
            assert_eq!(site.check_tells("setup-on-the-way"), is_on_the_way, "{when}");
            let _ = site.machine.run(["authflow", "setup", "remove", "--yes"]).success();
            assert!(!site.check_tells("setup-on-the-way"), "{when}");
            let _ = site.machine.run(["rm", "-f", "/etc/authflow/authflow.toml.last-good"]).success();
            assert_eq!(files(&site.machine), stock, "{when}");
            if !is_stopped {
                break;
            }
            number += 1;
            assert!(number < MOST, "it never came to its end");
        }
        assert!(number >= 4, "it was stopped too seldom: {number}");
    }
    assert!(was_told, "it never stopped between the rules and sshd");
}

#[test]
fn a_confirmation_that_is_stopped_anywhere_is_whole_or_can_be_given_again() {
    let Some(site) = Site::new() else { return };
    site.machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n");
    let last_good = "/etc/authflow/authflow.toml.last-good";
    let waits = || site.machine.path("/var/lib/authflow/setup/pending").exists();
    let confirm = |command: &str| {
        site.run_in_login(("alice", &[], &site.phone.code_at(0)), &format!("sudo {command}")).expect("a login")
    };
    let _ = site.machine.shell(SETUP).success();
    let early = "open -P /var/lib/authflow/setup/pending";
    let screen = confirm(&to_be_stopped(early, "signal=SIGINT:when=1", "authflow setup confirm"));
    assert!(screen.contains("stopped as you asked, and not confirmed") && waits(), "{screen}");
    assert!(!site.machine.path(last_good).exists(), "nothing of it is there yet");
    site.roll_back("not confirmed");

    let mut last = 0;
    for (signal, most) in [("SIGKILL", MOST), ("SIGINT", 0)] {
        for number in 1..=most.max(last) {
            let when = format!("{signal} at {number}");
            let _ = site.machine.shell(SETUP).success();
            let calls = format!("signal={signal}:when={number}");
            let screen = confirm(&to_be_stopped("(rename|unlink)", &calls, "authflow setup confirm"));
            let is_whole = screen.contains("sshd for alice, kay stays");
            assert!(is_whole || signal == "SIGKILL", "{when}: what came too late to stop it ends nothing: {screen}");
            if waits() && number % 2 == 0 {
                site.roll_back(&when);
                assert!(!site.check_tells("config-not-applied"), "{when}");
            } else {
                if waits() {
                    let again = confirm("authflow setup confirm");
                    assert!(again.contains("stays"), "{when}: {again}");
                }
                assert!(!waits() && site.machine.path(last_good).exists(), "{when}");
                for id in ["config-no-last-good", "config-not-applied"] {
                    assert!(!site.check_tells(id), "{when}: {id}");
                }
                site.everybody_gets_in(&when);
                let _ = site.machine.run(["authflow", "setup", "remove", "--yes"]).success();
            }
            let _ = site.machine.run(["rm", "-f", last_good]).success();
            assert_eq!(files(&site.machine), site.stock, "{when}");
            last = number;
            if is_whole && signal == "SIGKILL" {
                break;
            }
        }
        assert!((4..MOST).contains(&last), "stopped too seldom, or never at its end: {last}");
    }
}
