//! What `authflow check` says of sshd, sudo, files, records and the daemon when they are wrong, on a machine that is otherwise right.

mod good;

use authflow_tests::{Machine, wait};
use good::{Case, each_is_told};

#[test]
fn what_is_wrong_beside_the_stacks_is_told_with_its_line() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let mut phone = machine.enroll("alice");
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "the shipped examples");
    each_is_told(&machine, &["/etc/ssh", "/etc/authflow"], SSHD);
    each_is_told(&machine, &["/etc/ssh", "/etc/authflow"], MATCHES);
    let _ = machine.run(["mkdir", "-p", "/root/.ssh"]).success();
    each_is_told(&machine, &["/etc/ssh", "/etc/authflow", "/etc/pam.d", "/root/.ssh"], ROOT_AND_LEFT);
    each_is_told(&machine, &["/etc/sudoers.d", "/etc/authflow"], SUDO);
    each_is_told(&machine, &["/var/lib/authflow/users", "/var/lib/authflow/state"], RECORDS);
    each_is_told(&machine, &["/usr/share/authflow"], FILES);
    let policy = "/usr/share/dbus-1/system.d/org.authflow.sessiond1.conf";
    let _ = machine.shell(&format!("mv {policy} /root")).success();
    is_told(&machine, "bus-policy-missing");
    let _ = machine.shell(&format!("mv /root/org.authflow.sessiond1.conf {policy}")).success();
    wait::until_true("the bus to read its policy again", || good::check(&machine) == (Vec::new(), Some(0)));

    // Unprivileged, what cannot be seen is told, and nothing is made up.
    let said = machine.run(["setpriv", "--reuid=bob", "--regid=bob", "--clear-groups", "authflow", "check", "--json"]);
    let told: Vec<_> = said.json().as_array().expect("a list").iter().map(|found| found["id"].clone()).collect();
    assert_eq!(told, ["sshd-not-asked", "records-not-looked-at", "sudoers-not-looked-at"]);

    // Somebody who is to be kept out and is in. Of what is mounted the daemon hears nothing; else it would end the session.
    let alice = machine.log_in("alice", &mut phone);
    machine.logged(&["event=accounts-followed", "new=1"]);
    // Without her somebody else meets the rules.
    let _ = machine.enroll("bob");
    let mark = "cp -a /var/lib/authflow/state /root/ && install -m 0600 /dev/null /root/state/alice.disabled && \
                mount --bind /root/state /var/lib/authflow/state";
    let _ = machine.shell(mark).success();
    is_told(&machine, "disabled-in-session");
    let _ = machine.run(["umount", "/var/lib/authflow/state"]).success();
    drop(alice);

    machine.kill_daemon();
    is_told(&machine, "daemon-away");
    let config = machine.read("/etc/authflow/authflow.toml");
    machine.write("/root/new.toml", &format!("session = {{ when_unavailable = \"deny\" }}\n{config}"));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    is_told(&machine, "daemon-away-denies");
}

/// What is told of sudoers and of sudo's other name does let somebody in who has proved no code.
#[test]
fn what_gets_around_a_rule_about_sudo_does() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.file("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n").start();
    let _ = machine.enroll("alice");
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    let gets_in_by_password = |options: &str| {
        let command = format!("setpriv --reuid=alice --regid=alice --init-groups sudo -k -S {options} true");
        let answers = format!("{0}\n{0}\n{0}\n", machine.password());
        machine.feed(["sh", "-c", &command], answers.as_bytes()).status.success()
    };
    let ids = || {
        let (found, _) = good::check(&machine);
        found.iter().map(|found| found["id"].as_str().expect("an id").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((ids(), gets_in_by_password(""), gets_in_by_password("-i")), (Vec::new(), false, false));
    machine.write("/etc/sudoers.d/around", "Defaults pam_service=other\n");
    let not_called = vec!["rule-not-called".to_owned()];
    assert_eq!((ids(), gets_in_by_password(""), gets_in_by_password("-i")), (not_called, true, false));
    let _ = machine.shell("rm /etc/sudoers.d/around; cp /etc/pam.d/other /etc/pam.d/sudo-i").success();
    machine.write("/root/new.toml", &good::CONFIG.replace(", \"sudo-i\"", ""));
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    let sibling = vec!["rule-sibling-left".to_owned()];
    assert_eq!((ids(), gets_in_by_password(""), gets_in_by_password("-i")), (sibling, false, true));
}

#[test]
fn a_store_that_cannot_be_written_is_told() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.without_daemon().start();
    let _ = machine.enroll("alice");
    // A folder where the store should be.
    let _ = machine.shell("mkdir /var/lib/authflow/sessions.db && chmod 0700 /var/lib/authflow/sessions.db").success();
    machine.start_daemon();
    is_told(&machine, "daemon-degraded");
}

#[track_caller]
fn is_told(machine: &Machine, id: &str) {
    let found = wait::until("the daemon to settle", || Some(good::check(machine).0).filter(|found| !found.is_empty()));
    assert!(found.len() == 1 && found[0]["id"] == id, "{found:#?}");
}

const SSHD: &[Case] = &[
    Case {
        breakage: "echo 'Foo bar' >> /etc/ssh/sshd_config",
        told: &["sshd-config-broken /etc/ssh/sshd_config: Foo"],
    },
    Case {
        breakage: "sed -i 's/^UsePAM.*/UsePAM no/' /etc/ssh/sshd_config",
        told: &["sshd-without-pam /etc/ssh/sshd_config: UsePAM no"],
    },
    Case {
        breakage: "sed -i -e 's/^Kbd.*/KbdInteractiveAuthentication no/' -e '/^AuthenticationMethods/d' -e '1i PubkeyAuthentication no' /etc/ssh/sshd_config",
        told: &["sshd-without-questions /etc/ssh/sshd_config: KbdInteractiveAuthentication no"],
    },
    Case {
        breakage: "mkdir -p /etc/ssh/sshd_config.d; echo 'KbdInteractiveAuthentication no' > /etc/ssh/sshd_config.d/50-hardening.conf; sed -i -e '1i Include /etc/ssh/sshd_config.d/*.conf\\nPubkeyAuthentication no' -e '/^AuthenticationMethods/d' /etc/ssh/sshd_config",
        told: &["sshd-without-questions /etc/ssh/sshd_config.d/50-hardening.conf: Kbd"],
    },
    Case {
        breakage: "sed -i 's/^Kbd.*/KbdInteractiveAuthentication no/' /etc/ssh/sshd_config",
        told: &[
            "sshd-without-questions /etc/ssh/sshd_config: KbdInteractiveAuthentication no",
            "sshd-config-broken /etc/ssh/sshd_config: AuthenticationMethods",
        ],
    },
    Case {
        breakage: "printf 'Match User bob\\n  KbdInteractiveAuthentication no\\n' >> /etc/ssh/sshd_config",
        told: &["sshd-without-questions /etc/ssh/sshd_config:   KbdInteractiveAuthentication no"],
    },
    Case {
        breakage: "sed -i -e 's/^Kbd.*/KbdInteractiveAuthentication no/' -e 's/^Pass.*/PasswordAuthentication yes/' -e '/^AuthenticationMethods/d' /etc/ssh/sshd_config; sed -i '0,/methods = .*/s//methods = [[\"publickey\"], [\"password\", \"totp\"]]/' /etc/authflow/authflow.toml",
        told: &["sshd-without-questions /etc/ssh/sshd_config: KbdInteractiveAuthentication no"],
    },
    Case {
        breakage: "sed -i 's/^AuthenticationMethods.*/AuthenticationMethods publickey/' /etc/ssh/sshd_config",
        told: &[
            "sshd-methods-unmet /etc/ssh/sshd_config: AuthenticationMethods publickey",
            "sshd-key-unforeseen /etc/ssh/sshd_config: AuthenticationMethods publickey",
        ],
    },
    Case {
        breakage: "sed -i '/^AuthenticationMethods/d' /etc/ssh/sshd_config",
        told: &["sshd-key-unforeseen /etc/ssh/sshd_config"],
    },
    Case {
        breakage: "sed -i '/^AuthenticationMethods/d' /etc/ssh/sshd_config; echo 'AuthorizedKeysFile none' >> /etc/ssh/sshd_config",
        told: &[],
    },
    Case {
        breakage: "sed -i '/^AuthenticationMethods/d' /etc/ssh/sshd_config; printf 'AuthorizedKeysFile none\nAuthorizedKeysCommand /usr/bin/false\nAuthorizedKeysCommandUser nobody\n' >> /etc/ssh/sshd_config",
        told: &["sshd-key-unforeseen /etc/ssh/sshd_config"],
    },
    Case {
        breakage: "sed -i '/^AuthenticationMethods/d' /etc/ssh/sshd_config; printf 'AuthorizedKeysFile none\nTrustedUserCAKeys /etc/ssh/ca.pub\n' >> /etc/ssh/sshd_config; touch /etc/ssh/ca.pub",
        told: &["sshd-key-unforeseen /etc/ssh/sshd_config"],
    },
    // Alice has a password, so that is her method, and her key alone is refused.
    Case {
        breakage: "sed -i '/^AuthenticationMethods/d' /etc/ssh/sshd_config; sed -i '0,/methods = .*/s//methods = [[\"password\"], [\"publickey\"]]/' /etc/authflow/authflow.toml",
        told: &["sshd-key-unforeseen /etc/ssh/sshd_config"],
    },
    Case {
        breakage: "sed -i '/^AuthenticationMethods/d' /etc/ssh/sshd_config; sed -i '0,/methods = .*/s//methods = [[\"publickey\"], [\"password\"]]/' /etc/authflow/authflow.toml",
        told: &[],
    },
    Case {
        breakage: "sed -i -e 's/^AuthenticationMethods.*/& password/' -e 's/^PasswordAuthentication.*/PasswordAuthentication yes/' /etc/ssh/sshd_config",
        told: &["sshd-password-method /etc/ssh/sshd_config: PasswordAuthentication yes"],
    },
    Case {
        breakage: "sed -i -e 's/^AuthenticationMethods.*/& gssapi-with-mic/' -e '1i GSSAPIAuthentication yes' /etc/ssh/sshd_config",
        told: &["sshd-method-unforeseen /etc/ssh/sshd_config: GSSAPIAuthentication yes"],
    },
    Case {
        breakage: "echo 'PermitEmptyPasswords yes' >> /etc/ssh/sshd_config; sed -i '1i [[rule]]\\nname = \"bobs\"\\nservice = [\"sshd\"]\\nuser = [\"bob\"]\\nmethods = [[\"stack\"]]' /etc/authflow/authflow.toml",
        told: &["sshd-empty-passwords /etc/ssh/sshd_config: PermitEmptyPasswords yes"],
    },
    Case {
        breakage: "printf 'ClientAliveInterval 300\\nClientAliveCountMax 0\\n' >> /etc/ssh/sshd_config",
        told: &["sshd-alive-count-zero /etc/ssh/sshd_config: ClientAliveCountMax 0"],
    },
    Case {
        breakage: "echo 'ClientAliveInterval 10m' >> /etc/ssh/sshd_config",
        told: &["sshd-alive-no-limit /etc/ssh/sshd_config: ClientAliveInterval 10m"],
    },
    Case {
        breakage: "echo 'PermitUserEnvironment yes' >> /etc/ssh/sshd_config",
        told: &["sshd-user-environment /etc/ssh/sshd_config: PermitUserEnvironment yes"],
    },
    Case {
        breakage: "echo 'LoginGraceTime 30' >> /etc/ssh/sshd_config; sed -i '/\"ssh\"/a enroll = { mode = \"required\" }' /etc/authflow/authflow.toml",
        told: &["sshd-grace-short /etc/ssh/sshd_config: LoginGraceTime 30"],
    },
    Case {
        breakage: "sed -i '1i sshd_services = [\"ssh2\"]' /etc/authflow/authflow.toml",
        told: &["sshd-service-unknown /etc/ssh/sshd_config", "sshd-service-missing /etc/authflow/authflow.toml"],
    },
];

/// The same for whom a `Match` is: each rule by the settings of those whom it names.
const MATCHES: &[Case] = &[
    Case {
        breakage: "printf 'Match Group bob\\n  AuthenticationMethods publickey\\n' >> /etc/ssh/sshd_config; sed -i '1i [[rule]]\\nname = \"bobs\"\\nservice = [\"sshd\"]\\nuser = [\"bob\"]\\nmethods = [[\"publickey\"]]' /etc/authflow/authflow.toml",
        told: &[],
    },
    Case {
        breakage: "printf 'Match User bob\\n  AuthenticationMethods publickey\\n' >> /etc/ssh/sshd_config; sed -i '1i [[rule]]\\nname = \"bobs\"\\nservice = [\"sshd\"]\\nuser = [\"bob\"]\\nmethods = [[\"password\"]]' /etc/authflow/authflow.toml",
        told: &[
            "sshd-methods-unmet /etc/ssh/sshd_config:   AuthenticationMethods publickey",
            "sshd-key-unforeseen /etc/ssh/sshd_config:   AuthenticationMethods publickey",
            // He has none.
            "rule-user-cannot-meet /etc/authflow/authflow.toml: \"bobs\"",
        ],
    },
    // Alice's rule could do with what holds for others.
    Case {
        breakage: "printf 'Match Group bob\\n  AuthenticationMethods publickey\\n' >> /etc/ssh/sshd_config; sed -i '1i [[rule]]\\nname = \"alices\"\\nservice = [\"sshd\"]\\nuser = [\"alice\"]\\nmethods = [[\"publickey\"], [\"password\", \"totp\"]]' /etc/authflow/authflow.toml",
        told: &[
            "sshd-methods-unmet /etc/ssh/sshd_config:   AuthenticationMethods publickey",
            "sshd-key-unforeseen /etc/ssh/sshd_config:   AuthenticationMethods publickey",
        ],
    },
    Case {
        breakage: "printf 'Match Address 10.20.0.0/16\\n  AuthenticationMethods publickey\\n' >> /etc/ssh/sshd_config",
        told: &[
            "sshd-methods-unmet /etc/ssh/sshd_config:   AuthenticationMethods publickey",
            "sshd-key-unforeseen /etc/ssh/sshd_config:   AuthenticationMethods publickey",
        ],
    },
    Case {
        breakage: "printf 'Match LocalPort 2222\\n  Include /etc/ssh/other.conf\\n' >> /etc/ssh/sshd_config; echo AuthenticationMethods publickey > /etc/ssh/other.conf",
        told: &[
            "sshd-methods-unmet /etc/ssh/other.conf: AuthenticationMethods publickey",
            "sshd-key-unforeseen /etc/ssh/other.conf: AuthenticationMethods publickey",
        ],
    },
    Case {
        breakage: "printf 'Match User *,!alice Address *,!10.20.0.0/16\\n  PasswordAuthentication yes\\n  AuthenticationMethods publickey password\\n' >> /etc/ssh/sshd_config",
        told: &[
            "sshd-methods-unmet /etc/ssh/sshd_config:   AuthenticationMethods publickey password",
            "sshd-key-unforeseen /etc/ssh/sshd_config:   AuthenticationMethods publickey password",
            "sshd-password-method /etc/ssh/sshd_config:   PasswordAuthentication yes",
        ],
    },
    // What comes first counts, here as there.
    Case {
        breakage: "printf 'Match User bob\\n  AuthenticationMethods keyboard-interactive:pam\\nMatch User bob\\n  AuthenticationMethods publickey\\n' >> /etc/ssh/sshd_config",
        told: &[],
    },
];

/// A key that is to open root's way in and does not, and what setup left behind.
const ROOT_AND_LEFT: &[Case] = &[
    Case {
        breakage: "echo 'ssh-ed25519 AAAA x' > /root/.ssh/authorized_keys; sed -i 's/^PermitRootLogin.*/PermitRootLogin prohibit-password/' /etc/ssh/sshd_config",
        told: &["sshd-root-locked-out /etc/ssh/sshd_config: AuthenticationMethods"],
    },
    Case {
        breakage: "echo 'ssh-ed25519 AAAA x' > /root/.ssh/authorized_keys",
        told: &["sshd-root-locked-out /etc/authflow/authflow.toml: \"ssh\""],
    },
    Case {
        breakage: "echo 'no-pty,command=\"echo Please login as the user alice\" ssh-ed25519 AAAA x' > /root/.ssh/authorized_keys",
        told: &[],
    },
    Case {
        breakage: "mkdir -p /etc/ssh/sshd_config.d; touch /etc/ssh/sshd_config.d/10-authflow.conf; echo > /etc/authflow/authflow.toml",
        told: &["sshd-drop-in-left /etc/ssh/sshd_config.d/10-authflow.conf"],
    },
    Case {
        breakage: "mkdir -p /etc/ssh/sshd_config.d; touch /etc/ssh/sshd_config.d/10-authflow.conf; sed -i '/^auth.*pam_authflow/d' /etc/pam.d/sshd",
        told: &["auth-line-missing /etc/pam.d/sshd", "sshd-drop-in-left /etc/ssh/sshd_config.d/10-authflow.conf"],
    },
];

const SUDO: &[Case] = &[
    Case { breakage: "rm /etc/sudoers.d/authflow", told: &["sudo-ticket-hides /etc/sudoers"] },
    Case {
        breakage: "echo 'Defaults:bob timestamp_timeout=5' >> /etc/sudoers.d/authflow",
        told: &["sudo-ticket-hides /etc/sudoers.d/authflow: timestamp_timeout=5"],
    },
    Case {
        breakage: "echo 'bob ALL=(ALL) NOPASSWD: /usr/bin/id' > /etc/sudoers.d/bob; sed -i '/\"sudo\"$/a account = \"enforce\"' /etc/authflow/authflow.toml",
        told: &["sudo-nopasswd-ends /etc/sudoers.d/bob: NOPASSWD"],
    },
    Case {
        breakage: "echo 'bob ALL=(ALL) NOPASSWD : /usr/bin/id' > /etc/sudoers.d/bob; visudo -cf /etc/sudoers.d/bob; sed -i '/\"sudo\"$/a account = \"enforce\"' /etc/authflow/authflow.toml",
        told: &["sudo-nopasswd-ends /etc/sudoers.d/bob: NOPASSWD"],
    },
    Case {
        breakage: "printf 'Defaults pam_service=other\\nDefaults:bob pam_login_service=other\\n' > /etc/sudoers.d/bob; visudo -cf /etc/sudoers.d/bob",
        told: &[
            "rule-not-called /etc/sudoers.d/bob: pam_service",
            "rule-not-called /etc/sudoers.d/bob: pam_login_service",
        ],
    },
    Case {
        breakage: "printf 'Defaults !pam_acct_mgmt\\nDefaults !pam_session\\n' > /etc/sudoers.d/bob; visudo -cf /etc/sudoers.d/bob",
        told: &["sudo-leaves-out /etc/sudoers.d/bob: acct", "sudo-leaves-out /etc/sudoers.d/bob: session"],
    },
    Case { breakage: "echo '@include /etc/gone' >> /etc/sudoers.d/authflow", told: &["sudoers-unread /etc/gone"] },
];

const RECORDS: &[Case] = &[
    Case { breakage: "chmod 0755 /var/lib/authflow/users", told: &["folder-open /var/lib/authflow/users"] },
    Case {
        breakage: "chmod 0777 /var/lib/authflow/users",
        told: &["folder-open /var/lib/authflow/users", "record-unusable /var/lib/authflow/users"],
    },
    Case {
        breakage: "chmod 0640 /var/lib/authflow/users/alice.toml",
        told: &["file-open /var/lib/authflow/users/alice.toml"],
    },
    Case {
        breakage: "echo >> /var/lib/authflow/users/alice.toml",
        told: &["record-unusable /var/lib/authflow/users/alice.toml"],
    },
    Case {
        breakage: "sed -i '1a no record' /var/lib/authflow/users/alice.toml; chmod 0600 /var/lib/authflow/users/alice.toml",
        told: &["record-unusable /var/lib/authflow/users/alice.toml: no record"],
    },
    Case {
        breakage: "truncate -s 0 /var/lib/authflow/state/alice",
        told: &["record-unusable /var/lib/authflow/state/alice"],
    },
    Case {
        breakage: "cp -p /var/lib/authflow/users/alice.toml /var/lib/authflow/users/ghost.toml",
        told: &["record-of-nobody /var/lib/authflow/users"],
    },
    Case {
        breakage: "install -m 0600 /dev/null /var/lib/authflow/state/ghost.disabled",
        told: &["disabled-nobody /var/lib/authflow/state"],
    },
];

const FILES: &[Case] = &[Case {
    breakage: "rm /usr/share/authflow/common-passwords.txt",
    told: &["common-passwords-missing /usr/share/authflow/common-passwords.txt"],
}];

/// Ansible's and chpasswd's word is not ours; within one day nobody can tell which came later.
#[test]
fn a_system_password_that_was_changed_later_is_noted_and_does_not_count() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    let _ = machine.feed(["chpasswd"], b"alice:another one entirely\n").success();
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "on the same day");
    let _ = machine.shell("chage -d $(date -d 'now + 2 days' +%F) alice").success();
    let (found, code) = good::check(&machine);
    assert!(found.len() == 1 && found[0]["id"] == "password-outdated" && code == Some(0), "{found:#?}");
}
