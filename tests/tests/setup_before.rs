//! `authflow setup` before it changes anything: what would keep somebody out is refused with what to do, what is no obstacle is none, and
//! looking and asking harm nobody.

mod stock;

use stock::{SETUP_LINE, Site, files, log_in};

#[test]
fn what_would_keep_somebody_out_does_not_go_live() {
    let Some((machine, _phone)) = stock::booted() else { return };
    let stock = files(&machine);
    let module = machine.shell("ls /usr/lib/*/security/pam_authflow.so").success().trim().to_owned();
    let rule = "[[rule]]\nname = \"mine\"\nservice = [\"sshd\"]\nmethods = [[\"stack\"]]\n";
    let others = "Match User alice\n AuthenticationMethods password\n";
    for (spoil, mend, args, why) in [
        ("true", "true", "sshd --user bob --user alice", "bob would be kept out"),
        ("true", "true", "sshd --user nosuch", "no user"),
        ("true", "true", "sudo su --user root --user alice", "root would be kept out"),
        (
            "rm /etc/sudoers.d/alice; passwd -l root",
            "echo 'alice ALL=(ALL) ALL' >/etc/sudoers.d/alice; passwd -u root",
            "sshd --user alice",
            "can become root",
        ),
        (
            "mv /etc/pam.d/sshd /etc/own; ln -s /etc/own /etc/pam.d/sshd",
            "rm /etc/pam.d/sshd; mv /etc/own /etc/pam.d/sshd",
            "sshd --user alice",
            "symbolic link",
        ),
        ("chmod 666 /etc/pam.d/sshd", "chmod 644 /etc/pam.d/sshd", "sshd --user alice", "not writable by"),
        (
            &format!("echo '{rule}' >/etc/authflow/authflow.toml.d/10.toml"),
            "rm /etc/authflow/authflow.toml.d/10.toml",
            "sshd --user alice",
            "the rule \"mine\"",
        ),
        (
            &format!("echo '{others}' >/etc/ssh/sshd_config.d/00.conf"),
            "rm /etc/ssh/sshd_config.d/00.conf",
            "sshd --user alice",
            "authenticationmethods password",
        ),
        (
            "sed -i 's/^Include/#Include/' /etc/ssh/sshd_config",
            "sed -i 's/^#Include/Include/' /etc/ssh/sshd_config",
            "sshd --user alice",
            "does not read",
        ),
        (
            "systemctl mask --runtime --now authflow-sessiond",
            "systemctl unmask --runtime authflow-sessiond; systemctl start authflow-sessiond",
            "sshd --user alice",
            "cannot be reached",
        ),
        (
            &format!("mv {module} /root/module"),
            &format!("mv /root/module {module}"),
            "sshd --user alice",
            "refuses alice before authflow asks",
        ),
        (
            "cp -p /etc/pam.d/sshd /root/sshd; echo 'session required pam_nosuch.so' >>/etc/pam.d/sshd",
            "cp -p /root/sshd /etc/pam.d/sshd",
            "sshd --user alice",
            "opens no session",
        ),
        // systemd's trouble, and not the stack's.
        ("chmod -x /usr/bin/true", "chmod +x /usr/bin/true", "sshd --user alice", "ended with 203"),
        (
            "cp -p /etc/pam.d/sshd /root/sshd; sed -i '1i session sufficient pam_permit.so' /etc/pam.d/sshd",
            "cp -p /root/sshd /etc/pam.d/sshd",
            "sshd --user alice",
            "authflow check says: /etc/pam.d/sshd:1",
        ),
        // Ctrl-C while the stack is tried.
        (
            "cp -p /etc/pam.d/sshd /root/sshd; echo 'session optional pam_exec.so /usr/bin/pkill -INT -x authflow' >>/etc/pam.d/sshd",
            "cp -p /root/sshd /etc/pam.d/sshd",
            "sshd --user alice",
            "stopped as you asked",
        ),
        (
            "rm /usr/lib/systemd/system/authflow-setup-rollback.service; systemctl daemon-reload",
            "true",
            "sshd --user alice",
            "nothing would roll back",
        ),
    ] {
        let _ = machine.shell(spoil).success();
        let said = machine.shell(&format!("authflow setup {args} --yes"));
        let _ = machine.shell(mend).success();
        assert!(!said.status.success() && said.stderr.contains(why), "{args}: expected {why:?}: {said:#?}");
        assert_eq!(files(&machine), stock, "{why}");
        for left in ["pending", "tried"] {
            assert!(!machine.path("/var/lib/authflow/setup").join(left).exists(), "{why}: {left}");
        }
    }
    let _as_before = log_in(&machine, "alice", None);
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
fn who_thinks_about_the_question_keeps_nobody_waiting() {
    let Some(site) = Site::new() else { return };
    let ask = SETUP_LINE.replace(" --yes", "");
    let ask: Vec<&str> = ask.split(' ').collect();
    let mut slow = site.machine.person(&ask);
    slow.expect("[y/N]");
    let _ = site.machine.shell(SETUP_LINE).success();
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
