//! The way back from `authflow setup`: by itself, by hand, step by step, from disks that are full or read-only, and past edits and a record
//! that cannot be read.

mod stock;

use authflow_tests::wait;
use stock::{SETUP, SETUP_LINE, Site, files, log_in};

#[test]
fn what_nobody_confirms_goes_back_by_itself() {
    let Some((machine, mut phone)) = stock::booted() else { return };
    let stock = files(&machine);
    let is_over = || !machine.path("/var/lib/authflow/setup/pending").exists();
    // Killed at some moment after its first change: whichever it is, and whether it came to its end before.
    let setup = SETUP.join(" ");
    let kill = format!(
        "{setup} --rollback-after 30s & until grep -q 'authflow setup' /etc/pam.d/sshd; do :; done; kill -9 $!; wait"
    );
    let _ = machine.shell(&kill);
    assert_ne!(files(&machine), stock);
    wait::until_true("the timer", is_over);
    assert_eq!(files(&machine), stock);

    let _ = machine.run([SETUP, &["--rollback-after", "30s"]].concat()).success();
    assert_ne!(files(&machine), stock);
    // Nor is the daemon needed.
    machine.kill_daemon();
    let _alice = log_in(&machine, "alice", Some(&mut phone));
    wait::until_true("the timer", is_over);
    assert_eq!(files(&machine), stock);
    machine.logged(&["event=setup-rolled-back"]);
    let _as_before = log_in(&machine, "alice", None);

    // A boot that comes first. sshd starts after it, and is not waited for.
    let _ = machine.run(SETUP).success();
    let _ = machine.shell("systemctl stop authflow-setup-rollback.timer multi-user.target ssh").success();
    let _ = machine.shell("systemctl start multi-user.target").success();
    wait::until_true("the boot", is_over);
    assert_eq!(files(&machine), stock);
    let _at_last = log_in(&machine, "alice", None);

    // A roll-back that cannot be done holds up no boot, is told where people sit, and is tried again.
    let mut bob = log_in(&machine, "bob", None);
    let _ = machine.run(SETUP).success();
    // The bed has no console; whoever writes to it opens what there is.
    let _ = machine.shell("touch /dev/console").success();
    let _ = machine.shell("mount --bind /etc/pam.d /etc/pam.d && mount -o remount,bind,ro /etc/pam.d").success();
    let _ = machine.shell("systemctl stop authflow-setup-rollback.timer multi-user.target ssh").success();
    let _ = machine.shell("systemctl start multi-user.target").success();
    wait::until_true("sshd", || machine.run(["systemctl", "is-active", "ssh"]).stdout == "active\n");
    assert!(!is_over());
    bob.expect("could NOT be rolled back");
    machine.logged(&["event=setup-not-rolled-back", "Read-only file system"]);
    let console = machine.shell("cat /dev/console").success();
    assert!(console.contains("files as they were are under /var/lib/authflow/setup/2"), "{console}");
    let _ = log_in(&machine, "alice", None);
    // A second try comes, and is silent.
    let tries = ["systemctl", "show", "--property=NRestarts", "--value", "authflow-setup-rollback"];
    wait::until_true("a second try", || !["0\n", "1\n"].contains(&machine.run(tries).stdout.as_str()));
    assert_eq!(machine.log().matches("event=setup-not-rolled-back").count(), 1);
    let _ = machine.run(["umount", "/etc/pam.d"]).success();
    wait::until_true("the next try", is_over);
    assert_eq!(files(&machine), stock);
}

#[test]
fn what_was_edited_meanwhile_is_kept_and_the_way_in_comes_back() {
    let Some((machine, _phone)) = stock::booted() else { return };
    let stock = files(&machine);
    let _ = machine.run(SETUP).success();
    let edited = machine.read("/etc/pam.d/sshd") + "session optional pam_echo.so mine\n";
    machine.write("/etc/pam.d/sshd", &edited);
    machine.write("/etc/ssh/sshd_config.d/10-authflow.conf", "KbdInteractiveAuthentication no\n");
    let said = machine.run(["authflow", "setup", "rollback"]);
    assert!(said.status.success() && said.stderr.contains("edited/etc/pam.d/sshd"), "{said:#?}");
    assert_eq!(
        files(&machine),
        stock.replace(
            "@include common-password\n/etc/pam.d/su ",
            "@include common-password\nsession optional pam_echo.so mine\n/etc/pam.d/su "
        )
    );
    let kept = machine.shell("cat /var/lib/authflow/setup/*/edited/etc/pam.d/sshd").success();
    assert_eq!(kept, edited);
    let _as_before = log_in(&machine, "alice", None);
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
        let said = site.machine.shell(SETUP_LINE);
        let _ = site.machine.shell(mend).success();
        assert!(!said.status.success(), "{spoil}: {said:#?}");
        assert_eq!(files(&site.machine), site.stock, "{spoil}");
        assert!(!site.machine.path("/var/lib/authflow/setup/pending").exists(), "{spoil}");
    }
    let _ = site.machine.shell(SETUP_LINE).success();
    assert!(site.machine.shell(SETUP_LINE).failure(1).contains("waits"), "a second time");
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
    let _ = site.machine.shell(&format!("{SETUP_LINE} && {confirm}")).success();
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
    let _ = site.machine.shell(&format!("{SETUP_LINE} && {confirm}; {both} && {confirm}")).success();
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
        let _ = site.machine.shell(SETUP_LINE).success();
        assert_ne!(files(&site.machine), site.stock);
        let pending = "/var/lib/authflow/setup/pending";
        match unreadable {
            "chmod" => drop(site.machine.run(["chmod", "666", pending]).success()),
            text => site.machine.write(pending, text),
        }
        let refused = site.machine.shell(SETUP_LINE).failure(1);
        assert!(refused.contains("`authflow setup rollback` takes back"), "{refused}");
        let said = site.machine.run(["authflow", "setup", "rollback", "--unattended"]);
        assert!(said.status.success() && said.stderr.contains("the newest setup"), "{said:#?}");
        assert_eq!(files(&site.machine), site.stock, "{unreadable}");
        assert!(!site.machine.path(pending).exists());
    }
}
