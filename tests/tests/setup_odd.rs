//! `authflow setup` on machines that are not quite stock: what sshd says for some, accounts that could not confirm, disks that are full or
//! read-only, a record of setups that cannot be read.

use authflow_tests::{Authenticator, Machine, Program, wait};

/// Debian's own sshd and stacks, without systemd. alice may use sudo, and has a password and an authenticator.
struct Site {
    machine: Machine,
    _sshd: Program,
    stock: String,
}

const SETUP: &str = "authflow setup sshd --user alice --yes";

impl Site {
    fn new() -> Option<Self> {
        let machine = Machine::overlay()?.user("alice").start();
        let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
        machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
        let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
        let _ = machine.feed(add, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").success();
        let _ = machine.run(["ssh-keygen", "-A"]).success();
        let sshd = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1"]);
        let answers = "exec 3<>/dev/tcp/127.0.0.1/22 && head -c 4 <&3";
        wait::until_true("sshd", || machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
        let stock = files(&machine);
        Some(Self { machine, _sshd: sshd, stock })
    }

    /// What setup says, without a change, of the machine as `spoil` leaves it; then the machine is as it was.
    #[track_caller]
    fn planned(&self, spoil: &str, args: &str) -> (bool, String) {
        let folders = "/etc/ssh /etc/passwd /etc/shadow /etc/group";
        let _ = self.machine.shell(&format!("tar -C / -cpf /root/as-it-was {folders}")).success();
        let _ = self.machine.shell(spoil).success();
        let run = self.machine.shell(&format!("authflow setup {args} --dry-run"));
        let restore = "rm -rf /etc/ssh && tar -C / -xpf /root/as-it-was && rm /root/as-it-was";
        let _ = self.machine.shell(restore).success();
        assert_eq!(files(&self.machine), self.stock, "{args}");
        (run.status.success(), run.stdout + &run.stderr)
    }
}

/// Everything that setup may touch, as text.
fn files(machine: &Machine) -> String {
    let listed = "for f in /etc/pam.d/* /etc/ssh/sshd_config.d/* /etc/authflow/*.toml /etc/authflow/authflow.toml.d/*; do \
                  [ -f $f ] && stat -c '%n %a %U:%G' $f && cat $f; done; true";
    machine.shell(listed).success()
}

/// A drop-in of the administrator's that sshd reads before ours.
fn early(lines: &str) -> String {
    format!("printf '{lines}' >/etc/ssh/sshd_config.d/00.conf")
}

#[test]
fn what_sshd_would_not_do_for_some_is_refused_with_what_to_do() {
    let Some(site) = Site::new() else { return };
    let late = |lines: &str| format!("printf '{lines}' >>/etc/ssh/sshd_config");
    let (alice, all) = ("sshd --user alice", "sshd --everybody");
    // Of the whole network only its first address is tried for its own sake.
    let elsewhere = early(
        "Match Address 198.51.100.0\\nAuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam\\n\
         Match Address 198.51.100.0/24\\nAuthenticationMethods publickey\\n",
    );
    for (spoil, args, why) in [
        (early("Match Address 192.0.2.0/24\\nAuthenticationMethods publickey\\n"), alice, "for alice from 192.0.2.0"),
        (early("Match LocalPort 2222\\nKbdInteractiveAuthentication no\\n"), alice, "to 127.0.0.1 port 2222"),
        (late("Match Group robots\\nAuthenticationMethods publickey\\n"), all, "`Match Group robots`"),
        (
            early("Match Address !192.0.2.0/25,192.0.2.0/24\\nAuthenticationMethods publickey\\n"),
            alice,
            "for alice from 192.0.2.128",
        ),
        (
            early("Match Address !192.0.2.0/24,192.0.2.0/24\\nAuthenticationMethods publickey\\n"),
            alice,
            "00.conf:1: setup finds no place",
        ),
        (early("UsePAM no\\n"), alice, "write `UsePAM yes`"),
        (late("AllowGroups ops wheel\\n"), alice, "usermod -aG ops alice"),
        (late("AllowUsers bob\\n"), alice, "write alice there too"),
        (late("DenyUsers al*\\n"), alice, "(DenyUsers al*)"),
        (late("Match User alice\\nForceCommand internal-sftp\\n"), alice, "nothing else (ForceCommand)"),
        ("usermod -s /usr/sbin/nologin alice".to_owned(), alice, "usermod -s /bin/bash alice"),
        ("usermod -p '*' alice".to_owned(), alice, "neither a password nor a key"),
        ("usermod -p '*' alice".to_owned(), "sudo --user alice", "passwd alice"),
        ("true".to_owned(), "sudo --user root", "sudo asks root nothing"),
        ("useradd -o -u 0 -g 0 -M -s /bin/bash toor".to_owned(), all, "toor is root as well"),
        (
            "useradd -o -u 0 -g 0 -M -s /bin/bash toor; usermod -p '$6$x' toor; \
             echo JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP | authflow factor add totp --user toor --secret-stdin --no-confirm"
                .to_owned(),
            "sshd --user toor --user alice",
            "toor, who is root",
        ),
    ] {
        let (is_fine, said) = site.planned(&spoil, args);
        assert!(!is_fine && said.contains(why), "{spoil}: expected {why:?}: {said}");
    }
    // From where the caller comes, of which sudo leaves no word but in what was started before it.
    let _ = site.machine.shell(&elsewhere).success();
    let connection = "SSH_CONNECTION=198.51.100.7 50000 198.51.100.1 22";
    let by_sudo = format!("env -u SSH_CONNECTION authflow setup {alice} --dry-run; true");
    let said = site.machine.run(["env", connection, "sh", "-c", &by_sudo]);
    assert!(said.stderr.contains("for alice from 198.51.100.7"), "{said:#?}");
    let _ = site.machine.shell(&format!("authflow setup {alice} --dry-run")).success();
}

#[test]
fn a_users_key_is_looked_for_out_of_roots_terminal_by_a_process_that_the_user_cannot_trace() {
    let Some(site) = Site::new() else { return };
    let key = "usermod -p '*' alice; install -d -o alice -m 700 /home/alice/.ssh; \
               echo key | install -o alice -m 600 /dev/stdin /home/alice/.ssh/authorized_keys";
    let _ = site.machine.shell(key).success();
    let traced =
        "strace -f -e trace=%process,%file,setsid,setresuid -o /tmp/trace authflow setup sshd --user alice --dry-run";
    let _ = site.machine.shell(traced).success();
    let trace = site.machine.read("/tmp/trace");
    let lines: Vec<_> = trace.lines().collect();
    let is_look = |line: &str| line.contains("/home/alice/.ssh/authorized_keys\"") && !line.contains("execve(");
    let looks: Vec<_> = lines.iter().enumerate().filter(|(_, line)| is_look(line)).collect();
    assert!(!looks.is_empty(), "{trace}");
    for (place, look) in looks {
        let pid = look.split(' ').next().expect("a pid");
        let of_child = || lines[..place].iter().filter(|line| line.split(' ').next() == Some(pid));
        // Whoever shares a terminal can type into it; what a program is started by the user is the user's to trace.
        let became =
            of_child().skip_while(|line| !line.contains("setsid()")).skip_while(|line| !line.contains("setresuid("));
        let since: Vec<_> = became.collect();
        assert!(!since.is_empty() && !since.iter().any(|line| line.contains("execve(")), "{look}: {since:#?}");
    }
}

#[test]
fn another_sshd_that_goes_by_another_file_is_told() {
    let Some(site) = Site::new() else { return };
    let other = "sed 's@^Include.*@Port 2222@' /etc/ssh/sshd_config >/etc/ssh/other";
    let _ = site.machine.shell(other).success();
    let _other = site.machine.start(["/usr/sbin/sshd", "-D", "-f", "/etc/ssh/other"]);
    let answers = "exec 3<>/dev/tcp/127.0.0.1/2222 && head -c 4 <&3";
    wait::until_true("the other sshd", || site.machine.run(["timeout", "2", "bash", "-c", answers]).stdout == "SSH-");
    let said = site.machine.shell(SETUP).failure(1);
    assert!(said.contains("started with `-f /etc/ssh/other`"), "{said}");
    assert_eq!(files(&site.machine), site.stock);
}

#[test]
fn every_sshd_that_goes_by_the_configuration_hears_of_a_change() {
    let Some(site) = Site::new() else { return };
    let machine = &site.machine;
    let _other = machine.start(["/usr/sbin/sshd", "-D", "-o", "ListenAddress=127.0.0.1", "-p", "2222"]);
    let wait_for = |port: &str| {
        let answers = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 4 <&3");
        wait::until_true("an sshd", || machine.run(["timeout", "2", "bash", "-c", &answers]).stdout == "SSH-");
    };
    wait_for("2222");
    let _ = machine.shell(SETUP).success();
    for port in ["22", "2222"] {
        wait_for(port);
        let mut alice = machine.ssh("alice", &["-p", port]);
        alice.expect("assword: ");
        alice.type_line(machine.password());
        alice.expect("Verification code: ");
    }
    let _ = machine.run("authflow setup rollback --yes".split(' ')).success();
    for port in ["22", "2222"] {
        wait_for(port);
        let mut alice = machine.ssh("alice", &["-o", "PreferredAuthentications=password", "-p", port]);
        alice.expect("assword: ");
        alice.type_line(machine.password());
        alice.expect("$ ");
    }
}

#[test]
fn what_is_no_obstacle_is_none() {
    let Some(site) = Site::new() else { return };
    let late = |lines: &str| format!("printf '{lines}' >>/etc/ssh/sshd_config");
    let methods = "AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam";
    let key = "usermod -p '*' alice; install -d -o alice -m 700 /home/alice/.ssh; \
               echo key | install -o alice -m 600 /dev/stdin /home/alice/.ssh/authorized_keys";
    for (spoil, args, told) in [
        (
            late("Match LocalPort 2222\\nX11Forwarding no\\nMatch RDomain x\\nX11Forwarding no\\n"),
            "sshd --user alice",
            "",
        ),
        (
            late("Match User alice\\nAuthenticationMethods publickey\\n"),
            "sshd --user alice",
            "AuthenticationMethods publickey now",
        ),
        (late("AllowUsers alice@10.0.0.0/8 root\\nDenyUsers alice@192.0.2.1\\n"), "sshd --user alice", ""),
        (
            early("AuthenticationMethods publickey\\n"),
            "sshd --everybody",
            "for somebody sshd has AuthenticationMethods publickey",
        ),
        // Root could not be asked from there.
        (
            late("PermitRootLogin yes\\nMatch Address 192.0.2.0/24\\nPermitRootLogin prohibit-password\\n"),
            "sshd --everybody",
            "--everybody (but root)",
        ),
        (late(&format!("Match Group ops\\n{methods}\\n")), "sshd --everybody", ""),
        (
            early("KbdInteractiveAuthentication no\\nPasswordAuthentication no\\n"),
            "sshd --user alice",
            "no password of alice now; with this a password and a code let in",
        ),
        (
            "sed -i 's@^Include.*@Include sshd_config.d/*.conf@' /etc/ssh/sshd_config".to_owned(),
            "sshd --user alice",
            "",
        ),
        (
            "mkdir /etc/ssh/sshd_config.d/old; ln -s none /etc/ssh/sshd_config.d/x.old".to_owned(),
            "sshd --user alice",
            "",
        ),
        (key.to_owned(), "sshd --user alice", ""),
        (key.to_owned(), "sshd --everybody", "which no program can give: alice."),
        (
            format!(
                "usermod -p '*' root; install -D -m 600 /etc/hostname /root/.ssh/authorized_keys; {}",
                late("PermitRootLogin yes\\n")
            ),
            "sshd --everybody",
            "which no program can give: root.",
        ),
        // Root has no password, and runs it.
        ("usermod -p '*' root".to_owned(), "sudo su login --everybody", ""),
        // As systemd leaves it between two connections.
        ("rmdir /run/sshd".to_owned(), "sshd --user alice", ""),
    ] {
        let (is_fine, said) = site.planned(&spoil, args);
        assert!(is_fine && said.contains(told), "{spoil}: {said}");
    }
}

#[test]
fn a_disk_that_takes_nothing_changes_nothing() {
    let Some(site) = Site::new() else { return };
    let full = "mount -t tmpfs -o size=4k,mode=700 none";
    let keep = "cp -a /etc/ssh/sshd_config.d /root/; ";
    for (spoil, mend) in [
        // Where the record of setups would be, before anything is changed.
        (
            format!(
                "mkdir -p /var/lib/authflow/setup; {full} /var/lib/authflow/setup; yes >/var/lib/authflow/setup/x; true"
            ),
            "umount /var/lib/authflow/setup",
        ),
        // In the middle, and where nothing can be taken away either.
        (
            format!("{full} /etc/ssh/sshd_config.d; yes >/etc/ssh/sshd_config.d/x; true"),
            "umount /etc/ssh/sshd_config.d",
        ),
        ("mount --bind /etc/pam.d /etc/pam.d; mount -o remount,bind,ro /etc/pam.d".to_owned(), "umount /etc/pam.d"),
        ("mount --bind /etc /etc; mount -o remount,bind,ro /etc".to_owned(), "umount /etc"),
    ] {
        let _ = site.machine.shell(&format!("{keep}{spoil}"));
        let said = site.machine.shell(SETUP);
        let _ = site.machine.shell(mend).success();
        assert!(!said.status.success(), "{spoil}: {said:#?}");
        assert_eq!(files(&site.machine), site.stock, "{spoil}");
        assert!(!site.machine.path("/var/lib/authflow/setup/pending").exists(), "{spoil}");
    }
    let _ = site.machine.shell(SETUP).success();
    assert!(site.machine.shell(SETUP).failure(1).contains("waits"), "a second time");
    let read_only = "mount --bind /etc/pam.d /etc/pam.d; mount -o remount,bind,ro /etc/pam.d";
    let refused = site.machine.shell(&format!("{read_only}; authflow setup rollback")).failure(1);
    assert!(refused.contains("as they were are under /var/lib/authflow/setup/2"), "{refused}");
    // Half of it is back: that is nothing to keep.
    assert!(site.machine.run(["authflow", "setup", "status"]).success().contains("is being taken back"));
    assert!(site.machine.run(["authflow", "setup", "confirm"]).failure(1).contains("is being taken back"));
    let _ = site.machine.shell("umount /etc/pam.d && authflow setup rollback").success();
    assert_eq!(files(&site.machine), site.stock);
}

#[test]
fn who_thinks_about_the_question_keeps_nobody_waiting() {
    let Some(site) = Site::new() else { return };
    let ask = SETUP.replace(" --yes", "");
    let ask: Vec<&str> = ask.split(' ').collect();
    let mut slow = site.machine.person(&ask);
    slow.expect("[y/N]");
    let _ = site.machine.shell(SETUP).success();
    slow.type_line("y");
    slow.expect("waits");
    assert!(site.machine.path("/var/lib/authflow/setup/pending").exists());

    let mut slow = site.machine.person(["authflow", "setup", "remove"]);
    slow.expect("the setup of");
    let _ = site
        .machine
        .shell("rm /var/lib/authflow/setup/pending; touch $(ls -d /var/lib/authflow/setup/2*)/confirmed")
        .success();
    for way_back in ["remove", "rollback"] {
        let mut slow = site.machine.person(["authflow", "setup", way_back]);
        slow.expect("[y/N]");
        let _ = site.machine.shell("echo '# mine' >>/etc/authflow/authflow.toml.d/50-setup-sshd.toml").success();
        slow.type_line("y");
        slow.expect(if way_back == "remove" { "meanwhile" } else { "is not as the setup of" });
        let mend = "sed -i '/^# mine/d' /etc/authflow/authflow.toml.d/50-setup-sshd.toml";
        let _ = site.machine.shell(mend).success();
    }
    let _ = site.machine.run(["authflow", "setup", "rollback", "--yes"]).success();
    let _ = site.machine.run(["rm", "-f", "/etc/authflow/authflow.toml.last-good"]).success();
    assert_eq!(files(&site.machine), site.stock);
}

#[test]
fn a_roll_back_brings_nothing_back_that_was_taken_out_since() {
    let Some(site) = Site::new() else { return };
    let _ = site.machine.run(["useradd", "--create-home", "--shell", "/bin/bash", "bob"]).success();
    let _ = site.machine.feed(["chpasswd"], format!("bob:{}\n", site.machine.password()).as_bytes()).success();
    let add = ["authflow", "factor", "add", "totp", "--user", "bob", "--secret-stdin", "--no-confirm"];
    let _ = site.machine.feed(add, b"KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU").success();
    // As a login confirms them.
    let confirm =
        "rm /var/lib/authflow/setup/pending && for f in /var/lib/authflow/setup/2*; do touch $f/confirmed; done";
    let both = "authflow setup sshd --user alice --user bob --yes";
    let _ = site.machine.shell(&format!("{SETUP} && {confirm}")).success();
    let first = files(&site.machine);
    let _ = site.machine.shell(&format!("{both} && {confirm}")).success();
    let second = files(&site.machine);
    let rollback = ["authflow", "setup", "rollback", "--yes"];

    let rules = "/etc/authflow/authflow.toml.d/50-setup-sshd.toml";
    let text = site.machine.read(rules);
    site.machine.write(rules, &(text.clone() + "# mine\n"));
    let refused = site.machine.run(rollback).failure(1);
    assert!(refused.contains("50-setup-sshd.toml is not as the setup of 2"), "{refused}");
    site.machine.write(rules, &text);
    assert_eq!(files(&site.machine), second);

    let _ = site.machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let last_good = ["rm", "-f", "/etc/authflow/authflow.toml.last-good"];
    let _ = site.machine.run(last_good).success();
    assert_eq!(files(&site.machine), site.stock);
    let refused = site.machine.run(rollback).failure(1);
    assert!(refused.contains("there is no setup to roll back"), "{refused}");
    assert_eq!(files(&site.machine), site.stock);

    // Step by step it goes back as ever.
    let _ = site.machine.shell(&format!("{SETUP} && {confirm}; {both} && {confirm}")).success();
    for expected in [&first, &site.stock] {
        let _ = site.machine.run(rollback).success();
        let _ = site.machine.run(last_good).success();
        assert_eq!(files(&site.machine), *expected);
    }
}

#[test]
fn a_record_that_cannot_be_read_does_not_keep_the_way_back_shut() {
    let Some(site) = Site::new() else { return };
    for unreadable in ["", "{\"name\":", "chmod"] {
        let _ = site.machine.shell(SETUP).success();
        assert_ne!(files(&site.machine), site.stock);
        let pending = "/var/lib/authflow/setup/pending";
        match unreadable {
            "chmod" => drop(site.machine.run(["chmod", "666", pending]).success()),
            text => site.machine.write(pending, text),
        }
        let refused = site.machine.shell(SETUP).failure(1);
        assert!(refused.contains("`authflow setup rollback` takes back"), "{refused}");
        let said = site.machine.run(["authflow", "setup", "rollback", "--unattended"]);
        assert!(said.status.success() && said.stderr.contains("the newest setup"), "{said:#?}");
        assert_eq!(files(&site.machine), site.stock, "{unreadable}");
        assert!(!site.machine.path(pending).exists());
    }
}

#[test]
fn an_sshd_that_is_started_for_each_connection_is_set_up_too() {
    let Some(machine) = Machine::booted().map(|plan| plan.user("alice").start()) else { return };
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n");
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, secret.as_bytes()).success();
    let _ = machine.shell("systemctl disable --now ssh.service && systemctl enable --now ssh.socket").success();
    assert!(!machine.path("/run/sshd").exists());
    let _ = machine.shell(SETUP).success();
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("assword: ");
    alice.type_line(machine.password());
    alice.expect("Verification code: ");
    alice.type_line(&Authenticator::new(secret).code());
    alice.expect("$ ");
    alice.type_line("sudo authflow setup confirm");
    alice.expect("sshd for alice stays");
}

#[test]
fn root_who_has_no_password_sets_sudo_up_for_everybody() {
    let Some(machine) = Machine::booted().map(|plan| plan.user("alice").start()) else { return };
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    let _ = machine.run(["passwd", "-l", "root"]).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, secret.as_bytes()).success();
    let said = machine.run("authflow setup sudo --everybody --yes".split(' '));
    assert!(said.stdout.contains("sudo -k authflow setup confirm"), "{said:#?}");
    assert!(said.stderr.contains("timestamp_timeout=0"), "what is left of sudo's own is told: {said:#?}");
    let mut alice = machine.person(["su", "-", "alice"]);
    alice.expect("$ ");
    alice.type_line("sudo -k authflow setup confirm");
    machine.give_answers(&mut alice, &Authenticator::new(secret).code());
    alice.expect("sudo for everybody stays");
    let to_bob = machine.run("authflow setup sudo --user alice --dry-run".split(' '));
    assert!(to_bob.stderr.contains("takes the protection of everybody else away"), "{to_bob:#?}");
}
