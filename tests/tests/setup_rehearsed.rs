//! `authflow setup` runs the auth phase of the new stacks up to authflow's own question before they go live. Nothing of that is counted, and
//! nothing is left of it, whatever it comes to.

use authflow_tests::{Machine, wait};

/// Debian's own stacks with pam_faillock in them, without systemd. alice may use sudo; alice and root have passwords and authenticators.
struct Site {
    machine: Machine,
    stock: String,
    counted: String,
}

/// As hardening guides write it for Debian.
const COMMON_AUTH: &str = "auth requisite pam_faillock.so preauth\nauth [success=2 default=ignore] pam_unix.so nullok\n\
                           auth [default=die] pam_faillock.so authfail\nauth requisite pam_deny.so\nauth required pam_permit.so\n";

const SSHD: &str = "authflow setup sshd --user alice --yes";

impl Site {
    fn new() -> Option<Self> {
        let machine = Machine::overlay()?.user("alice").start();
        let _ = machine.feed(["chpasswd"], format!("alice:{0}\nroot:{0}\n", machine.password()).as_bytes()).success();
        machine.write("/etc/pam.d/common-auth", COMMON_AUTH);
        machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
        for user in ["alice", "root"] {
            let add = ["authflow", "factor", "add", "totp", "--user", user, "--secret-stdin", "--no-confirm"];
            let _ = machine.feed(add, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").success();
        }
        let _ = machine.shell("ssh-keygen -A; : >/var/log/btmp").success();
        let (stock, counted) = (files(&machine), counted(&machine));
        Some(Self { machine, stock, counted })
    }

    #[track_caller]
    fn nothing_is_counted_or_left(&self, when: &str) {
        assert_eq!(counted(&self.machine), self.counted, "{when}");
        assert_eq!(self.machine.shell("grep -c -e pam.d -e btmp /proc/mounts").stdout, "0\n", "{when}");
        assert!(!self.machine.path("/var/lib/authflow/setup/tried").exists(), "{when}");
        wait::until_true("the end of all that was tried", || !self.is_running("su|unshare|sleep"));
    }

    fn is_running(&self, names: &str) -> bool {
        self.machine.run(["pgrep", "-x", names]).status.success()
    }

    /// What setup says where it refuses, and changes nothing.
    #[track_caller]
    fn refused(&self, spoil: &str) -> String {
        let _ = self.machine.shell(spoil).success();
        let before = files(&self.machine);
        let said = self.machine.shell(SSHD).failure(1).to_owned();
        assert_eq!(files(&self.machine), before, "{said}");
        self.nothing_is_counted_or_left(&said);
        said
    }

    /// What setup says besides where it goes live. Then all is as it was.
    #[track_caller]
    fn goes_live(&self, spoil: &str, setup: &str) -> String {
        let _ = self.machine.shell(spoil).success();
        let said = self.machine.shell(setup);
        assert!(said.status.success(), "{said:#?}");
        self.nothing_is_counted_or_left(setup);
        let _ = self.machine.run(["authflow", "setup", "rollback"]).success();
        said.stderr
    }
}

/// All that is written down about whoever fails, by us, by pam_faillock and by su.
fn counted(machine: &Machine) -> String {
    let listed = "find /var/lib/authflow/users /var/lib/authflow/state /run/faillock /var/log/btmp -type f -size +0 -exec sha256sum {} +; \
                  authflow history --json";
    machine.shell(listed).stdout
}

/// Everything that setup may touch, as text.
fn files(machine: &Machine) -> String {
    let listed = "for f in /etc/pam.d/* /etc/ssh/sshd_config.d/* /etc/authflow/*.toml /etc/authflow/authflow.toml.d/*; do \
                  [ -f $f ] && stat -c '%n %a %U:%G' $f && cat $f; done; true";
    machine.shell(listed).success()
}

#[test]
fn auth_of_every_new_stack_is_run_up_to_our_question_and_nothing_is_counted() {
    let Some(site) = Site::new() else { return };
    let services = ["sshd", "login", "su", "sudo"];
    for service in services {
        let line = format!("1i auth optional pam_exec.so quiet seteuid /usr/bin/touch /run/tried-{service}");
        let _ = site.machine.run(["sed", "-i", &line, &format!("/etc/pam.d/{service}")]).success();
    }
    let said = site.goes_live("true", "authflow setup sshd login su sudo --user alice --yes");
    assert!(!said.contains("auth of the new stacks") && !said.contains("not known"), "{said}");
    for service in services {
        assert!(site.machine.path("/run").join(format!("tried-{service}")).exists(), "{service}");
    }
    assert!(!site.machine.log().contains("event=refused"), "{}", site.machine.log());

    // root is asked nothing by su, so somebody else knocks.
    let _ = site.machine.shell("rm /run/tried-*").success();
    let said = site.goes_live("true", "authflow setup su --user root --yes");
    assert!(site.machine.path("/run/tried-su").exists() && !said.contains("not known"), "{said}");
}

#[test]
fn a_stack_that_does_not_come_to_our_question_does_not_go_live() {
    let Some(site) = Site::new() else { return };
    let module = site.machine.shell("ls /usr/lib/*/security/pam_authflow.so").success().trim().to_owned();
    let first = |line: &str| format!("cp -p /root/sshd /etc/pam.d/sshd && sed -i '1i {line}' /etc/pam.d/sshd");
    let _ = site.machine.shell("cp -p /etc/pam.d/sshd /root/sshd").success();

    // By its name it lets root alone pass.
    let _ = site.machine.shell("cp /usr/lib/*/security/pam_permit.so /root/pam_rootok.so").success();
    let said = site.refused(&first("auth sufficient /root/pam_rootok.so"));
    assert!(said.contains("/etc/pam.d/sshd with authflow's lines lets alice in without asking"), "{said}");

    let said = site.refused(&first("auth required pam_exec.so /bin/sleep 1000"));
    assert!(
        said.contains(
            "came to no end for alice before authflow asked (processes of alice's can stop what runs as alice"
        ),
        "{said}"
    );

    let missing = format!("cp -p /root/sshd /etc/pam.d/sshd; mv {module} /root/module");
    let said = site.refused(&missing);
    assert!(said.contains("refuses alice before authflow asks (su: Module is unknown)"), "{said}");
    let _ = site.machine.shell(&format!("mv /root/module {module}")).success();
    assert_eq!(files(&site.machine), site.stock);
    let _ = site.goes_live("true", SSHD);
}

#[test]
fn where_auth_cannot_be_tried_it_is_told_and_goes_on() {
    let Some(site) = Site::new() else { return };
    let _ = site.machine.shell("cp -p /etc/pam.d/su /root/su").success();
    let su = "authflow setup su --user alice --yes";
    let said = site.goes_live("sed -i '1i auth requisite pam_wheel.so' /etc/pam.d/su", su);
    assert!(said.contains("/etc/pam.d/su: run as su it refuses alice before authflow's lines as well"), "{said}");

    // It asks, and lets nobody in: then comes what it is in front of.
    let said = site.goes_live("cp -p /root/su /etc/pam.d/su; sed -i '1i auth required pam_wheel.so' /etc/pam.d/su", su);
    assert!(!said.contains("not known"), "{said}");

    let said = site.goes_live(
        "cp -p /root/su /etc/pam.d/su; sed -i '1i auth required pam_userdb.so db=/nowhere' /etc/pam.d/su",
        su,
    );
    assert!(said.contains("/etc/pam.d/su: another module asks alice first (Password:)"), "{said}");

    let untried = |why: &str| format!("auth of the new stacks is not tried before they go live: {why}");
    let both = "authflow setup sshd login --user alice --yes";
    let said = site.goes_live("cp -p /root/su /etc/pam.d/su; chmod -x /usr/bin/unshare", both);
    assert_eq!(said.matches(&untried("setpriv: ")).count(), 1, "{said}");
    let _ = site.machine.run(["chmod", "+x", "/usr/bin/unshare"]).success();
    let said = site.goes_live("true", &format!("setpriv --bounding-set -sys_admin --inh-caps -sys_admin {both}"));
    assert_eq!(said.matches(&untried("unshare: unshare failed: Operation not permitted")).count(), 1, "{said}");
    let said = site.goes_live("true", &format!("setpriv --no-new-privs {both}"));
    assert_eq!(said.matches(&untried("no program may gain rights here")).count(), 1, "{said}");
    let said = site.goes_live("mount --bind /usr/bin /usr/bin && mount -o remount,bind,nosuid /usr/bin", both);
    assert_eq!(said.matches("is on a file system mounted nosuid").count(), 1, "{said}");
    let said = site.goes_live("umount -l /usr/bin && chmod u-s /usr/bin/su", both);
    assert_eq!(said.matches("su is not setuid").count(), 1, "{said}");
    let said = site.goes_live("chmod u+s /usr/bin/su; rm /etc/pam.d/su", both);
    assert_eq!(said.matches(&untried("mount: /etc/pam.d/su: ")).count(), 1, "{said}");
}

#[test]
fn stopped_while_auth_is_tried_setup_leaves_nothing_behind() {
    let Some(site) = Site::new() else { return };
    let _ = site.machine.shell("sed -i '1i auth required pam_exec.so /bin/sleep 1000' /etc/pam.d/sshd").success();
    let before = files(&site.machine);
    for signal in ["TERM", "KILL"] {
        let stopped = format!("{SSHD} & until pgrep -x sleep >/dev/null; do :; done; kill -{signal} $!; wait $!");
        let said = site.machine.shell(&stopped);
        assert!(!said.status.success(), "{said:#?}");
        assert!(signal == "KILL" || said.stderr.contains("stopped as you asked: nothing was changed"), "{said:#?}");
        wait::until_true("the end of all that was tried", || !site.is_running("su|unshare|sleep"));
        assert_eq!((files(&site.machine), counted(&site.machine)), (before.clone(), site.counted.clone()));
    }
    let _ = site.machine.shell("sed -i 1d /etc/pam.d/sshd").success();
    let _ = site.goes_live("true", SSHD);
}
