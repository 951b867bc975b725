//! A door with authflow alone at it: the PAM service `door`, knocked at by `pamtester`, which does what any application does in one
//! process. For what does not need an sshd.
#![allow(dead_code, reason = "each test takes what it needs")]

use authflow_tests::{Machine, Plan};

/// The stack of the door, and a rule for it.
const STACK: &str =
    "auth required pam_authflow.so\naccount required pam_authflow.so\nsession required pam_authflow.so\n";

/// A rule that the door asks for password and code.
pub const RULE: &str = "[[rule]]\nname = \"door\"\nservice = [\"door\"]\nmethods = [[\"password\", \"totp\"]]\n";

/// A machine with a door and no sshd. Alice is a user of it.
pub fn plan(config: &str) -> Option<Plan> {
    Some(Machine::overlay()?.user("alice").pam("door", STACK).config(config))
}

/// Whether the door opens.
pub fn opens(machine: &Machine, user: &str, password: &str, code: &str) -> bool {
    knock(machine, user, password, code, &["authenticate", "acct_mgmt"])
}

/// Whether these phases of PAM succeed one after the other.
pub fn knock(machine: &Machine, user: &str, password: &str, code: &str, phases: &[&str]) -> bool {
    let argv = ["pamtester", "door", user].into_iter().chain(phases.iter().copied());
    machine.person(argv).answer_all(&[("Password: ", password), ("Verification code: ", code)]).success()
}
