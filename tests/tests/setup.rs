//! `authflow setup` on a stock Debian: what it shows, what it changes, how it is confirmed, and how it is taken out again.

mod stock;

use authflow_tests::{Authenticator, Machine};
use stock::{SETUP, defects, files, log_in};

#[test]
fn a_stock_machine_is_protected_by_a_login_that_confirms() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    machine.write("/etc/ssh/sshd_config.d/90-ports.conf", "Match LocalPort 2222\n    X11Forwarding no\n");
    let stock = files(&machine);
    let shown = machine.run([SETUP, &["--dry-run"]].concat()).success();
    for line in ["--- a/etc/pam.d/sshd", "+++ b/etc/pam.d/sshd", "+Match User alice", "+name = \"setup-sshd\""] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert_eq!(files(&machine), stock, "nothing was changed");

    let mut old = log_in(&machine, "alice", None);
    let said = machine.run(SETUP).success();
    assert!(said.contains("sudo authflow setup confirm"), "{said}");
    assert_eq!(machine.run(["systemctl", "is-active", "authflow-setup-rollback.timer"]).stdout, "active\n");
    assert!(machine.run(SETUP).failure(1).contains("waits"));

    // Not from a terminal that was open before, and not by somebody else's login.
    old.type_line("sudo authflow setup confirm");
    old.expect("password for alice: ");
    old.type_line(machine.password());
    old.expect("not confirmed");
    assert!(machine.run(["authflow", "setup", "confirm"]).failure(1).contains("not confirmed"));
    let _bob = log_in(&machine, "bob", None);
    let mut alice = log_in(&machine, "alice", Some(&mut phone));
    assert_eq!(machine.sessions().iter().filter(|session| session["rule"] == "setup-sshd").count(), 1);
    alice.type_line("sudo authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect("sshd for alice stays");
    assert!(!machine.path("/var/lib/authflow/setup/pending").exists());
    assert_ne!(machine.run(["systemctl", "is-active", "authflow-setup-rollback.timer"]).stdout, "active\n");
    assert!(machine.run(SETUP).success().contains("nothing to do"));
    assert_eq!(defects(&machine), [""; 0]);

    let drop_in = "/etc/ssh/sshd_config.d/10-authflow.conf";
    let _ = machine.run(["cp", "-p", drop_in, "/root/drop-in"]).success();

    // An sshd that were told to read a slip would end, and with it every way in.
    let _ = machine.shell("cp -p /etc/ssh/sshd_config /root/ && echo Slipp yes >> /etc/ssh/sshd_config").success();
    let set_up = files(&machine);
    for way_back in ["remove", "rollback"] {
        let refused = machine.run(["authflow", "setup", way_back, "--yes"]).failure(1);
        assert!(
            way_back != "remove" || files(&machine) == set_up,
            "a removal that cannot come to its end does not begin"
        );
        assert!(refused.contains("sshd goes on by its older configuration"), "{refused}");
        let _still_in = log_in(&machine, "bob", None);
    }
    let _ = machine.shell("cp -p /root/sshd_config /etc/ssh/").success();
    let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _ = machine.run(["rm", "/etc/authflow/authflow.toml.last-good"]).stdout;
    assert_eq!(files(&machine), stock, "to the byte");

    // As where somebody takes out by hand what setup put in, and forgets sshd's.
    let _ = machine.run(["cp", "-p", "/root/drop-in", drop_in]).success();
    assert_eq!(defects(&machine), ["sshd-drop-in-left"]);
    let _ = machine.run(["authflow", "setup", "remove", "sshd", "--yes"]).success();
    assert_eq!((files(&machine), defects(&machine)), (stock, Vec::new()));
    let _as_before = log_in(&machine, "alice", None);
}

/// As docs/setup.md says: auth up to our question, since nobody's secrets are there to be asked for.
#[test]
fn each_phase_of_the_new_stack_is_tried_before_it_goes_live() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    let phases = ["auth", "account", "session"];
    for phase in phases {
        let line = format!("1i {phase} optional pam_exec.so quiet seteuid /usr/bin/touch /run/tried-{phase}");
        let _ = machine.run(["sed", "-i", &line, "/etc/pam.d/sshd"]).success();
    }
    let tried = || phases.map(|phase| machine.path("/run").join(format!("tried-{phase}")).exists());
    let said = machine.run(SETUP);
    assert!(said.status.success() && !said.stderr.contains("not tried"), "{said:#?}");
    assert_eq!(tried(), [true; 3]);
    for event in ["event=refused", "FAILED SU"] {
        assert!(!machine.log().contains(event), "{}", machine.log());
    }
    let _alice = log_in(&machine, "alice", Some(&mut phone));
}

#[test]
fn sudo_su_and_the_console_are_set_up_too() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    let stock = files(&machine);
    let _ = machine.run("authflow setup sudo login --user alice --yes".split(' ')).success();
    let mut alice = machine.person(["login", "alice"]);
    machine.give_answers(&mut alice, &phone.code());
    alice.expect("$ ");
    // The code is fresh; the password is asked as ever.
    alice.type_line("sudo authflow setup confirm");
    alice.expect("assword");
    alice.expect(": ");
    alice.type_line(machine.password());
    alice.expect("login, sudo for alice stays");

    let mut root = machine.enroll("root");
    let _ = machine.run("authflow setup su --user root --yes".split(' ')).success();
    // Root's own su is asked nothing, and shows nothing.
    let unasked = machine.run(["su", "root", "-c", "authflow setup confirm"]);
    assert!(unasked.failure(1).contains("asked for a code"));
    alice.type_line("su -c 'authflow setup confirm'");
    machine.give_answers(&mut alice, &root.code());
    alice.expect("su for root stays");

    root_at_the_console_has_a_last_way_in(&machine);

    assert_eq!(defects(&machine), ["sudo-ticket-hides"], "which is sudo's own");
    let status = machine.run(["authflow", "setup", "status"]).success();
    assert!(status.contains("--user root") && !status.contains("waits"), "{status}");
    let of = |service: &str| {
        status.lines().find(|row| row.starts_with(&format!("{service} "))).map(|row| row.split_whitespace().nth(1))
    };
    assert_eq!(["sshd", "su", "sudo"].map(of), [Some(Some("no")), Some(Some("yes")), Some(Some("yes"))], "{status}");
    let _ = machine.run(["authflow", "setup", "remove", "--yes"]).success();
    let _ = machine.run(["rm", "/etc/authflow/authflow.toml.last-good"]).stdout;
    assert_eq!(files(&machine), stock, "to the byte");
}

/// The stack that setup has written for `login`, with authflow's own files unusable: root alone gets in, at a real console alone, with
/// the system's password.
fn root_at_the_console_has_a_last_way_in(machine: &Machine) {
    let config = machine.read("/etc/authflow/authflow.toml");
    machine.write("/etc/authflow/authflow.toml", "[[rule");
    let _ = machine.run(["mv", "/etc/authflow/authflow.toml.last-good", "/root/last-good"]).success();
    let knock = |user: &str, items: &[&str], password: &str| {
        let argv = [&["pamtester"], items, &["login", user, "authenticate", "acct_mgmt", "open_session"]].concat();
        machine.person(argv).answer_all(&[("assword: ", password)]).success()
    };
    let console: &[&str] = &["-Itty=/dev/tty1"];
    assert!(knock("root", console, machine.password()), "{}", machine.log());
    machine.logged(&["event=breakglass", "service=login", "user=root"]);
    assert!(!knock("root", console, "a guess"));
    assert!(!knock("root", &["-Itty=/dev/tty1", "-Irhost=192.0.2.7"], machine.password()));
    assert!(!knock("root", &["-Itty=/dev/pts/0"], machine.password()));
    assert!(!knock("alice", console, machine.password()));
    machine.write("/etc/authflow/authflow.toml", &config);
    let _ = machine.run(["mv", "/root/last-good", "/etc/authflow/authflow.toml.last-good"]).success();
}

#[test]
fn everybody_enrols_and_root_keeps_the_key() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    let key =
        "ssh-keygen -q -t ed25519 -N '' -f /root/key && install -D -m 600 /root/key.pub /root/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    let _ = machine.run("authflow setup sshd --everybody --yes".split(' ')).success();
    let mut bob = machine.ssh("bob", &[]);
    bob.expect("assword: ");
    bob.type_line(machine.password());
    bob.expect("Verification code: ");
    bob.type_line("");
    bob.expect("Enter");
    bob.type_line("");
    bob.expect("$ ");
    // Without a code, so it shows nothing of whether one is taken.
    machine.write("/etc/sudoers.d/bob", "bob ALL=(ALL) NOPASSWD: ALL\n");
    bob.type_line("sudo authflow setup confirm");
    bob.expect("put enrolment off");
    let mut root = machine.ssh("root", &["-i", "/root/key"]);
    root.expect("# ");
    let mut alice = log_in(&machine, "alice", Some(&mut phone));
    alice.type_line("sudo authflow setup confirm");
    alice.expect("password for alice: ");
    alice.type_line(machine.password());
    alice.expect("sshd for everybody but root stays");
    assert_eq!(defects(&machine), [""; 0]);
}

#[test]
fn root_whom_sshd_lets_in_by_key_alone_is_asked_by_su() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    let key =
        "ssh-keygen -q -t ed25519 -N '' -f /root/key && install -D -m 600 /root/key.pub /root/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    let secret = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU";
    let add = ["authflow", "factor", "add", "totp", "--user", "root", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, secret.as_bytes()).success();
    let said = machine.run("authflow setup sshd su --everybody --yes".split(' ')).success();
    assert!(said.contains("run there: su -c 'authflow setup confirm'"), "{said}");
    let rules = machine.read("/etc/authflow/authflow.toml.d/50-setup-su.toml");
    assert!(rules.starts_with("# authflow setup su --everybody\n") && !rules.contains("PermitRootLogin"), "{rules}");
    machine.ssh("root", &["-i", "/root/key"]).expect("# ");
    let mut alice = log_in(&machine, "alice", Some(&mut phone));
    alice.type_line("su -c 'authflow setup confirm'");
    machine.give_answers(&mut alice, &Authenticator::new(secret).code());
    alice.expect("sshd for everybody but root and su for everybody stays");
    assert_eq!(defects(&machine), [""; 0]);

    // What an older version left at su is known, and replaced by the same setup again.
    let sshd = machine.read("/etc/authflow/authflow.toml.d/50-setup-sshd.toml");
    let (_, root_left) = sshd.split_once("# sshd lets root in by key alone").expect("root is left");
    let (root_left, _) = root_left.split_once("\n\n").expect("a rule follows");
    let root_left = root_left.replace("setup-sshd", "setup-su").replace("[\"sshd\"]", "[\"su\", \"su-l\"]");
    let older = rules.replacen("--everybody", "--everybody (but root)", 1);
    let older = older.replacen("\n\n", &format!("\n\n# sshd lets root in by key alone{root_left}\n\n"), 1);
    machine.write("/etc/authflow/authflow.toml.d/50-setup-su.toml", &older);
    assert!(machine.run(["authflow", "setup", "status"]).success().contains("(but root)"));
    let again = machine.run("authflow setup sshd su --everybody --dry-run --json".split(' ')).json();
    assert_eq!(again["files"].as_array().map(Vec::len), Some(1), "{again}");
    let _ = machine.run("authflow setup remove --yes".split(' ')).success();
    assert!(!machine.path("/etc/authflow/authflow.toml.d/50-setup-su.toml").exists());
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
