//! The Debian packages on a booted Debian, with real dpkg, pam-auth-update and sshd: what installing, enabling and removing them does
//! to logins, and does not.

mod packaged;

use std::process::Command;

use authflow_tests::{Authenticator, Machine, Packages, Person, wait};
use packaged::{BOTH, SYSTEM_PASSWORD, enable_profile, machine, set_system_passwords, unpack};
use serde_json::Value;

/// Its key goes by code, everybody else by password and code.
const KEYS: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthorizedKeysFile /etc/ssh/keys-%u\n\
                    AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam";

/// The one file in /etc that is the package's own.
const HOOK: &str = "/etc/shadow-maint/userdel-post.d/authflow";

/// What `systemd-analyze security` finds open of the daemon's unit, where its reason stands.
const LEFT_OPEN: [&str; 14] = [
    "CapabilityBoundingSet_CAP_AUDIT",
    "CapabilityBoundingSet_CAP_DAC_FOWNER_IPC_OWNER",
    "CapabilityBoundingSet_CAP_KILL",
    "CapabilityBoundingSet_CAP_SYS_PTRACE",
    "DeviceAllow",
    "PrivateDevices",
    "PrivateUsers",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectProc",
    "RestrictAddressFamilies_AF_NETLINK",
    "RestrictAddressFamilies_AF_UNIX",
    "RootDirectoryOrRootImage",
    "UserOrDynamicUser",
];

#[test]
fn the_packages_are_clean_by_lintian() {
    let Some(packages) = Packages::built() else { return };
    let folder = packages.files[0].parent().expect("files are in a folder");
    let changes = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let changes: Vec<_> = changes.filter(|path| path.extension().is_some_and(|end| end == "changes")).collect();
    let output = Command::new("lintian").args(["--allow-root", "--fail-on", "error,warning"]).args(changes).output();
    let output = output.expect("lintian runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn installing_changes_no_login_and_removing_leaves_none_behind() {
    let Some(packages) = Packages::built() else { return };
    let Some(machine) = machine(&["alice"]) else { return };
    let before = stacks(&machine);
    logs_in_by_the_system(&machine);

    // As a power cut in the midst would leave it, and then to its end.
    unpack(&machine, &packages);
    assert_eq!(stacks(&machine), before);
    logs_in_by_the_system(&machine);
    let _ = machine.dpkg(&["--configure", "--pending"]).success();
    assert_eq!(stacks(&machine), before);
    logs_in_by_the_system(&machine);
    let _ = machine.run(["systemctl", "is-active", "authflow-sessiond"]).success();
    the_daemon_may_what_its_unit_explains_and_no_more(&machine);
    assert_eq!(machine.sessions(), Vec::<Value>::new());
    let conffiles = machine.shell("dpkg-query --show --showformat='${Conffiles}' authflow libpam-authflow").success();
    let conffiles: Vec<_> = conffiles.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(conffiles, [HOOK], "policy in a conffile");
    nothing_is_left_of_a_user_who_is_removed(&machine);
    rules_that_cannot_be_used_any_more_are_cried_out(&machine);

    // The profile alone changes no login, either: no rule governs any.
    enable_profile(&machine);
    assert_ne!(stacks(&machine), before);
    logs_in_by_the_system(&machine);

    a_line_by_hand_keeps_the_module(&machine);

    let _ = machine.dpkg(&["--remove", "libpam-authflow"]).success();
    assert_eq!(stacks(&machine), before);
    logs_in_by_the_system(&machine);
    let _ = machine.dpkg(&["--remove", "authflow"]).success();
    logs_in_by_the_system(&machine);

    what_is_kept_and_what_is_not(&machine, &packages);
    assert_eq!(stacks(&machine), before);
    logs_in_by_the_system(&machine);
}

/// One more is a decision, and not an accident.
fn the_daemon_may_what_its_unit_explains_and_no_more(machine: &Machine) {
    let show = |property: &str| machine.run(["systemctl", "show", "-P", property, "authflow-sessiond"]).success();
    let mut capabilities: Vec<_> = show("CapabilityBoundingSet").split_whitespace().map(str::to_owned).collect();
    capabilities.sort_unstable();
    assert_eq!(capabilities, ["cap_audit_write", "cap_dac_override", "cap_kill", "cap_sys_ptrace"]);
    assert_eq!(show("AmbientCapabilities").trim(), "");
    // In tenths of the exposure that its table ends with.
    let table = ["systemd-analyze", "security", "--threshold=20", "--json=short", "authflow-sessiond"];
    let table: Vec<Value> = serde_json::from_str(&machine.run(table).success()).expect("a table");
    let open = table.iter().filter(|row| row["set"] == false).filter_map(|row| row["json_field"].as_str());
    let mut open: Vec<_> = open.collect();
    open.sort_unstable();
    assert_eq!(open, LEFT_OPEN);
}

fn nothing_is_left_of_a_user_who_is_removed(machine: &Machine) {
    let _ = machine.run(["useradd", "carol"]).success();
    machine.give_password("carol");
    let record = "/var/lib/authflow/users/carol.toml";
    assert!(machine.path(record).exists());
    let _ = machine.run(["userdel", "carol"]).success();
    assert!(!machine.path(record).exists());
}

/// An upgrade goes through all the same.
fn rules_that_cannot_be_used_any_more_are_cried_out(machine: &Machine) {
    let config = machine.read("/etc/authflow/authflow.toml");
    let configured = || {
        let said = machine.shell("DEBIAN_FRONTEND=noninteractive dpkg-reconfigure authflow 2>&1").success();
        said.contains("WARNING: this version cannot use /etc/authflow/authflow.toml")
    };
    assert!(!configured());
    machine.write("/etc/authflow/authflow.toml", "of_another_version = 1\n");
    assert!(configured());
    machine.write("/etc/authflow/authflow.toml", &config);
}

/// Whoever names the module by hand is told so, and nothing has changed.
fn a_line_by_hand_keeps_the_module(machine: &Machine) {
    let enabled = stacks(machine);
    let su = machine.read("/etc/pam.d/su");
    machine.write("/etc/pam.d/su", &format!("# pam_authflow.so\nauth required pam_authflow.so\n{su}"));
    let edited = stacks(machine);
    let told = machine.dpkg(&["--remove", "libpam-authflow"]).failure(1);
    assert!(told.contains("/etc/pam.d/su:2: auth required pam_authflow.so"), "{told}");
    assert!(!told.contains("common-auth"), "{told}");
    assert_eq!(stacks(machine), edited, "weaker than before, although nothing was removed");
    machine.write("/etc/pam.d/su", &su);

    let drop_in = "/etc/ssh/sshd_config.d/10-authflow.conf";
    machine.write(drop_in, "AuthenticationMethods publickey,keyboard-interactive:pam\n");
    let told = machine.dpkg(&["--remove", "libpam-authflow"]).failure(1);
    assert!(told.contains(drop_in), "{told}");
    assert_eq!(stacks(machine), enabled);
    let _ = machine.run(["rm", drop_in]).success();

    // pam-auth-update leaves alone what somebody has edited within its block.
    let auth = machine.read("/etc/pam.d/common-auth");
    let block = "(the \"Primary\" block)\n";
    machine
        .write("/etc/pam.d/common-auth", &auth.replace(block, &format!("{block}auth\toptional\tpam_faildelay.so\n")));
    let edited = stacks(machine);
    let told = machine.dpkg(&["--remove", "libpam-authflow"]).failure(1);
    assert!(told.contains("/etc/pam.d/common-auth:"), "{told}");
    assert_eq!(stacks(machine), edited);
    machine.write("/etc/pam.d/common-auth", &auth);
    assert_eq!(stacks(machine), enabled);
    logs_in_by_the_system(machine);
}

/// A removal keeps the configuration, a purge the records unless it is told otherwise.
fn what_is_kept_and_what_is_not(machine: &Machine, packages: &Packages) {
    let config = "/etc/authflow/authflow.toml";
    let is_there = |path: &str| machine.path(path).exists();
    assert!(is_there(config));
    machine.write(config, "# mine\n");
    machine.install(packages);
    assert_eq!(machine.read(config), "# mine\n");
    machine.give_password("alice");
    let record = "/var/lib/authflow/users/alice.toml";
    assert!(is_there(record));

    let told = machine.dpkg(&["--purge", "libpam-authflow", "authflow"]);
    assert!(told.stderr.contains("are kept in /var/lib/authflow"), "{told:?}");
    let _ = told.success();
    assert!(!is_there(config) && is_there(record));

    machine.install(packages);
    assert!(machine.read(config).contains("# authflow"), "{}", machine.read(config));
    assert!(machine.run(["authflow", "factor", "list", "--user", "alice"]).success().contains("password"));
    let _ = machine.feed(["debconf-set-selections"], b"authflow authflow/remove-records boolean true\n").success();
    let _ = machine.dpkg(&["--purge", "libpam-authflow", "authflow"]).success();
    for path in ["/etc/authflow", "/var/lib/authflow", "/run/authflow"] {
        assert!(!is_there(path), "{path}");
    }
}

#[test]
fn the_profile_asks_for_what_the_rule_says_and_nothing_falls_through() {
    let Some(packages) = Packages::built() else { return };
    let Some(machine) = machine(&["alice", "bob", "carol"]) else { return };
    machine.install(&packages);
    enable_profile(&machine);
    machine.write("/etc/authflow/authflow.toml", &format!("{BOTH}session = {{ idle = \"30s\", warn = \"6s\" }}\n"));
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    half_a_profile_is_found_out(&machine);

    // This one is left alone until it ends.
    let mut idle = machine.log_in("bob", &mut bobs);

    let mut alice = machine.log_in("alice", &mut alices);
    let logind = agree_on(&machine, "alice");
    alice.type_line("setsid nohup sleep 4711 >/dev/null 2>&1 &");
    wait::until_true("alice's child", || machine.count("sleep 4711") == 1);
    let scope = format!("/sys/fs/cgroup/user.slice/user-1000.slice/session-{logind}.scope");
    assert!(machine.path(&scope).exists());
    let _ = machine.run(["authflow", "revoke", "--user", "alice", "--yes"]).success();
    let _ = alice.end();
    wait::until_true("the end of alice's child", || machine.count("sleep 4711") == 0);
    wait::until_true("the end of the scope", || !machine.path(&scope).exists());
    assert_eq!(machine.end_reason("alice"), "revoked");

    no_way_past_the_rule(&machine, &mut alices);
    pam_unix_still_judges_the_account(&machine, &mut alices);
    passwords_are_changed_whosever_they_are(&machine);

    idle.expect("authflow: nobody is using this session");
    let _ = idle.end();
    assert_eq!(machine.end_reason("bob"), "idle");

    let mut alice = by_key_and_code(&machine, &mut alices);

    // What goes leaves its sessions alone, and nothing behind that would end one.
    wait::until_true("alice's timer", || !timers(&machine).is_empty());
    let _ = machine.dpkg(&["--remove", "libpam-authflow", "authflow"]).success();
    assert_eq!(timers(&machine), "");
    assert_eq!(alice.shell("echo still here"), "still here");
}

/// One part without the other would refuse logins, or leave sessions without an end.
fn half_a_profile_is_found_out(machine: &Machine) {
    let found = || machine.run(["authflow", "check"]).stdout;
    assert!(!found().contains("/etc/pam.d/"), "the profile's own lines are faulted: {}", found());
    for (part, missing) in [("authflow", "[auth-line-missing]"), ("authflow-session", "[session-line-missing]")] {
        let _ = machine.run(["env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", "--disable", part]).success();
        assert!(found().contains(missing), "{}", found());
        enable_profile(machine);
    }
}

/// carol has a password of the system's, and no code; later there is nothing to decide by at all.
fn no_way_past_the_rule(machine: &Machine, alices: &mut Authenticator) {
    machine.is_refused("carol", SYSTEM_PASSWORD, "000000");
    machine.is_refused("alice", machine.password(), &alices.wrong_code());
    let config = machine.read("/etc/authflow/authflow.toml");
    machine.write("/etc/authflow/authflow.toml", "this does not parse");
    let mut carol = machine.ssh("carol", &[]);
    let ended = carol.answer_all(&[("assword: ", SYSTEM_PASSWORD), ("code: ", "000000")]);
    assert_eq!(ended.code(), Some(255), "{}", carol.screen());
    // Nothing was ever applied, so all are denied, and root at the machine's own console is let past.
    set_system_passwords(machine, &["root"]);
    let root = |tty: &str| {
        let login = ["pamtester", tty, "login", "root", "authenticate", "acct_mgmt", "open_session"];
        machine.person(login).answer_all(&[("assword: ", SYSTEM_PASSWORD)]).success()
    };
    assert!(root("-Itty=/dev/tty1") && !root("-Itty=/dev/pts/0"), "{}", machine.log());
    machine.write("/etc/authflow/authflow.toml", &config);
}

/// The account line of ours stands before pam_unix's, and takes nothing away from it.
fn pam_unix_still_judges_the_account(machine: &Machine, alices: &mut Authenticator) {
    let _ = machine.run(["chage", "--expiredate", "0", "alice"]).success();
    let mut alice = machine.answer("alice", machine.password(), &alices.code());
    assert_ne!(alice.end().code(), Some(0), "{}", alice.screen());
    machine.logged(&["pam_unix(sshd:account): account alice has expired"]);
    let _ = machine.run(["chage", "--expiredate", "-1", "alice"]).success();

    // A password of the system's that is too old is changed in the login, and the session is tracked all the same.
    let service = "[[rule]]\nname = \"login\"\nservice = [\"login\"]\nmethods = [[\"password\"]]\n";
    let config = machine.read("/etc/authflow/authflow.toml");
    machine.write("/etc/authflow/authflow.toml", &format!("{config}{service}"));
    let _ = machine.run(["chage", "--lastday", "0", "carol"]).success();
    let mut carol = machine.person(["login", "carol"]);
    let another = "what it knows now";
    for (asked, answer) in [
        ("assword: ", SYSTEM_PASSWORD),
        ("Current password: ", SYSTEM_PASSWORD),
        ("New password: ", another),
        ("Retype new password: ", another),
    ] {
        carol.expect(asked);
        carol.type_line(answer);
    }
    carol.expect("$ ");
    assert!(machine.sessions().iter().any(|session| session["user"] == "carol" && session["factors"][0] == "password"));
    carol.type_line("exit");
    let _ = carol.end();
    set_system_passwords(machine, &["carol"]);
}

/// carol's is the system's, alice's ours.
fn passwords_are_changed_whosever_they_are(machine: &Machine) {
    for (user, old, new, refusal) in [
        ("carol", SYSTEM_PASSWORD, "seven green bottles", "unchanged"),
        ("alice", machine.password(), "nine white elephants", "same"),
    ] {
        let mut person = machine.person(["setpriv", "--reuid", user, "--regid", user, "--init-groups", "passwd"]);
        for (asked, answer) in [("Current password: ", old), ("New password: ", new), ("Retype new password: ", new)] {
            person.expect(asked);
            person.type_line(answer);
        }
        assert!(person.end().success(), "{user} ({refusal}): {}", person.screen());
    }
    let shadow = machine.read("/etc/shadow");
    let carols = shadow.lines().find(|line| line.starts_with("carol:")).expect("carol has a line");
    assert!(carols.starts_with("carol:$y$"), "{carols}");
    machine.give_password("alice");
}

fn by_key_and_code(machine: &Machine, alices: &mut Authenticator) -> Person {
    let _ = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/key"]).success();
    machine.write("/etc/ssh/keys-alice", &machine.read("/root/key.pub"));
    machine.restart_sshd(KEYS);
    let mut alice = machine.ssh("alice", &["-i", "/root/key"]);
    let before = alice.expect("Verification code: ");
    assert!(!before.contains("assword"), "{before}");
    alice.type_line(&alices.code());
    alice.expect("$ ");
    let _ = agree_on(machine, "alice");
    let sessions = machine.sessions();
    let session = sessions.iter().find(|session| session["user"] == "alice").expect("alice's");
    assert_eq!(session["factors"], serde_json::json!(["totp", "publickey"]));
    alice
}

/// systemd's own timers of sessions.
fn timers(machine: &Machine) -> String {
    machine.shell("systemctl list-units --plain --no-legend 'authflow-session-*.timer'").success()
}

/// What PAM goes by.
fn stacks(machine: &Machine) -> String {
    machine.shell("cd /etc/pam.d && head --lines=-0 -v * ../pam.conf").success()
}

/// alice is asked for the system's password and nothing else.
#[track_caller]
fn logs_in_by_the_system(machine: &Machine) {
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("assword: ");
    alice.type_line(SYSTEM_PASSWORD);
    alice.expect("$ ");
    assert!(!alice.sees("Verification code"));
}

/// logind and authflow say the same of the user's only session; returns logind's id of it.
#[track_caller]
fn agree_on(machine: &Machine, user: &str) -> String {
    let sessions = machine.sessions();
    let session = sessions.iter().find(|session| session["user"] == user).unwrap_or_else(|| panic!("{sessions:#?}"));
    let id = session["logind_id"].as_str().expect("logind knows it").to_owned();
    let told = machine.run(["loginctl", "show-session", &id, "--property=Leader", "--property=Name"]).success();
    let mut told: Vec<_> = told.lines().collect();
    told.sort_unstable();
    assert_eq!(told, [format!("Leader={}", session["leader"]), format!("Name={user}")]);
    id
}
