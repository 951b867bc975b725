//! Programs that are not root, as screen lockers are: the daemon runs their flow, for their own user alone.

use std::fs;

use authflow_tests::{Machine, Output, Person, wait};

mod door;

const LOCKER: &str = r#"
[[rule]]
name = "vlock"
service = ["vlock"]
methods = [["password", "totp"]]
"#;

#[test]
fn the_right_answers_unlock_once_and_no_others_do() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    let code = phone.code();
    assert!(unlocks(&machine, "alice", "alice", &[machine.password(), &code]));
    machine.logged(&["flow-granted", "user=alice", "service=door", "factors=password+totp"]);
    assert!(!unlocks(&machine, "alice", "alice", &[machine.password(), &code]));
    machine.logged(&["flow-denied", "user=alice", "the code was used already"]);
    let fresh = phone.code();
    assert!(!unlocks(&machine, "alice", "alice", &["a guess", &fresh]));
    assert!(!unlocks(&machine, "alice", "alice", &[machine.password(), &phone.wrong_code()]));
    assert!(!unlocks(&machine, "alice", "alice", &["", ""]));
    assert!(
        unlocks(&machine, "alice", "alice", &[machine.password(), &fresh]),
        "a code burns only beside its password"
    );
}

#[test]
fn nobody_is_verified_but_the_user_that_the_process_runs_as() {
    let Some(machine) = machine("") else { return };
    let (mut alices, mut bobs) = (machine.enroll("alice"), machine.enroll("bob"));
    let mut roots = machine.enroll("root");
    for (other, phone) in [("bob", &mut bobs), ("root", &mut roots), ("no-such-user", &mut alices)] {
        let mut locker = locker(&machine, "alice", other);
        assert!(!locker.answer_all(&answers(&[machine.password(), &phone.code()])).success());
        assert!(!locker.screen().contains("Password: "), "nothing is asked: {}", locker.screen());
    }
    machine.logged(&["refused", "service=door", "its own user alone"]);
    // What the daemon is told makes no difference: there is nothing to tell it.
    assert!(!machine.log().contains("flow-granted"), "{}", machine.log());
}

#[test]
fn a_denied_flow_is_no_success_in_the_account_phase_and_none_at_all_is_no_objection() {
    let Some(machine) = machine("") else { return };
    let _phone = machine.enroll("alice");
    let account = |phases: &[&str]| {
        let argv = as_user("alice").into_iter().chain(["pamtester", "door", "alice"]).chain(phases.iter().copied());
        machine.person(argv).answer_all(&answers(&["wrong", "123456"])).success()
    };
    assert!(!account(&["authenticate", "acct_mgmt"]));
    // The door's account line is ours alone, and "no objection" of the only module is no success.
    assert!(!account(&["acct_mgmt"]));
    assert!(!account(&["authenticate"]));
}

#[test]
fn password_and_code_in_one_field_unlock_where_the_line_says_so() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    machine.write("/etc/pam.d/door", "auth required pam_authflow.so one_prompt\naccount required pam_authflow.so\n");
    let both = |code: &str| format!("{}{code}", machine.password());
    let unlocks = |both: &str| {
        locker(&machine, "alice", "alice").answer_all(&[("Password and verification code: ", both)]).success()
    };
    assert!(!unlocks(&both(&phone.wrong_code())));
    assert!(unlocks(&both(&phone.code())));
}

#[test]
fn what_no_rule_is_about_or_a_rule_leaves_to_others_is_theirs_also_without_the_daemon() {
    let Some(plan) = door::plan("[[rule]]\nname = \"theirs\"\nservice = [\"other-door\"]\nmethods = [[\"stack\"]]\n")
    else {
        return;
    };
    let stack = "auth [success=done user_unknown=ignore default=die] pam_authflow.so\nauth required pam_permit.so\n";
    let machine = plan.pam("other-door", stack).pam("a-door", stack).without_daemon().start();
    for service in ["other-door", "a-door"] {
        let opens = machine.run(as_user("alice").into_iter().chain(["pamtester", service, "alice", "authenticate"]));
        assert!(opens.status.success(), "{service}: {opens:#?}");
    }
}

#[test]
fn without_the_daemon_it_stays_locked() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    let mut locker = locker(&machine, "alice", "alice");
    locker.expect("Password: ");
    locker.type_line(machine.password());
    locker.expect("Verification code: ");
    machine.kill_daemon();
    let code = phone.code();
    locker.type_line(&code);
    assert!(!locker.end().success());
    assert!(!unlocks(&machine, "alice", "alice", &[machine.password(), &code]));
    machine.logged(&["refused", "phase=authenticate", "user=alice", "the daemon"]);
    machine.start_daemon();
    assert!(unlocks(&machine, "alice", "alice", &[machine.password(), &code]));
}

#[test]
fn a_locker_that_waited_while_its_flow_was_lost_begins_anew() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    let mut locker = locker(&machine, "alice", "alice");
    locker.expect("Password: ");
    // As after two minutes: the daemon knows nothing of it any more.
    machine.kill_daemon();
    machine.start_daemon();
    locker.type_line(machine.password());
    locker.expect("Verification code: ");
    locker.type_line(&phone.code());
    assert!(locker.end().success());
}

#[test]
fn an_answer_that_is_no_sealed_memory_file_is_refused_and_holds_nobody_up() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    let code = format!("sealed:{}", phone.code());
    let password = format!("sealed:{}", machine.password());
    let open = format!("open:{}", machine.password());
    for bad in ["pipe", "file", "long", &open] {
        let output = call(&machine, "alice", &["door", bad, &code]);
        assert!(output.contains("InvalidArgument an answer"), "{bad}: {output}");
    }
    for (what, answers) in
        [("too few", &[password.as_str()][..]), ("none", &[]), ("too many", &[&password, &code, &code])]
    {
        let output = call(&machine, "alice", &[&["door"], answers].concat());
        assert!(output.contains("InvalidArgument expected 2 answers"), "{what}: {output}");
    }
    let output = call(&machine, "alice", &["door", &password, &code]);
    assert!(output.starts_with(|id: char| id.is_ascii_hexdigit()) && output.contains("password code"), "{output}");
    assert!(output.contains("granted"), "{output}");
}

#[test]
fn a_flow_is_its_own_processs_alone_and_ten_a_minute_are_enough() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    let (password, code) = (format!("sealed:{}", machine.password()), format!("sealed:{}", phone.code()));
    let mut locker = locker(&machine, "alice", "alice");
    locker.expect("Password: ");
    for user in ["alice", "bob"] {
        let output = call(&machine, user, &["--flow", "00000000000000000000000000000000", &password, &code]);
        assert!(output.starts_with("NoSuchFlow"), "{output}");
    }
    for service in ["cups", "a/b", "door\n"] {
        let output = call(&machine, "alice", &[service, &password]);
        assert!(output.starts_with("NotSupported") || output.starts_with("InvalidArgument"), "{output}");
    }
    // The locker's, the one for a service without a rule, and these.
    let outputs: Vec<_> = (0..9).map(|_| call(&machine, "alice", &["door"])).collect();
    let refused = |output: &&String| output.starts_with("RateLimited");
    assert_eq!(outputs.iter().filter(refused).count(), 1, "{outputs:#?}");
    assert!(outputs.last().is_some_and(|last| last.starts_with("RateLimited")), "{outputs:#?}");
    assert!(call(&machine, "bob", &["door"]).contains("InvalidArgument expected"), "bob may");
}

/// The door as sudo would open it: by a process of alice's that has root's rights. On this machine it counts who calls.
fn opens_for_alice(machine: &Machine, password: &str, code: &str) -> bool {
    let argv = ["setpriv", "--ruid=alice", "pamtester", "door", "alice", "authenticate", "acct_mgmt"];
    machine.person(argv).answer_all(&[("Password: ", password), ("Verification code: ", code)]).success()
}

#[test]
fn the_throttle_is_one_with_that_of_other_ways_in() {
    let Some(machine) = machine("[throttle]\nattempts = 2\n") else { return };
    let mut phone = machine.enroll("alice");
    assert!(!unlocks(&machine, "alice", "alice", &["a guess", "123456"]));
    assert!(!opens_for_alice(&machine, "a guess", "123456"));
    let code = phone.code();
    assert!(!unlocks(&machine, "alice", "alice", &[machine.password(), &code]));
    machine.logged(&["flow-denied", "user=alice", "locked for this source until"]);
    let mut locked = locker(&machine, "alice", "alice");
    assert!(!locked.answer_all(&answers(&[machine.password(), &code])).success());
    assert!(locked.screen().contains("too many failed attempts; try again in"), "{}", locked.screen());
    assert!(!opens_for_alice(&machine, machine.password(), &code));
    let _ = machine.run(["authflow", "user", "unlock", "alice"]).success();
    assert!(unlocks(&machine, "alice", "alice", &[machine.password(), &code]));
}

#[test]
fn an_expired_account_and_a_disabled_one_stay_locked() {
    let Some(machine) = machine("") else { return };
    let mut phone = machine.enroll("alice");
    let _ = machine.run(["chage", "--expiredate", "2020-01-01", "alice"]).success();
    assert!(!unlocks(&machine, "alice", "alice", &[machine.password(), &phone.code()]));
    machine.logged(&["flow-denied", "user=alice", "expired"]);
    let _ = machine.run(["chage", "--expiredate", "-1", "alice"]).success();
    machine.write("/var/lib/authflow/state/alice.disabled", "");
    assert!(!unlocks(&machine, "alice", "alice", &[machine.password(), &phone.code()]));
    machine.logged(&["flow-denied", "user=alice", "disabled"]);
}

#[test]
fn many_users_at_once_are_all_judged_and_the_daemon_answers_others_meanwhile() {
    let Some(plan) = door::plan(&format!("[password]\nsource = [\"authflow\"]\n{}", door::RULE)) else {
        return;
    };
    let users: Vec<_> = (0..10).map(|number| format!("user{number}")).collect();
    let machine = users.iter().fold(plan, |plan, user| plan.user(user)).start();
    let answers: Vec<_> = users
        .iter()
        .map(|user| (format!("sealed:{}", machine.password()), format!("sealed:{}", machine.enroll(user).code())))
        .collect();
    furnish(&machine);
    let callers: Vec<_> = users
        .iter()
        .zip(&answers)
        .map(|(user, (password, code))| {
            machine.person(as_user(user).into_iter().chain(["caller", "door", password, code]))
        })
        .collect();
    assert!(machine.run(["authflow", "sessions", "--json"]).status.success());
    for mut caller in callers {
        caller.expect("granted");
        assert!(caller.end().success());
    }
}

#[test]
fn vlock_without_its_set_uid_bit_stays_locked_until_the_right_answers_and_never_opens_to_root() {
    let Some(machine) = machine(LOCKER) else { return };
    let (mut phone, _roots) = (machine.enroll("alice"), machine.enroll("root"));
    let _ = machine.run(["chmod", "u-s", "/usr/sbin/vlock-main"]).success();
    let mut alice = vlock(&machine);
    answer(&machine, &mut alice, "a guess");
    alice.expect("Verification code: ");
    answer(&machine, &mut alice, &phone.wrong_code());
    // It asks root then; nobody but root's own processes may.
    let between = alice.expect("press [ENTER] to unlock");
    assert!(!between.contains("Password: "), "{between}");
    machine.logged(&["refused", "service=vlock", "user=root", "its own user alone"]);
    alice.type_line("");
    alice.expect("Password: ");
    answer(&machine, &mut alice, machine.password());
    alice.expect("Verification code: ");
    answer(&machine, &mut alice, &phone.code());
    assert!(alice.end().success(), "{}", alice.screen());
    machine.logged(&["flow-granted", "user=alice", "service=vlock"]);
}

#[test]
fn vlock_as_debian_installs_it_is_root_and_needs_no_daemon() {
    let Some(machine) = machine(LOCKER) else { return };
    let mut phone = machine.enroll("alice");
    machine.kill_daemon();
    let mut alice = vlock(&machine);
    answer(&machine, &mut alice, machine.password());
    alice.expect("Verification code: ");
    answer(&machine, &mut alice, &phone.code());
    assert!(alice.end().success(), "{}", alice.screen());
}

/// Alice, before the locker's first question.
fn vlock(machine: &Machine) -> Person {
    let mut alice = machine.person(as_user("alice").into_iter().chain(["vlock", "--current"]));
    alice.expect("press [ENTER] to unlock");
    alice.type_line("");
    alice.expect("Password: ");
    alice
}

/// Answers vlock's question once it waits: it shows the question first, and then throws away what was typed until then.
fn answer(machine: &Machine, alice: &mut Person, answer: &str) {
    let sleeps = || machine.run(["ps", "-C", "vlock-main", "-o", "state="]).stdout.trim() == "S";
    wait::until_true("vlock waits for an answer", sleeps);
    alice.type_line(answer);
}

fn machine(more: &str) -> Option<Machine> {
    let plan = door::plan(&format!("{more}{}", door::RULE))?.user("bob");
    let machine = plan.shipped_pam("vlock").start();
    furnish(&machine);
    Some(machine)
}

fn furnish(machine: &Machine) {
    fs::copy(env!("CARGO_BIN_EXE_caller"), machine.path("/usr/local/bin/caller")).expect("it was built");
}

fn as_user(user: &str) -> [&str; 4] {
    // Like a locker that the user started: real and effective ids, and no way back.
    ["runuser", "-u", user, "--"]
}

fn locker(machine: &Machine, user: &str, about: &str) -> Person {
    machine.person(as_user(user).into_iter().chain(["pamtester", "door", about, "authenticate", "acct_mgmt"]))
}

fn unlocks(machine: &Machine, user: &str, about: &str, given: &[&str]) -> bool {
    locker(machine, user, about).answer_all(&answers(given)).success()
}

fn answers<'a>(given: &[&'a str]) -> Vec<(&'static str, &'a str)> {
    ["Password: ", "Verification code: "].into_iter().zip(given.iter().copied()).collect()
}

fn call(machine: &Machine, user: &str, words: &[&str]) -> String {
    let Output { stdout, .. } =
        machine.run(as_user(user).into_iter().chain(["timeout", "30", "caller"]).chain(words.iter().copied()));
    stdout.lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
}
