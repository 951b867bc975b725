//! The last way in: root at a real console, when authflow's own files cannot be used. Never remote, never after a wrong answer, and
//! never for anybody else.

use authflow_tests::{Machine, Plan};
use serde_json::Value;

const STACK: &str = "\
auth [success=done user_unknown=ignore ignore=ignore default=die] pam_authflow.so breakglass
auth required pam_unix.so nodelay
account [success=ok new_authtok_reqd=ok user_unknown=ignore ignore=ignore default=bad] pam_authflow.so breakglass
account required pam_permit.so
session required pam_authflow.so breakglass
";
const RULE: &str = "[[rule]]\nname = \"console\"\nservice = [\"console\"]\nmethods = [[\"password\", \"totp\"]]\n";
const SYSTEM_PASSWORD: &str = "the system's own";
const CONSOLE: &[&str] = &["-Itty=/dev/tty1"];

#[test]
fn root_at_the_console_gets_in_when_our_files_are_broken() {
    let Some(machine) = start(plan()) else { return };
    machine.write("/etc/authflow/authflow.toml", "[[rule");
    assert!(knock(&machine, "root", CONSOLE, SYSTEM_PASSWORD, ""));
    machine.logged(&["event=breakglass", "user=root"]);
    // Nothing of ours is open then, so there is nothing to close.
    let session = ["console", "root", "authenticate", "acct_mgmt", "open_session"];
    assert!(run(&machine, &[CONSOLE, &session].concat(), SYSTEM_PASSWORD, ""), "{}", machine.log());
    machine.logged(&["event=breakglass", "phase=open-session", "user=root"]);
    assert!(!open(&machine, "root", &["-Itty=/dev/pts/0"], SYSTEM_PASSWORD, ""));
    assert!(!knock(&machine, "root", CONSOLE, "a guess", ""));
    for elsewhere in [&["-Itty=/dev/pts/0"][..], &["-Itty=/dev/tty1", "-Irhost=192.0.2.7"], &[]] {
        assert!(!knock(&machine, "root", elsewhere, SYSTEM_PASSWORD, ""), "{elsewhere:?}");
    }
    assert!(!knock(&machine, "alice", CONSOLE, SYSTEM_PASSWORD, ""));
}

/// What was asked for cannot be counted, and all else can still be read.
#[test]
fn root_at_the_console_gets_in_when_our_disk_takes_no_writes() {
    for account in ["", "account = \"enforce\"\n"] {
        let rule = format!("{RULE}{account}");
        let Some(machine) = start(plan().map(|plan| plan.config(&rule))) else { return };
        let (mut root, mut alice) = (machine.enroll("root"), machine.enroll("alice"));
        let disk = "mount --bind /var/lib/authflow /var/lib/authflow && mount -o remount,bind,ro /var/lib/authflow";
        let _ = machine.shell(disk).success();
        assert!(open(&machine, "root", CONSOLE, SYSTEM_PASSWORD, ""), "{}", machine.log());
        machine.logged(&["event=breakglass", "phase=authenticate", "Read-only file system"]);
        assert!(machine.log().contains("event=session-opened"), "a disk that takes no writes watches it all the same");
        assert!(!open(&machine, "root", CONSOLE, "a guess", ""));
        assert!(!open(&machine, "root", &["-Itty=/dev/pts/0"], SYSTEM_PASSWORD, &root.code()));
        assert!(!open(&machine, "alice", CONSOLE, machine.password(), &alice.code()));
        let _ = machine.run(["umount", "/var/lib/authflow"]).success();
        assert!(!open(&machine, "root", CONSOLE, SYSTEM_PASSWORD, &root.wrong_code()));
        assert!(open(&machine, "root", CONSOLE, machine.password(), &root.code()));
    }
}

#[test]
fn a_wrong_answer_breaks_no_glass() {
    let Some(machine) = start(plan()) else { return };
    let mut phone = machine.enroll("root");
    assert!(!knock(&machine, "root", CONSOLE, SYSTEM_PASSWORD, &phone.wrong_code()));
    assert!(!machine.log().contains("breakglass"), "{}", machine.log());
    assert!(knock(&machine, "root", CONSOLE, machine.password(), &phone.code()));
}

#[test]
fn root_at_the_console_needs_no_daemon_where_others_do() {
    let config = format!("bus_timeout = \"1s\"\nsession = {{ when_unavailable = \"deny\" }}\n{RULE}");
    let Some(machine) = start(plan().map(|plan| plan.config(&config))) else { return };
    let (mut root, mut alice) = (machine.enroll("root"), machine.enroll("alice"));
    assert!(open(&machine, "root", CONSOLE, machine.password(), &root.code()));
    assert!(!open(&machine, "root", &["-Itty=/dev/pts/0"], machine.password(), &root.code()));
    assert!(!open(&machine, "alice", CONSOLE, machine.password(), &alice.code()));
}

/// Whoever disabled root may be gone; somebody must be able to undo it.
#[test]
fn root_is_never_disabled_at_its_own_console() {
    let Some(machine) = start(plan()) else { return };
    let (mut root, mut alice) = (machine.enroll("root"), machine.enroll("alice"));
    let _ = machine.run(["touch", "/var/lib/authflow/state/root.disabled", "/var/lib/authflow/state/alice.disabled"]);
    assert!(!open(&machine, "root", &["-Itty=/dev/pts/0"], machine.password(), &root.code()));
    assert!(!open(&machine, "root", CONSOLE, SYSTEM_PASSWORD, &root.wrong_code()));
    assert!(open(&machine, "root", CONSOLE, machine.password(), &root.code()), "{}", machine.log());
    assert!(!open(&machine, "alice", CONSOLE, machine.password(), &alice.code()));
}

/// The test of a login goes by what the login does.
#[test]
fn a_login_of_disabled_root_at_its_console_is_told_as_it_is() {
    let rules = RULE.replace("\"console\"]", "\"console\", \"login\"]");
    let Some(machine) = start(plan().map(|plan| plan.config(&rules))) else { return };
    let (mut root, _) = (machine.enroll("root"), machine.enroll("alice"));
    let _ = machine.run(["touch", "/var/lib/authflow/state/root.disabled", "/var/lib/authflow/state/alice.disabled"]);
    let outcome = |words: &[&str]| {
        let told = machine.run(["authflow", "--json", "test"].iter().chain(words)).stdout;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        (told["outcome"].as_str().map(str::to_owned), told["reason"].as_str().map(str::to_owned))
    };
    assert_eq!(outcome(&["root", "--service", "login"]), (Some("asked".to_owned()), None));
    let disabled = (Some("denied".to_owned()), Some("the user is disabled (authflow user enable)".to_owned()));
    assert_eq!(outcome(&["root", "--service", "login", "--from", "192.0.2.7"]), disabled);
    assert_eq!(outcome(&["root", "--service", "console"]), disabled, "no console is told of");
    assert_eq!(outcome(&["alice", "--service", "login"]), disabled);
    let mut run = machine.person(["authflow", "test", "root", "--service", "login", "--run"]);
    let answers = [("Password: ", machine.password()), ("Verification code: ", &root.code())];
    assert!(run.answer_all(&answers).success() && run.screen().contains("granted by rule console"), "{}", run.screen());
}

fn plan() -> Option<Plan> {
    Some(Machine::overlay()?.user("alice").pam("console", STACK).config(RULE).without_daemon())
}

fn start(plan: Option<Plan>) -> Option<Machine> {
    let machine = plan?.start();
    let passwords = format!("root:{SYSTEM_PASSWORD}\nalice:{SYSTEM_PASSWORD}\n");
    let _ = machine.feed(["chpasswd"], passwords.as_bytes()).success();
    Some(machine)
}

/// Whether authentication and account succeed for that user, with these PAM items.
fn knock(machine: &Machine, user: &str, items: &[&str], password: &str, code: &str) -> bool {
    run(machine, &[items, &["console", user, "authenticate", "acct_mgmt"]].concat(), password, code)
}

/// Like [`knock`], and a session opens.
fn open(machine: &Machine, user: &str, items: &[&str], password: &str, code: &str) -> bool {
    let phases = ["authenticate", "acct_mgmt", "open_session", "close_session"];
    run(machine, &[items, &["console", user], &phases].concat(), password, code)
}

fn run(machine: &Machine, words: &[&str], password: &str, code: &str) -> bool {
    let argv = ["pamtester"].into_iter().chain(words.iter().copied());
    machine.person(argv).answer_all(&[("assword: ", password), ("Verification code: ", code)]).success()
}
