//! `authflow setup` where the stacks that all services share keep people out: whoever was kept out before it is kept out behind it, with the
//! right password and code too.

use authflow_tests::{Authenticator, Machine, Program, wait};

/// Debian's own sshd and stacks, without systemd. alice has a password and an authenticator, bob a password.
struct Site {
    machine: Machine,
    _sshd: Program,
    phone: Authenticator,
}

const SETUP: &str = "authflow setup sshd --user alice --yes";

impl Site {
    fn new() -> Option<Self> {
        let machine = Machine::overlay()?.user("alice").user("bob").start();
        let passwords = format!("alice:{0}\nbob:{0}\n", machine.password());
        let _ = machine.feed(["chpasswd"], passwords.as_bytes()).success();
        machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
        let phone = machine.enroll("alice");
        let _ = machine.run(["ssh-keygen", "-A"]).success();
        let sshd = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1"]);
        let site = Self { machine, _sshd: sshd, phone };
        site.wait_for_sshd();
        Some(site)
    }

    fn wait_for_sshd(&self) {
        let answers = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3";
        wait::until_true("sshd", || self.machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
    }

    /// Sets sshd up, and gives what was said besides.
    #[track_caller]
    fn set_up(&self) -> String {
        let said = self.machine.shell(SETUP);
        assert!(said.status.success(), "{said:#?}");
        self.wait_for_sshd();
        said.stderr
    }

    /// Whether somebody gets in with the right answers to whatever is asked.
    fn gets_in(&mut self, user: &str) -> bool {
        // A code passes once, and there are more logins here than codes.
        let _ = self.machine.shell(&format!("rm -f /var/lib/authflow/state/{user}")).success();
        let code = self.phone.code_at(0);
        let mut person = self.machine.ssh(user, &["echo in-$((6*7))"]);
        let _ = person.answer_all(&[("assword: ", self.machine.password()), ("Verification code: ", &code)]);
        person.sees("in-42")
    }

    /// Somebody guesses a password so often at a service that is not ours.
    fn guesses(&self, user: &str, count: usize) {
        for _ in 0..count {
            let guess = ["pamtester", "elsewhere", user, "authenticate"];
            assert!(!self.machine.person(guess).answer_all(&[("assword: ", "a guess")]).success());
        }
    }

    /// How many failures pam_faillock has noted.
    fn noted(&self, user: &str) -> usize {
        let tallies = self.machine.run(["faillock", "--user", user]).success();
        tallies.lines().filter(|line| line.trim_end().ends_with('V')).count()
    }

    /// What `authflow check` tells, each by its id.
    fn told(&self) -> Vec<String> {
        let said = self.machine.run(["authflow", "check", "--json"]).stdout;
        let found: Vec<serde_json::Value> = serde_json::from_str(&said).expect("a list");
        found.iter().map(|finding| finding["id"].as_str().expect("an id").to_owned()).collect()
    }
}

/// As hardening guides write it for Debian, but that nobody waits after a guess.
const AUTH: &str = "auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok nodelay\n\
                    auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
const ACCOUNT: &str = "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\n\
                       account required pam_permit.so\naccount required pam_faillock.so\n";

#[test]
fn whoever_pam_faillock_has_locked_stays_locked_until_that_is_lifted() {
    let Some(mut site) = Site::new() else { return };
    site.machine.write("/etc/pam.d/common-auth", AUTH);
    site.machine.write("/etc/pam.d/common-account", ACCOUNT);
    site.machine.write("/etc/pam.d/elsewhere", "@include common-auth\n@include common-account\n");
    site.machine.write("/etc/security/faillock.conf", "deny = 5\nunlock_time = 900\nnodelay\n");
    let stock = site.machine.read("/etc/pam.d/sshd");
    site.guesses("alice", 5);
    assert!(!site.gets_in("alice"), "as it is without us");
    let _ = site.machine.run(["faillock", "--user", "alice", "--reset"]).success();
    assert!(site.gets_in("alice"), "as it is without us");

    let said = site.set_up();
    assert!(said.contains("whoever pam_faillock has locked stays out there"), "{said}");
    assert_eq!(site.told(), [""; 0]);
    for user in ["alice", "bob"] {
        site.guesses(user, 4);
        assert_eq!(site.noted(user), 4);
        assert!(site.gets_in(user), "{user} is not locked yet: {}", site.machine.log());
        assert_eq!(site.noted(user), 0, "a login of {user}'s forgets them");
        site.guesses(user, 5);
        assert!(!site.gets_in(user), "{user} is locked");
        let _ = site.machine.run(["faillock", "--user", user, "--reset"]).success();
        assert!(site.gets_in(user), "{user} is locked no more: {}", site.machine.log());
    }
    // Without its account line it is the line in front of ours that does it.
    site.machine.write("/etc/pam.d/common-account", "account required pam_unix.so\n");
    site.guesses("alice", 5);
    assert!(!site.gets_in("alice"));
    let set_up = site.machine.read("/etc/pam.d/sshd");
    let _ = site.machine.shell("sed -i '/pam_faillock.so preauth/d' /etc/pam.d/sshd").success();
    assert_ne!(site.machine.read("/etc/pam.d/sshd"), set_up);
    assert_eq!((site.gets_in("alice"), site.told()), (true, vec!["line-left-out".to_owned()]));
    site.machine.write("/etc/pam.d/sshd", &set_up);
    let _ = site.machine.run(["faillock", "--user", "alice", "--reset"]).success();
    site.machine.write("/etc/pam.d/common-account", ACCOUNT);

    // What fails at ours is ours to count, for those whom we ask.
    for (user, expected) in [("alice", 0), ("bob", 1)] {
        let mut person = site.machine.ssh(user, &[]);
        let _ = person.answer_all(&[("assword: ", "a guess"), ("Verification code: ", "000000")]);
        assert_eq!(site.noted(user), expected, "{user}");
    }
    let _ = site.machine.run(["authflow", "setup", "rollback", "--yes"]).success();
    assert_eq!(site.machine.read("/etc/pam.d/sshd"), stock);
}

#[test]
fn a_line_that_all_services_share_is_refused_until_it_stands_where_ours_leaves_it_in() {
    let Some(mut site) = Site::new() else { return };
    let list =
        |phase: &str| format!("{phase} required pam_listfile.so item=user sense=deny file=/etc/out onerr=succeed\n");
    let auth = site.machine.read("/etc/pam.d/common-auth");
    let (stock, account) = (site.machine.read("/etc/pam.d/sshd"), site.machine.read("/etc/pam.d/common-account"));
    site.machine.write("/etc/out", "alice\n");
    site.machine.write("/etc/pam.d/common-auth", &(list("auth") + &auth));
    assert!(!site.gets_in("alice"), "as it is without us");
    let refused = site.machine.shell(SETUP).failure(1);
    assert!(refused.contains("common-auth:1: pam_listfile.so keeps people out"), "{refused}");
    assert_eq!(site.machine.read("/etc/pam.d/sshd"), stock);

    // As it says.
    site.machine.write("/etc/pam.d/common-auth", &auth);
    site.machine.write("/etc/pam.d/sshd", &(list("auth") + &stock));
    let _ = site.set_up();
    assert!(!site.gets_in("alice"));
    site.machine.write("/etc/out", "");
    assert!(site.gets_in("alice"), "{}", site.machine.log());

    // In account our success leaves nothing out.
    site.machine.write("/etc/out", "alice\n");
    let _ = site.machine.run(["authflow", "setup", "rollback", "--yes"]).success();
    site.machine.write("/etc/pam.d/sshd", &stock);
    for shared in [list("account") + &account, account.clone() + &list("account")] {
        site.machine.write("/etc/pam.d/common-account", &shared);
        site.machine.write("/etc/out", "alice\n");
        let _ = site.set_up();
        assert!(!site.gets_in("alice"), "{shared}");
        site.machine.write("/etc/out", "");
        assert!(site.gets_in("alice"), "{}", site.machine.log());
        let _ = site.machine.run(["authflow", "setup", "rollback", "--yes"]).success();
        site.wait_for_sshd();
    }
}

/// Where systemd is the new stacks are tried before they go live, those of all services.
#[test]
fn a_machine_with_pam_faillock_is_set_up_whole_and_confirmed() {
    let Some(plan) = Machine::booted() else { return };
    let machine = plan.user("alice").start();
    let _ = machine.feed(["chpasswd"], format!("alice:{0}\nroot:{0}\n", machine.password()).as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    machine.write("/etc/pam.d/common-auth", AUTH);
    machine.write("/etc/pam.d/common-account", ACCOUNT);
    let mut phone = machine.enroll("alice");
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
    let _ = machine.run("authflow setup sshd login sudo --user alice --yes".split(' ')).success();
    let mut console = machine.person(["login", "alice"]);
    machine.give_answers(&mut console, &phone.code());
    console.expect("$ ");
    let mut alice = machine.log_in("alice", &mut phone);
    alice.type_line("sudo -k authflow setup confirm");
    alice.expect("assword");
    alice.expect(": ");
    alice.type_line(machine.password());
    alice.expect("sshd, login, sudo for alice stays");
    // sudo refuses whoever is locked, too.
    let guess = ["pamtester", "other", "alice", "authenticate"];
    machine.write("/etc/security/faillock.conf", "deny = 3\nnodelay\n");
    for _ in 0..3 {
        assert!(!machine.person(guess).answer_all(&[("assword: ", "a guess")]).success());
    }
    alice.type_line("sudo -k id");
    alice.expect("incorrect password attempts");
    let _ = machine.run(["faillock", "--user", "alice", "--reset"]).success();
    alice.type_line("sudo -k id");
    alice.expect("assword");
    alice.expect(": ");
    alice.type_line(machine.password());
    alice.expect("uid=0(root)");
}
