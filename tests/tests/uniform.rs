//! Whoever may not log in sees the same questions and words, and costs the same work, whatever the reason: one Argon2 computation, one
//! lock, one durable write. Counted by strace at a real PAM application; the times are reported, not asserted.

mod door;

use std::collections::BTreeMap;

use authflow_tests::Machine;

/// Everything in the log is at that level, so only work and words could tell.
const RULES: &str = r#"
[password]
source = ["authflow"]
[throttle]
attempts = 3
[[rule]]
name = "door"
service = ["door"]
methods = [["password", "totp"]]
"#;

/// How often each kind is tried.
const ROUNDS: usize = 3;

/// One attempt as strace and its client saw it.
struct Attempt {
    /// What was shown, without the user's name.
    words: String,
    /// Argon2's mapping, locks, writes and syncs.
    work: BTreeMap<&'static str, usize>,
    /// Seconds from the configuration to the delay after a failure.
    seconds: f64,
}

#[test]
fn every_refusal_looks_alike_and_costs_the_same_work() {
    let Some(plan) = door::plan(RULES) else { return };
    let machine = plan.user("bare").user("locked").user("disabled").without_daemon().start();
    let mut phone = machine.enroll("alice");
    let (_, mut disabled) = (machine.enroll("locked"), machine.enroll("disabled"));
    machine.write("/var/lib/authflow/state/disabled.disabled", "");
    for user in ["alice", "bare", "locked", "disabled", "nobody-at-all"] {
        // The first attempt lays the state out; and after three the one of `locked` is.
        (0..if user == "locked" { 3 } else { 1 }).for_each(|_| drop(attempt(&machine, user, "wrong", "000000")));
    }
    let unlock = || ["alice", "disabled"].map(|user| machine.run(["authflow", "user", "unlock", user]).success());
    let _ = unlock();
    let password = machine.password();
    let wrong_code = phone.wrong_code();
    let kinds: [(&str, &str, &str, &str); 6] = [
        ("unknown user", "nobody-at-all", password, "000000"),
        ("no record", "bare", password, "000000"),
        ("locked", "locked", password, "000000"),
        ("disabled", "disabled", password, &disabled.code()),
        ("wrong password", "alice", "wrong", &phone.code()),
        ("wrong code", "alice", password, &wrong_code),
    ];
    let mut seen: Vec<(&str, Vec<Attempt>)> = kinds.iter().map(|(kind, ..)| (*kind, Vec::new())).collect();
    for _ in 0..ROUNDS {
        for ((_, user, password, code), (_, attempts)) in kinds.iter().zip(&mut seen) {
            attempts.push(attempt(&machine, user, password, code));
            // Two kinds are about one user, who shall not be locked by that.
            let _ = unlock();
        }
    }
    let (_, first) = &seen[0];
    for (kind, attempts) in &seen {
        let mut times: Vec<f64> = attempts.iter().map(|attempt| attempt.seconds * 1e3).collect();
        times.sort_by(f64::total_cmp);
        println!("{kind:<15} {:6.1} to {:6.1} ms, median {:6.1} ms", times[0], times[ROUNDS - 1], times[ROUNDS / 2]);
        for attempt in attempts {
            assert_eq!(attempt.words, first[0].words, "{kind}");
            assert_eq!(attempt.work, first[0].work, "{kind}");
        }
    }
    for (what, count) in [("argon2", 1), ("flock", 1), ("fdatasync", 1)] {
        assert_eq!(first[0].work.get(what), Some(&count), "{what}: {:?}", first[0].work);
    }
}

/// Anybody may watch `/etc/shadow` being opened.
#[test]
fn a_right_password_of_the_systems_is_looked_up_as_often_as_a_wrong_one() {
    let rules = RULES.replace("source = [\"authflow\"]", "source = [\"authflow\", \"shadow\"]");
    let Some(plan) = door::plan(&rules) else { return };
    let machine = plan.without_daemon().start();
    let phone = machine.enroll("alice");
    let _ = machine.run(["authflow", "factor", "remove", "password", "--user", "alice", "--yes"]).success();
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    let wrong_code = phone.wrong_code();
    let looked_up = |password: &str| attempt(&machine, "alice", password, &wrong_code).work;
    let _lays_the_state_out = looked_up("wrong");
    let (wrong, right) = (looked_up("wrong"), looked_up(machine.password()));
    assert_eq!(wrong, right);
    assert!(right.get("shadow").is_some_and(|count| *count > 1), "{right:?}");
    // After three failures it is locked, and no less silent.
    assert_eq!((looked_up("wrong"), looked_up(machine.password())), (wrong, right));
}

/// While a directory is away nobody can tell whether alice is in a group that it alone knows; that there is an alice, nobody is told.
#[test]
fn whose_rule_hangs_on_a_directory_that_is_away_is_refused_as_a_stranger_is() {
    const TWO: &str = "[password]\nsource = [\"authflow\"]\n[throttle]\nattempts = 3\n\
        [[rule]]\nname = \"operators\"\nservice = [\"door\"]\ngroup = [\"operators\"]\nmethods = [[\"password\", \"totp\"]]\n\
        [[rule]]\nname = \"rest\"\nservice = [\"door\"]\nmethods = [[\"password\"]]\n";
    let Some(plan) = door::plan(TWO) else { return };
    // libnss-extrausers says of its missing file what sssd's says of a missing socket.
    let nsswitch = "passwd: files\ngroup: files extrausers\nshadow: files\n";
    let machine = plan.file("/etc/nsswitch.conf", nsswitch).without_daemon().start();
    let _phone = machine.enroll("alice");
    let failures = || {
        let list = machine.run(["authflow", "factor", "list", "--user", "alice", "--json"]).json();
        list["throttle"]["sources"][0]["failures"].as_u64().unwrap_or_default()
    };
    // The last is locked by those before.
    for round in 1..=4 {
        let [stranger, alice] = ["nobody-at-all", "alice"].map(|user| attempt(&machine, user, machine.password(), ""));
        assert_eq!(alice.words, stranger.words, "{round}");
        // The first one lays the state out.
        assert!(round == 1 || alice.work == stranger.work, "{round}: {:?} {:?}", alice.work, stranger.work);
        // The third one locks, and the count begins anew.
        assert_eq!(failures(), [1, 2, 0, 0][round - 1], "{round}: {}", machine.log());
    }
    machine.logged(&["user=alice", "reason=\"cannot look up a group: "]);
    machine.logged(&["user=alice", "reason=\"locked for this source until "]);
}

/// Nor who has one in the machine's own files, which go on to tell.
#[test]
fn who_cannot_be_looked_up_while_a_directory_is_away_is_refused_as_who_can() {
    let Some(plan) = door::plan(RULES) else { return };
    let machine = plan.without_daemon().start();
    let _phone = machine.enroll("alice");
    machine.add_name_service("away");
    for round in 1..=2 {
        let [stranger, alice] = ["nobody-at-all", "alice"].map(|user| attempt(&machine, user, "wrong", "000000"));
        assert_eq!(alice.words, stranger.words, "{round}");
        // The first one lays the state out.
        assert!(round == 1 || alice.work == stranger.work, "{round}: {:?} {:?}", alice.work, stranger.work);
    }
    machine.logged(&["user=nobody-at-all", "reason=\"cannot look up the user: ECONNREFUSED"]);
    machine.logged(&["user=alice", "reason=\"wrong password\""]);
}

fn attempt(machine: &Machine, user: &str, password: &str, code: &str) -> Attempt {
    let traced = "mmap,flock,fdatasync,fsync,pwrite64,openat,?select,pselect6";
    let mut client =
        machine.person(["strace", "-ttt", "-o", "/tmp/trace", "-e", traced, "pamtester", "door", user, "authenticate"]);
    let status = client.answer_all(&[("Password: ", password), ("Verification code: ", code)]);
    assert!(!status.success(), "{}", client.screen());
    let trace = machine.read("/tmp/trace");
    let mut work = BTreeMap::new();
    for line in trace.lines().filter(|line| line.contains("LOCK_EX") || !line.contains("flock(")) {
        // Argon2 at the default cost works in 19 MiB, mapped as ten huge pages.
        let what = if line.contains("mmap(NULL, 20971520,") {
            "argon2"
        } else if line.contains("\"/etc/shadow\"") {
            "shadow"
        } else if let Some(call) =
            ["flock", "fdatasync", "fsync", "pwrite64"].into_iter().find(|call| line.contains(&format!(" {call}(")))
        {
            call
        } else {
            continue;
        };
        *work.entry(what).or_insert(0) += 1;
    }
    let time = |word: &str| {
        let line = trace.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("no {word} in {trace}"));
        line.split(' ').next().and_then(|stamp| stamp.parse::<f64>().ok()).expect("a stamp")
    };
    let seconds = time("select") - time("authflow.toml");
    Attempt { words: client.screen().replace(user, "USER"), work, seconds }
}
