//! What `authflow check` says of a machine that is right, that what it calls an error is one, and that what it says to do or to write puts
//! things right.

mod good;

use authflow_tests::Machine;

#[test]
fn a_debian_without_rules_is_clean() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.config("").start();
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)));
    assert_eq!(machine.run(["authflow", "check"]).success(), "nothing is wrong\n");
    let list = machine.run(["authflow", "check", "--list"]).success();
    assert!(list.lines().any(|line| line.starts_with("session-line-missing ")), "{list}");
    let known = machine.run(["authflow", "check", "--list", "--json"]).json();
    assert_eq!(known.as_array().expect("a list").len(), list.lines().count());
    let _ = machine.run(["authflow", "check", "--nonsense"]).failure(2);
    let said = machine.run(["authflow", "check", "--root", "/nonexistent"]).failure(2);
    assert!(said.contains("/nonexistent is no folder"), "{said}");
}

#[test]
fn the_profile_in_every_stack_is_right_under_a_rule_for_everything() {
    let Some(plan) = Machine::overlay() else { return };
    let rule = "[[rule]]\nname = \"all\"\nservice = [\"*\"]\nmethods = [[\"publickey\", \"totp\"], [\"password\", \"totp\"]]\n";
    let profiles = [
        ("authflow", include_str!("../../conf/pam-configs/authflow")),
        ("authflow-session", include_str!("../../conf/pam-configs/authflow-session")),
    ];
    let plan = profiles.iter().fold(good::applied(plan, rule).user("alice"), |plan, (name, text)| {
        plan.file(&format!("/usr/share/pam-configs/{name}"), text)
    });
    // As `apt install openssh-server` leaves its stack.
    let stock = std::fs::read_to_string("/etc/pam.d/sshd").expect("Debian's own");
    let machine = plan.sshd(good::SSHD).pam("sshd", &stock).start();
    let _ = machine.enroll("alice");
    let enable = "DEBIAN_FRONTEND=noninteractive pam-auth-update --force --enable authflow authflow-session";
    let _ = machine.shell(enable).success();
    assert!(machine.read("/etc/pam.d/common-auth").contains("pam_authflow.so"));
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)));
}

/// What is called an error lets somebody in who has proved nothing, or keeps out who is none of ours.
#[test]
fn an_error_is_one() {
    let Some(plan) = good::plan() else { return };
    let rule = "[[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"password\", \"totp\"]]\n";
    let machine = good::applied(plan, rule).start();
    let _ = machine.enroll("alice");
    let rest = "account required pam_authflow.so\naccount required pam_permit.so\nsession required pam_authflow.so\npassword required pam_authflow.so\n";
    let permit = "auth required pam_permit.so\n";
    let right = "auth [success=done user_unknown=ignore ignore=ignore default=die] pam_authflow.so\n";
    for (id, auth, is_in) in [
        ("", format!("{right}{permit}"), false),
        ("line-skipped", format!("auth sufficient pam_permit.so\n{right}{permit}"), true),
        ("line-jumped-over", format!("auth [success=1 default=ignore] pam_permit.so\n{right}{permit}"), true),
        // The account line would still refuse whom a flow has refused.
        (
            "refusal-ignored",
            format!("auth sufficient pam_authflow.so\n{permit}account optional pam_authflow.so\n"),
            true,
        ),
        ("auth-line-missing", permit.to_owned(), true),
        ("include-missing", format!("{right}{permit}@include gone\n"), false),
    ] {
        let rest = if auth.contains("account") { rest.split_once('\n').expect("lines").1 } else { rest };
        machine.write("/etc/pam.d/door", &format!("{auth}{rest}"));
        let (found, _) = good::check(&machine);
        let errors: Vec<_> = found.iter().filter(|found| found["severity"] == "error").collect();
        assert!(errors.is_empty() == id.is_empty() && errors.iter().all(|found| found["id"] == id), "{errors:#?}");
        let knock = machine.feed(["pamtester", "door", "alice", "authenticate", "acct_mgmt"], b"wrong\nwrong\n");
        assert_eq!(knock.status.success(), is_in, "{auth}{knock:?}");
    }
    // What libpam does not understand or find keeps out whom everything else lets in.
    for (line, is_in) in [
        ("auth required pam_permit.so", true),
        ("auth optional pam_gone.so", true),
        ("auth requried pam_permit.so", false),
        ("auth [sucess=ok default=ignore] pam_permit.so", false),
        ("auth [success=okay default=ignore] pam_permit.so", false),
        ("auth required pam_gone.so", false),
        ("-auth required pam_gone.so", false),
        ("auth required pam_authflw.so", false),
    ] {
        machine.write("/etc/pam.d/gate", &format!("{line}\nauth required pam_permit.so\n"));
        let knock = machine.feed(["pamtester", "gate", "alice", "authenticate"], b"");
        assert_eq!(knock.status.success(), is_in, "{line}: {knock:?}");
    }
}

#[test]
fn what_is_said_to_do_about_a_broken_drop_in_puts_it_in_force() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    let drop_in = "/etc/authflow/authflow.toml.d/late.toml";
    machine.write(drop_in, "[[rule\n");
    let (found, _) = good::check(&machine);
    assert!(found.len() == 1 && found[0]["file"] == drop_in, "{found:#?}");
    let fix = found[0]["fix"].as_str().expect("a text");
    let command = fix.strip_prefix("correct it, and then: ").expect("a command");
    let _ = machine.shell(command).failure(1);
    let rule = "[[rule]]\nname = \"kdm\"\nservice = [\"kdm\"]\nmethods = [[\"password\"]]\n";
    machine.write(drop_in, rule);
    let before = machine.read("/etc/authflow/authflow.toml");
    let _ = machine.shell(command).success();
    assert_eq!(machine.read("/etc/authflow/authflow.toml"), before);
    assert!(machine.read("/etc/authflow/authflow.toml.last-good").contains(rule));
}

/// Lines and controls that are told to be written, written just so.
#[test]
fn what_is_said_to_be_written_is_right() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    for (service, phase) in [("sshd", "auth"), ("sshd", "account"), ("sshd", "session"), ("login", "password")] {
        let path = format!("/etc/pam.d/{service}");
        let good = machine.read(&path);
        let is_ours = |line: &&str| line.starts_with(phase) && line.contains("pam_authflow.so");
        let without: String = good.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n")).collect();
        machine.write(&path, &without);
        let line = said(&machine);
        // In front of everything, or behind what opens sessions.
        let mended = match phase {
            "session" => without.replace("@include common-session\n", &format!("@include common-session\n{line}\n")),
            _ => format!("{line}\n{without}"),
        };
        machine.write(&path, &mended);
        assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "{mended}");

        let ours = good.lines().find(is_ours).expect("a line of ours");
        if phase != "password" {
            machine.write(&path, &good.replace(ours, &format!("{phase} optional pam_authflow.so")));
            let control = said(&machine);
            let mended = good.replace(ours, &format!("{phase} {control} pam_authflow.so"));
            machine.write(&path, &mended);
            assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "{mended}");
        }
        machine.write(&path, &good);
    }
}

/// What stands in quotes in the one thing that is told to be done.
fn said(machine: &Machine) -> String {
    let (found, _) = good::check(machine);
    assert_eq!(found.len(), 1, "{found:#?}");
    let fix = found[0]["fix"].as_str().expect("a text");
    fix.split('"').nth(1).unwrap_or_else(|| panic!("{fix}")).to_owned()
}
