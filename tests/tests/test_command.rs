//! `authflow test`: what it tells of a login is what the login comes to, and telling changes nothing.

use authflow_tests::{Machine, Output};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[throttle]
attempts = 2
[[rule]]
name = "robots"
service = ["sshd"]
group = ["robots"]
from = ["10.20.0.0/16"]
methods = [["publickey"]]
[[rule]]
name = "ssh"
service = ["sshd", "door"]
user = ["alice", "bob"]
methods = [["publickey", "totp"], ["password", "totp"]]
session = { idle = "10m", lifetime = "none" }
[[rule]]
name = "su"
service = ["su"]
methods = [["stack"]]
"#;

const STACK: &str = "auth required pam_authflow.so\naccount required pam_authflow.so\n";

#[test]
fn it_tells_the_rule_the_questions_and_the_method() {
    let Some(machine) = machine() else { return };
    let _ = machine.enroll("alice");
    let told = test(&machine, &["alice", "--service", "sshd", "--from", "10.20.0.7", "--proved", "publickey"]);
    assert_eq!(
        told["rules"],
        json!([
            { "name": "robots", "matches": false, "why_not": "the user is in none of its groups" },
            { "name": "ssh", "matches": true, "why_not": null },
        ])
    );
    assert_eq!(told["prompts"], json!(["Verification code: "]));
    assert_eq!(told["enrolled"], json!(["password", "totp"]));
    assert_eq!((&told["method"], &told["aal"]), (&json!(["totp", "publickey"]), &json!(1)));
    assert_eq!(told["session"], json!({ "idle": 600, "lifetime": null }));
    assert_eq!(told["outcome"], "asked");
    let needs = told["needs"].as_str().expect("what sshd must be told");
    assert!(needs.starts_with("AuthenticationMethods publickey,keyboard-interactive:pam"), "{needs}");

    let told = test(&machine, &["alice", "--service", "door"]);
    assert_eq!(told["needs"], Value::Null);
    assert_eq!(told["prompts"], json!(["Password: ", "Verification code: "]));
    assert_eq!((&told["method"], &told["aal"]), (&json!(["password", "totp"]), &json!(2)));
    assert_eq!(told["methods"][0], json!({ "factors": ["totp", "publickey"], "missing": ["publickey"] }));

    let robot = test(&machine, &["robot", "--service", "sshd", "--from", "10.20.0.7", "--proved", "publickey"]);
    assert_eq!(
        (&robot["method"], &robot["prompts"], &robot["outcome"], &robot["needs"]),
        (&json!(["publickey"]), &json!([]), &json!("asked"), &Value::Null)
    );
    assert_eq!(test(&machine, &["alice", "--service", "su"])["outcome"], "left-to-the-stack");
    assert_eq!(test(&machine, &["alice", "--service", "cups"])["outcome"], "not-governed");

    let text = machine.run(["authflow", "test", "alice", "--service", "door"]).success();
    for line in [
        "ssh     yes",
        "robots  no: it is for other services",
        "publickey+totp  no: no key was proved (--proved publickey)",
        "asked     \"Password:\", \"Verification code:\"",
        "let in with the right answers",
    ] {
        assert!(text.contains(&line.replace("publickey+totp", "totp+publickey")), "{line:?} is not in\n{text}");
    }
}

#[test]
fn it_tells_why_a_login_is_denied_whatever_is_answered() {
    let Some(machine) = machine() else { return };
    let phone = machine.enroll("alice");
    let denied = |words: &[&str], code: i32, reason: &str| {
        let output = run(&machine, words);
        assert_eq!(output.status.code(), Some(code), "{output:#?}");
        let told: Value = serde_json::from_str(&output.stdout).expect("JSON");
        assert_eq!(told["outcome"], "denied", "{told:#}");
        assert!(told["reason"].as_str().is_some_and(|why| why.contains(reason)), "{told:#}");
        told
    };
    let stranger = denied(&["mallo", "--service", "door"], 3, "there is no such user");
    assert_eq!(stranger["prompts"], json!(["Password: ", "Verification code: "]), "asked like others");
    let _ = denied(&["robot", "--service", "sshd", "--from", "192.0.2.1"], 1, "no rule matches");
    let _ = denied(&["bob", "--service", "door"], 1, "no authenticators");
    // A bypass code stands in for what bob lacks, once he has a password.
    let _ = machine.feed(["authflow", "passwd", "--user", "bob", "--stdin"], machine.password().as_bytes()).success();
    let _ = machine.run(["authflow", "user", "bypass", "bob", "--for", "2h", "--reason", "phone lost"]).success();
    let bob = test(&machine, &["bob", "--service", "door"]);
    assert_eq!((&bob["enrolled"], &bob["outcome"]), (&json!(["password", "bypass"]), &json!("asked")));

    for _ in 0..2 {
        assert!(!opens(&machine, "a guess", &phone.wrong_code()));
    }
    let _ = denied(&["alice", "--service", "door"], 1, "locked for this source until");
    assert_eq!(test(&machine, &["alice", "--service", "door", "--from", "192.0.2.1"])["outcome"], "asked");
    let _ = machine.run(["authflow", "user", "unlock", "alice"]).success();
    let _ = machine.run(["chage", "-E", "1", "alice"]).success();
    let _ = denied(&["alice", "--service", "door"], 1, "expired");
}

#[test]
fn telling_changes_nothing_and_running_is_an_attempt() {
    let Some(machine) = machine() else { return };
    let mut phone = machine.enroll("alice");
    let state = || machine.run(["sh", "-c", "cat /var/lib/authflow/state/alice* | sha256sum"]).success();
    let before = state();
    let _ = test(&machine, &["alice", "--service", "door"]);
    assert_eq!(before, state());
    let code = phone.code();
    let run = ["authflow", "test", "alice", "--service", "door", "--run"];
    let answers = |code: &str| [("Password: ", machine.password().to_owned()), ("code: ", code.to_owned())];
    let answer = |code: &str| {
        let mut root = machine.person(run);
        let status = root.answer_all(&answers(code).each_ref().map(|(prompt, answer)| (*prompt, answer.as_str())));
        (status.code(), root.screen())
    };
    let (status, screen) = answer(&phone.wrong_code());
    assert!(status == Some(1) && screen.contains("denied: wrong code"), "{screen}");
    let (status, screen) = answer(&code);
    assert!(status == Some(0) && screen.contains("granted by rule ssh: password+totp (AAL 2)"), "{screen}");
    assert!(!opens(&machine, machine.password(), &code), "it has used the code up");
    assert!(opens(&machine, machine.password(), &phone.code()));
}

/// What is told for this machine must be what a login of this machine comes to, and no login is it at a service that may be anybody's.
#[test]
fn a_rule_for_this_machine_is_told_only_where_a_login_can_be_of_it() {
    let here = "[[rule]]\nname = \"here\"\nservice = [\"imap\", \"su\", \"login\"]\nfrom = [\"local\"]\nmethods = [[\"password\"]]\n";
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(here).pam("imap", STACK).without_daemon().start();
    let _ = machine.feed(["authflow", "passwd", "--user", "alice", "--stdin"], machine.password().as_bytes()).success();
    for service in ["su", "login"] {
        let told = test(&machine, &["alice", "--service", service, "--from", "local"]);
        assert_eq!((&told["from"], &told["outcome"]), (&json!("local"), &json!("asked")), "{service}");
    }
    let refused = run(&machine, &["alice", "--service", "imap", "--from", "local"]);
    assert!(refused.status.code() == Some(2) && refused.stderr.contains("tested without --from"), "{refused:#?}");
    let told: Value = serde_json::from_str(&run(&machine, &["alice", "--service", "imap"]).stdout).expect("JSON");
    assert_eq!((&told["from"], &told["outcome"]), (&json!("unknown"), &json!("denied")));
    // As a mail server calls it: as root, and without a word on where its user is.
    let argv = ["pamtester", "imap", "alice", "authenticate", "acct_mgmt"];
    assert!(!machine.person(argv).answer_all(&[("Password: ", machine.password())]).success());
    machine.logged(&["user=alice", "reason=\"no rule matches"]);
}

#[test]
fn who_is_not_root_learns_the_rule_and_not_the_records() {
    let Some(machine) = machine() else { return };
    let _ = machine.enroll("alice");
    let as_bob = |words: &[&str]| {
        let argv = [
            "setpriv",
            "--reuid=bob",
            "--regid=bob",
            "--init-groups",
            "authflow",
            "test",
            "alice",
            "--service",
            "door",
        ];
        machine.run(argv.iter().chain(words))
    };
    let told = as_bob(&["--json"]).json();
    assert_eq!((&told["enrolled"], &told["method"], &told["outcome"]), (&Value::Null, &Value::Null, &json!("asked")));
    assert_eq!(told["methods"][0]["missing"], Value::Null);
    let _ = as_bob(&["--run"]).failure(4);
    for words in [
        &["alice", "--service", "door", "--proved", "publickey"][..],
        &["alice", "--service", "sshd", "--proved", "totp"],
    ] {
        assert_eq!(run(&machine, words).status.code(), Some(2), "{words:?}");
    }
}

fn machine() -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").user("bob").user("robot").config(CONFIG).pam("door", STACK);
    let machine = plan.without_daemon().start();
    let _ = machine.shell("groupadd robots && usermod --append --groups robots robot").success();
    Some(machine)
}

fn run(machine: &Machine, words: &[&str]) -> Output {
    machine.run(["authflow", "--json", "test"].iter().chain(words))
}

#[track_caller]
fn test(machine: &Machine, words: &[&str]) -> Value {
    run(machine, words).json()
}

fn opens(machine: &Machine, password: &str, code: &str) -> bool {
    // As sudo runs: by its caller, who is alice herself, with the rights of root.
    let argv = ["setpriv", "--ruid=alice", "pamtester", "door", "alice", "authenticate", "acct_mgmt"];
    machine.person(argv).answer_all(&[("Password: ", password), ("Verification code: ", code)]).success()
}
