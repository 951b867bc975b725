//! The system's own passwords, by the order of `password.source`: a hash of shadow counts where the configuration says so, the first
//! source that has one decides, and what is no hash opens nothing.

use authflow_tests::Machine;

const SYSTEM: &str = "the system's own";

/// A door that asks for the password alone. Alice has a password of ours and one of the system's, bob one of the system's.
fn machine(sources: &str) -> Option<Machine> {
    let config = format!(
        "password = {{ source = {sources} }}\n\
         [[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"password\"]]\n"
    );
    let machine = Machine::overlay()?
        .user("alice")
        .user("bob")
        .pam("door", "auth required pam_authflow.so\n")
        .config(&config)
        .without_daemon()
        .start();
    let _ = machine.enroll("alice");
    let _ =
        machine.feed(["chpasswd", "-c", "YESCRYPT"], format!("alice:{SYSTEM}\nbob:{SYSTEM}\n").as_bytes()).success();
    Some(machine)
}

fn opens(machine: &Machine, user: &str, password: &str) -> bool {
    machine.person(["pamtester", "door", user, "authenticate"]).answer_all(&[("Password: ", password)]).success()
}

#[test]
fn the_first_source_that_has_a_hash_decides() {
    for (sources, [ours, systems, bobs]) in [
        ("[\"authflow\"]", [true, false, false]),
        ("[\"authflow\", \"shadow\"]", [true, false, true]),
        ("[\"shadow\", \"authflow\"]", [false, true, true]),
    ] {
        let Some(machine) = machine(sources) else { return };
        assert_eq!(opens(&machine, "alice", machine.password()), ours, "{sources}");
        assert_eq!(opens(&machine, "alice", SYSTEM), systems, "{sources}");
        assert_eq!(opens(&machine, "bob", SYSTEM), bobs, "{sources}");
    }
}

#[test]
fn a_locked_or_an_absent_password_opens_nothing() {
    let Some(machine) = machine("[\"shadow\"]") else { return };
    assert!(opens(&machine, "bob", SYSTEM));
    let _ = machine.run(["usermod", "--lock", "bob"]).success();
    assert!(!opens(&machine, "bob", SYSTEM), "locked");
    let _ = machine.run(["passwd", "--delete", "bob"]).success();
    for answer in ["", SYSTEM] {
        assert!(!opens(&machine, "bob", answer), "without a password, given {answer:?}");
    }
}
