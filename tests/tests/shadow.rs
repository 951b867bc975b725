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

/// What other machines, and older ones, have made of a password.
#[test]
fn every_hash_of_the_system_is_verified() {
    let Some(machine) = machine("[\"authflow\", \"shadow\"]") else { return };
    for setting in ["$y$j9T$F5Jx5fExrKuPp53xLKQ..1$", "$6$rounds=5000$saltsaltsalt$", "$2b$05$abcdefghijklmnopqrstuu"] {
        // Perl's crypt is libcrypt's. The password stands in an argument here; it is nobody's.
        let hash = machine.run(["perl", "-e", "print crypt($ARGV[0], $ARGV[1])", SYSTEM, setting]).success();
        assert!(hash.len() > setting.len() && hash.starts_with(setting.get(..4).expect("a setting")), "{hash}");
        let _ = machine.run(["usermod", "--password", &hash, "bob"]).success();
        assert!(opens(&machine, "bob", SYSTEM), "{setting}");
        assert!(!opens(&machine, "bob", "the system's owm"), "{setting}");
    }
}

#[test]
fn a_login_adopts_the_systems_password_and_then_ours_decides() {
    let Some(machine) = machine("[\"authflow\", \"shadow\"], adopt = true") else { return };
    let record = machine.path("/var/lib/authflow/users/bob.toml");
    assert!(!opens(&machine, "bob", "a wrong one") && !record.exists(), "a failure adopts nothing");
    assert!(opens(&machine, "bob", SYSTEM) && record.exists());
    assert!(machine.read("/var/lib/authflow/users/bob.toml").contains("$argon2id$"));
    let _ = machine.feed(["chpasswd", "-c", "YESCRYPT"], b"bob:another one").success();
    assert!(opens(&machine, "bob", SYSTEM) && !opens(&machine, "bob", "another one"));
    let _ = machine.feed(["chpasswd", "-c", "YESCRYPT"], format!("root:{SYSTEM}\n").as_bytes()).success();
    assert!(opens(&machine, "root", SYSTEM));
    assert!(!machine.path("/var/lib/authflow/users/root.toml").exists(), "root keeps the system's");
}

#[test]
fn a_login_rehashes_what_has_become_too_cheap() {
    let Some(machine) = machine("[\"authflow\"]") else { return };
    let record = "/var/lib/authflow/users/alice.toml";
    assert!(machine.read(record).contains("m=19456,t=3"));
    let config = machine.read("/etc/authflow/authflow.toml").replace("password = {", "password = { iterations = 4,");
    machine.write("/etc/authflow/authflow.toml", &config);
    assert!(!opens(&machine, "alice", "a wrong one") && machine.read(record).contains("m=19456,t=3"));
    assert!(opens(&machine, "alice", machine.password()));
    assert!(machine.read(record).contains("m=19456,t=4"), "{}", machine.read(record));
    assert!(opens(&machine, "alice", machine.password()));
}
