//! Which rule a login falls under, asked at a door: by group and by network, none at all, and no configuration to speak of.

use authflow_tests::{Machine, Plan};

const STACK: &str =
    "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_authflow.so\n";

const FIRST: &str = "[[rule]]\nname = \"first\"\nservice = [\"door\"]\nmethods = [[\"password\"]]\n";

#[test]
fn a_group_is_its_gid_and_not_what_another_is_called() {
    let Some(plan) = plan(&format!("{FIRST}group = [\"keepers\"]\n")) else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    // As where files and a directory each have a group of that name: the first is meant, alice is in the other.
    let groups = machine.read("/etc/group");
    let with = |first: &str, second: &str, machine: &Machine| {
        machine.write("/etc/group", &format!("{groups}keepers:x:4001:{first}\nkeepers:x:4002:{second}\n"));
    };
    with("", "alice", &machine);
    assert!(!opens(&machine, None));
    machine.logged(&["phase=authenticate", "service=door", "user=alice", "no rule matches this login"]);
    with("alice", "", &machine);
    assert!(opens(&machine, None));
    // A number is a gid, and the primary group counts like any other.
    with("", "alice", &machine);
    machine.write("/etc/authflow/authflow.toml", &format!("{FIRST}group = [\"4002\"]\n"));
    assert!(opens(&machine, None));
    machine.write("/etc/authflow/authflow.toml", &format!("{FIRST}group = [\"alice\"]\n"));
    assert!(opens(&machine, None));
    machine.write("/etc/authflow/authflow.toml", &format!("{FIRST}group = [\"no-such-group\"]\n"));
    assert!(!opens(&machine, None));
    let warned = machine.run(["authflow", "config", "check"]).success();
    assert!(warned.contains("there is no group \"no-such-group\""), "{warned}");
}

#[test]
fn a_network_holds_addresses_and_no_name_becomes_one() {
    let Some(plan) = plan(&format!("{FIRST}from = [\"127.0.0.0/8\", \"10.20.0.0/16\", \"fe80::/10\"]\n")) else {
        return;
    };
    // A name that leads to an address inside, were anybody to ask for it.
    let machine = plan.file("/etc/hosts", "127.0.0.1 localhost\n10.20.3.4 inside.example.org\n").start();
    let _ = machine.enroll("alice");
    for inside in ["127.0.0.1", "10.20.3.4", "::ffff:10.20.3.4", "fe80::1%eth0"] {
        assert!(opens(&machine, Some(inside)), "{inside}");
    }
    for outside in ["10.21.0.1", "::1", "localhost", "inside.example.org", "10.20.3.4.example.org", "10.20.3.4%eth0"] {
        assert!(!opens(&machine, Some(outside)), "{outside}");
    }
    assert!(!opens(&machine, None), "no remote host is no address either");
    machine.logged(&["user=alice", "rhost=inside.example.org", "no rule matches this login"]);
    machine.write("/etc/authflow/authflow.toml", &format!("{FIRST}from = [\"unknown\"]\n"));
    assert!(opens(&machine, Some("inside.example.org")));
    assert!(!opens(&machine, Some("10.20.3.4")));
}

#[test]
fn without_rules_our_line_alone_opens_nothing() {
    for config in ["", "[session]\nidle = \"10m\"\n", &FIRST.replace("\"door\"", "\"another\"")] {
        let Some(plan) = plan(config) else { return };
        let machine = plan.start();
        let _ = machine.enroll("alice");
        // Nobody else in the stack says yes, and we say that it is not for us to decide.
        for phase in ["authenticate", "acct_mgmt", "open_session"] {
            let argv = ["pamtester", "door", "alice", phase];
            assert!(!machine.feed(argv, machine.password().as_bytes()).status.success(), "{config:?}: {phase}");
        }
    }
}

#[test]
fn a_governed_service_denies_whom_no_rule_is_for_after_the_same_questions() {
    let Some(plan) = plan(&format!("{FIRST}user = [\"bob\"]\n")) else { return };
    let machine = plan.user("bob").start();
    let (_, _) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut alice = machine.person(["pamtester", "-I", "rhost=192.0.2.7", "door", "alice", "authenticate"]);
    alice.expect("Password: ");
    alice.type_line(machine.password());
    assert!(!alice.end().success());
    machine.logged(&["event=refused", "service=door", "user=alice", "rhost=192.0.2.7", "no rule matches this login"]);
}

fn plan(config: &str) -> Option<Plan> {
    Some(Machine::overlay()?.user("alice").pam("door", STACK).config(config).without_daemon())
}

/// Whether the door opens for alice, who knows her password and comes from there.
fn opens(machine: &Machine, from: Option<&str>) -> bool {
    let from = from.map(|from| format!("rhost={from}"));
    let item = from.iter().flat_map(|from| ["-I", from]);
    let argv = ["pamtester"].into_iter().chain(item).chain(["door", "alice", "authenticate", "acct_mgmt"]);
    machine.person(argv).answer_all(&[("Password: ", machine.password())]).success()
}
