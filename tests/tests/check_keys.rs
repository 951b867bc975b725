//! What `authflow check` says of keys for ssh that open nothing, and that it is so: real logins by them, until what is said to do is done.

use authflow_tests::wait;

mod good;

/// What sshd and the rules ask is more than root has, until what is said to do about it is done.
#[test]
fn root_gets_in_by_what_is_said_to_do() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    let lines = format!("Include /etc/ssh/root.conf\nPermitRootLogin prohibit-password\n{}", good::SSHD);
    machine.restart_sshd(&lines);
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "root has no key");
    let _ = machine.shell("mkdir -p /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f /root/key").success();
    let _ = machine.shell("cp /root/key.pub /root/.ssh/authorized_keys && chmod -R go= /root/.ssh").success();
    let knock = || {
        let options = ["-i", "/root/key", "-o", "BatchMode=yes"];
        let mut root = machine.ssh("root", &[&options[..], &["echo", "in-$((6*7))"]].concat());
        (root.end().success(), root.screen().contains("in-42"))
    };
    let ids =
        || good::check(&machine).0.iter().map(|found| found["id"].as_str().map(str::to_owned)).collect::<Vec<_>>();
    let locked_out = || vec![Some("sshd-root-locked-out".to_owned())];
    assert_eq!((ids(), knock()), (locked_out(), (false, false)));
    machine.write("/etc/ssh/root.conf", "Match User root\nAuthenticationMethods publickey\n");
    machine.restart_sshd(&lines);
    assert_eq!(ids().first(), locked_out().first());
    assert_eq!(knock(), (false, false));
    let rule = "[[rule]]\nname = \"root\"\nservice = [\"sshd\"]\nuser = [\"root\"]\nmethods = [[\"publickey\"]]\n";
    machine.write("/root/new.toml", &format!("{rule}{}", good::CONFIG));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    assert_eq!((ids(), knock()), (Vec::new(), (true, true)));
}

/// Somebody who has a key and nothing else, as programs have, is locked out by a rule of two factors until what is said to do is done.
#[test]
fn a_key_that_opens_nothing_is_told_with_whose_it_is() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.user("robot").user("carol").start();
    let _ = machine.enroll("alice");
    let _ = machine.enroll("carol");
    machine.restart_sshd(&format!("Include /etc/ssh/robot.conf\n{}", good::SSHD));
    let key = "ssh-keygen -q -t ed25519 -N '' -f /root/key && for user in robot carol; do \
               install -d -o $user -m 0700 /home/$user/.ssh && \
               install -o $user -m 0600 /root/key.pub /home/$user/.ssh/authorized_keys; done; \
               install -d -o bob -m 0700 /home/bob/.ssh && echo '# none' >/home/bob/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    let knock = || {
        let options = ["-i", "/root/key", "-o", "BatchMode=yes", "echo", "in-$((6*7))"];
        let mut robot = machine.ssh("robot", &options);
        robot.end().success() && robot.screen().contains("in-42")
    };
    let found = || {
        let (found, _) = good::check(&machine);
        found.iter().map(|found| found["what"].as_str().expect("words").to_owned()).collect::<Vec<_>>()
    };
    let told = ["with a key for ssh, and with nothing that rule \"ssh\" takes: robot"];
    assert_eq!((found(), knock()), (told.map(str::to_owned).to_vec(), false));
    for (spoil, mend) in [
        ("chage -E 1 robot", "chage -E -1 robot"),
        ("echo 'DenyUsers robot' >/etc/ssh/robot.conf", "rm /etc/ssh/robot.conf"),
        ("authflow user disable robot", "authflow user enable robot"),
    ] {
        let _ = machine.shell(spoil).success();
        assert_eq!(found(), [""; 0], "it is meant to be kept out: {spoil}");
        let _ = machine.shell(mend).success();
    }
    // As it says.
    let rule = "[[rule]]\nname = \"robots\"\nservice = [\"sshd\"]\nuser = [\"robot\"]\nmethods = [[\"publickey\"]]\n";
    machine.write("/root/new.toml", &format!("{rule}{}", good::CONFIG));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    machine.restart_sshd(&format!("{}\nMatch User robot\nAuthenticationMethods publickey\nMatch all", good::SSHD));
    assert_eq!((found(), knock()), (Vec::new(), true));
}

/// Who has a code is told to be locked out by sshd, which does not ask for it, and not to lack an authenticator.
#[test]
fn where_sshd_asks_no_questions_that_is_what_locks_out() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    let key = "cd /root && ssh-keygen -q -t ed25519 -N '' -f key && install -d -o alice -g alice -m 0700 ~alice/.ssh && \
               install -o alice -g alice -m 0600 key.pub ~alice/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    let what = || {
        let (found, _) = good::check(&machine);
        let of_keys = found.iter().filter(|found| found["id"] == "sshd-key-locked-out");
        of_keys.map(|found| found["what"].as_str().expect("words").to_owned()).collect::<Vec<_>>()
    };
    machine.restart_sshd("KbdInteractiveAuthentication no\nPasswordAuthentication no");
    let told = "with a key for ssh and all that a rule asks of them, and sshd does not ask for it (KbdInteractiveAuthentication no): alice";
    assert_eq!(what(), [told]);
    machine.restart_sshd(good::SSHD);
    assert_eq!(what(), [""; 0]);
}

/// Homes on a file system that hangs take a share of a time that is for all of them; the others are looked at, as far as it goes.
#[test]
fn homes_that_do_not_answer_are_told_and_hold_up_nobody_for_long() {
    let Some(plan) = good::plan() else { return };
    let programs = ["program1", "program2", "program3", "program4", "program5", "program6"];
    let machine = programs.into_iter().fold(plan, |plan, name| plan.user(name)).user("robot").start();
    let _ = machine.enroll("alice");
    machine.compile("stuck");
    let _ = machine.shell("mknod /dev/fuse c 10 229 && mkdir /run/stuck /etc/ssh/keys").success();
    let holds = machine.start(["stuck", "/run/stuck"]);
    wait::until_true("the file system", || machine.run(["ls", "-d", "/run/stuck/file"]).status.success());
    machine.restart_sshd(&format!("AuthorizedKeysFile /etc/ssh/keys/%u\n{}", good::SSHD));
    machine.write("/etc/ssh/keys/robot", "ssh-ed25519 AAAA robot\n");
    let found = || {
        let told =
            |found: &serde_json::Value| ["id", "what"].map(|key| found[key].as_str().unwrap_or_default().to_owned());
        good::check(&machine).0.iter().map(told).collect::<Vec<_>>()
    };
    let hang = |name: &str| machine.shell(&format!("ln -s /run/stuck/file /etc/ssh/keys/{name}")).success();
    let _ = hang("program1");
    let locked_out = ["sshd-key-locked-out", "with a key for ssh, and with nothing that rule \"ssh\" takes: robot"];
    let of_one = "their homes did not tell in time whether a key for ssh is there: program1";
    assert_eq!(found(), [locked_out, ["sshd-keys-not-looked-at", of_one]]);
    programs[1..].iter().for_each(|name| drop(hang(name)));
    let of_many = format!("{of_one}, program2, program3, program4, program5 and 2 more");
    assert_eq!(found(), [["sshd-keys-not-looked-at", &of_many]], "robot's turn does not come");
    holds.kill();
}

/// The order of a rule's methods decides whether a key alone is enough for somebody who has a password.
#[test]
fn a_key_that_is_told_to_be_refused_is() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    machine.restart_sshd("KbdInteractiveAuthentication yes\nPasswordAuthentication no");
    let key = "cd /root && ssh-keygen -q -t ed25519 -N '' -f key && install -d -o alice -g alice -m 0700 ~alice/.ssh && \
               install -o alice -g alice -m 0600 key.pub ~alice/.ssh/authorized_keys";
    let _ = machine.shell(key).success();
    for (methods, told, is_in) in [
        ("[[\"password\"], [\"publickey\"]]", &["sshd-key-unforeseen"][..], false),
        ("[[\"publickey\"], [\"password\"]]", &[], true),
    ] {
        let both = "[[\"publickey\", \"totp\"], [\"password\", \"totp\"]]";
        machine.write("/root/new.toml", &good::CONFIG.replacen(both, methods, 1));
        let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
        let (found, _) = good::check(&machine);
        let ids: Vec<_> = found.iter().map(|found| found["id"].as_str().expect("an id")).collect();
        let options = ["-i", "/root/key", "-o", "BatchMode=yes", "echo", "in-$((6*7))"];
        let mut alice = machine.ssh("alice", &options);
        let is_over = alice.end().success();
        assert_eq!((ids.as_slice(), is_over, alice.screen().contains("in-42")), (told, is_in, is_in), "{methods}");
        let foreseen =
            machine.run(["authflow", "--json", "test", "alice", "--service", "sshd", "--proved", "publickey"]).json();
        assert_eq!(foreseen["needs"].is_string(), !is_in, "{foreseen:?}");
    }
}
