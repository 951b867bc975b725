//! What `authflow check` says of settings against a standard, of what others can write, of who is asked nothing, and of a daemon that is
//! older than the rest, each on a machine that is otherwise right.

mod good;

use authflow_tests::Machine;
use good::{Case, LIVE, each_is_told};

#[test]
fn settings_and_what_others_can_write_are_told_with_their_lines() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "the shipped examples");
    each_is_told(&machine, &["/etc/authflow", "/etc/pam.d"], SETTINGS);
    each_is_told(&machine, &["/etc/authflow", "/etc/pam.d"], STACKS);
    each_is_told(&machine, &["/etc/authflow", "/etc/sudoers.d", "/etc/nsswitch.conf"], SUDO);
    // What is said to be done closes them again.
    each_is_told(&machine, &["/etc/ssh", "/etc/systemd/system"], WRITABLE);
}

/// A standard that the configuration is not held to is asked about once, and changes nothing.
#[test]
fn what_is_weaker_than_a_standard_that_is_asked_about_is_told_with_its_line() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = good::applied(plan, "[session]\nidle = \"30m\"\n[throttle]\nlock = \"5m\"\n").start();
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "nobody asks");
    let said = machine.run(["authflow", "check", "--preset", "pci-dss-4", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&said.stdout).expect("a list");
    let told = |words: &str| {
        let list = found.as_array().expect("a list");
        let found = list.iter().find(|found| found["what"].as_str().is_some_and(|what| what.starts_with(words)));
        let found = found.unwrap_or_else(|| panic!("{words}: {list:#?}"));
        assert_eq!((&found["id"], &found["file"]), (&"preset-weaker".into(), &LIVE.into()));
        found["line"].as_u64()
    };
    assert_eq!((told("session.idle = "), told("throttle.lock = ")), (Some(2), Some(4)));
    // Nobody wrote that.
    assert_eq!((told("password.minimum = "), said.status.code()), (None, Some(1)));
}

/// Only a login tells: nothing else knows what a program says to PAM.
#[test]
fn a_service_that_was_seen_to_tell_no_place_is_noted() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    let rule = "[[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"password\", \"totp\"]]\n";
    machine.write("/root/new.toml", &format!("{}{rule}", good::CONFIG));
    let _ = machine.run(["authflow", "config", "apply", "--anyway", "/root/new.toml"]).success();
    let _ = machine.run(["cp", "/etc/pam.d/sudo", "/etc/pam.d/door"]).success();
    assert_eq!(ids(&machine), [""; 0]);
    let knock = |options: &[&str]| {
        let words = [&["pamtester"], options, &["door", "alice", "authenticate"]].concat();
        assert!(!machine.feed(words, b"wrong\n000000\n").status.success());
    };
    knock(&["-I", "rhost=192.0.2.1"]);
    assert_eq!(ids(&machine), [""; 0]);
    knock(&[]);
    assert_eq!(ids(&machine), ["service-tells-no-place"]);
}

#[test]
fn who_is_exempt_in_sudoers_is_asked_nothing_and_is_told_of() {
    let Some(plan) = good::plan() else { return };
    let sudoers = "/etc/sudoers.d/alice";
    let may = "alice ALL=(ALL) ALL\n";
    let machine = plan.file(sudoers, may).start();
    let _ = machine.enroll("alice");
    let gets_in_unasked = || {
        let words = "setpriv --reuid=alice --regid=alice --init-groups sudo -k -n true";
        machine.run(words.split(' ')).status.success()
    };
    let enforcing = good::CONFIG.replace("name = \"sudo\"\n", "name = \"sudo\"\naccount = \"enforce\"\n");
    for (free, is_free) in [
        ("", false),
        ("Defaults exempt_group=alice\n", true),
        ("Defaults:alice !authenticate\n", true),
        ("alice ALL=(ALL) NOPASSWD: ALL\n", true),
        ("Defaults exempt_group=bob\nDefaults !exempt_group\n", false),
    ] {
        machine.write(sudoers, &format!("{may}{free}"));
        for (config, id, is_in) in
            [(good::CONFIG, "sudo-nopasswd-unasked", is_free), (&enforcing, "sudo-nopasswd-ends", false)]
        {
            machine.write("/root/new.toml", config);
            let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
            let expected: Vec<String> = is_free.then(|| id.to_owned()).into_iter().collect();
            assert_eq!((ids(&machine), gets_in_unasked()), (expected, is_in), "{free}");
        }
    }
}

#[test]
fn a_daemon_that_is_older_than_the_command_is_told() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.without_daemon().start();
    let _ = machine.enroll("alice");
    run_older(&machine);
    let (found, code) = good::check(&machine);
    let [found] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((&found["id"], code), (&"daemon-other-version".into(), Some(1)));
    assert!(found["what"].as_str().is_some_and(|what| what.contains("the daemon that runs is 0.0.1")), "{found:#?}");
}

/// What a daemon of before says of itself.
struct Older;

#[zbus::interface(name = "org.authflow.sessiond1.Manager")]
impl Older {
    #[zbus(property)]
    fn version(&self) -> &'static str {
        "0.0.1"
    }

    #[zbus(property)]
    fn degraded(&self) -> bool {
        false
    }
}

/// Has it on the machine's bus till the test is over.
fn run_older(machine: &Machine) {
    let address = format!("unix:path={}", machine.path("/run/dbus/system_bus_socket").display());
    let (is_there, there) = std::sync::mpsc::channel();
    let serve = async move {
        let bus = zbus::connection::Builder::address(address.as_str())
            .name("org.authflow.sessiond1")
            .serve_at("/org/authflow/sessiond1", Older);
        let _bus = bus.build().await.expect("the machine's bus");
        is_there.send(()).expect("a test that waits");
        std::future::pending::<()>().await;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _ = std::thread::spawn(move || runtime.block_on(serve));
    there.recv().expect("the older daemon on the bus");
}

fn ids(machine: &Machine) -> Vec<String> {
    let (found, _) = good::check(machine);
    found.iter().map(|found| found["id"].as_str().expect("an id").to_owned()).collect()
}

const SETTINGS: &[Case] = &[
    Case {
        breakage: "sed -i '1i preset = \"cis\"\\n[throttle]\\nlock = \"5m\"\\nweaker_than_preset = \"a lab\"' /etc/authflow/authflow.toml",
        told: &["preset-weaker-with-reason /etc/authflow/authflow.toml: lock = "],
    },
    // One line, and each of its keys.
    Case {
        breakage: "sed -i '1i preset = \"cis\"\\nthrottle = { lock = \"5m\", attempts = 9, weaker_than_preset = \"a lab\" }' /etc/authflow/authflow.toml",
        told: &[
            "preset-weaker-with-reason /etc/authflow/authflow.toml: attempts = 9",
            "preset-weaker-with-reason /etc/authflow/authflow.toml: lock = ",
        ],
    },
    Case {
        breakage: "sed -i '1i preset = \"cis\"\\n[throttle]\\nlock = \"30m\"\\nweaker_than_preset = \"a lab\"' /etc/authflow/authflow.toml",
        told: &["preset-nothing-weaker /etc/authflow/authflow.toml: weaker_than_preset"],
    },
    Case {
        breakage: "sed -i -e '1i preset = \"cis\"' -e '/\"console\"/a weaker_than_preset = \"a lab\"' /etc/authflow/authflow.toml",
        told: &["preset-nothing-weaker /etc/authflow/authflow.toml: weaker_than_preset"],
    },
    Case {
        breakage: "sed -i '1i [throttle]\\nattempts = 5\\nlock = \"2d\"' /etc/authflow/authflow.toml",
        told: &["throttle-long-lock /etc/authflow/authflow.toml: lock = "],
    },
    Case {
        breakage: "cp /etc/pam.d/su /etc/pam.d/door; sed -i '1i [[rule]]\\nname = \"door\"\\nservice = [\"door\"]\\nfrom = [\"local\"]\\nmethods = [[\"password\"]]' /etc/authflow/authflow.toml",
        told: &[
            "rule-no-catch-all /etc/authflow/authflow.toml: \"door\"",
            "rule-local-untold /etc/authflow/authflow.toml: \"door\"",
        ],
    },
];

const STACKS: &[Case] = &[
    Case {
        breakage: "sed -i '1i session optional pam_env.so user_readenv=2' /etc/pam.d/sshd",
        told: &["session-after-user-env /etc/pam.d/sshd: user_readenv=2"],
    },
    Case { breakage: "sed -i '1i session optional pam_env.so user_readenv=00' /etc/pam.d/sshd", told: &[] },
    Case {
        breakage: "cp /etc/pam.d/sshd /etc/pam.d/samba; printf '[[rule]]\\nname = \"all\"\\nservice = [\"*\"]\\nmethods = [[\"password\", \"totp\"]]\\naccount = \"enforce\"\\n' >> /etc/authflow/authflow.toml",
        told: &["rule-ends-background /etc/pam.d/samba: account"],
    },
    Case {
        breakage: "grep -E '^(account|password).*authflow' /etc/pam.d/sshd > /etc/pam.d/batch; printf '[[rule]]\\nname = \"all\"\\nservice = [\"*\"]\\nmethods = [[\"password\", \"totp\"]]\\naccount = \"enforce\"\\n' >> /etc/authflow/authflow.toml",
        told: &["rule-ends-background /etc/pam.d/batch: account"],
    },
];

const SUDO: &[Case] = &[
    Case {
        breakage: "echo 'Defaults exempt_group=bob' > /etc/sudoers.d/bob; visudo -cf /etc/sudoers.d/bob; sed -i '/\"sudo\"$/a account = \"enforce\"' /etc/authflow/authflow.toml",
        told: &["sudo-nopasswd-ends /etc/sudoers.d/bob: exempt_group"],
    },
    Case {
        breakage: "echo 'bob ALL=(ALL) NOPASSWD: /usr/bin/id' > /etc/sudoers.d/bob",
        told: &["sudo-nopasswd-unasked /etc/sudoers.d/bob: NOPASSWD"],
    },
    Case {
        breakage: "echo 'sudoers: files sss' >> /etc/nsswitch.conf",
        told: &["sudoers-not-looked-at /etc/nsswitch.conf: sss"],
    },
];

const WRITABLE: &[Case] = &[
    Case { breakage: "chmod 0666 /etc/ssh/sshd_config", told: &["sshd-config-writable /etc/ssh/sshd_config"] },
    Case {
        breakage: "touch /etc/ssh/more.conf; chown bob /etc/ssh/more.conf; sed -i '1i Include more.conf' /etc/ssh/sshd_config",
        told: &["sshd-config-writable /etc/ssh/more.conf"],
    },
    Case {
        breakage: "chmod 0777 /usr/libexec/authflow-sessiond",
        told: &["program-writable /usr/libexec/authflow-sessiond"],
    },
    Case { breakage: "chmod 0775 /usr/bin/authflow", told: &["program-writable /usr/bin/authflow"] },
    Case {
        breakage: "chown bob /usr/share/dbus-1/system.d/org.authflow.sessiond1.conf",
        told: &["program-writable /usr/share/dbus-1/system.d/org.authflow.sessiond1.conf"],
    },
    Case {
        breakage: "echo > /etc/systemd/system/authflow-sessiond.service; chmod 0666 /etc/systemd/system/authflow-sessiond.service",
        told: &["program-writable /etc/systemd/system/authflow-sessiond.service"],
    },
    Case { breakage: "ln -s /dev/null /etc/systemd/system/authflow-sessiond.service", told: &[] },
];
