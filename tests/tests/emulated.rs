//! The packages on a machine with a kernel of its own, whose clock is set and which really reboots and really sleeps.

use std::time::Duration;

use authflow_tests::{Authenticator, Emulated, Machine, Packages, Person, wait};
use serde_json::Value;

const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
const PASSWORD: &str = "correct horse battery";
/// Steps of a code in a day.
const DAY: i64 = 24 * 60 * 2;

/// As an image is made, on a machine that does not run.
const PREPARE: &str = "
set -e
export DEBIAN_FRONTEND=noninteractive
dpkg --install /root/packages/*.deb
pam-auth-update --enable authflow authflow-session
for user in alice bob carol; do useradd --create-home --shell /bin/bash $user; done
printf 'alice ALL=(ALL) ALL\\n' > /etc/sudoers.d/alice
cat > /etc/authflow/authflow.toml <<'END'
[[rule]]
name = 'bob'
service = ['sshd']
user = ['bob']
methods = [['password']]
session = { idle = 'none', lifetime = '1h', at_lifetime = 'hangup' }
[[rule]]
name = 'carol'
service = ['sshd']
user = ['carol']
methods = [['password']]
session = { idle = '3h', lifetime = '5h' }
[[rule]]
name = 'ssh'
service = ['sshd']
methods = [['password', 'totp']]
END
for user in alice bob carol; do printf '%s' 'PASSWORD' | authflow passwd --user $user --stdin; done
printf '%s' SECRET | authflow factor add totp --user alice --secret-stdin --no-confirm
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\\nAudit=yes\\n' > /etc/systemd/journald.conf.d/audit.conf
printf 'UsePAM yes\\nUseDNS no\\nKbdInteractiveAuthentication yes\\nPasswordAuthentication no\\n' > /etc/ssh/sshd_config
";

#[test]
fn a_clock_that_is_set_ends_no_session_and_a_reboot_closes_all() {
    let Some(packages) = Packages::built() else { return };
    let Some(plan) = Machine::overlay() else { return };
    let host = plan.without_authflow().start();
    let prepare = PREPARE.replace("PASSWORD", PASSWORD).replace("SECRET", SECRET);
    let mut machine = Emulated::start(&host, &packages, &prepare);

    let mut phone = Authenticator::new(SECRET);
    let mut today = log_in(&machine, &phone.code());
    let session = only_session(&machine);
    let logind = session["logind_id"].as_str().expect("logind knows it");
    let leader = machine.shell(&format!("loginctl show-session {logind} --property=Leader --value")).success();
    assert_eq!(leader.trim(), session["leader"].to_string());

    // Nothing keeps its clock, and it is its own.
    let _ = machine.shell("authflow check | grep -F '[clock-not-synchronised]'").success();

    // Its lifetime is half a day, of a clock that nobody sets.
    let _ = machine.shell("date --set='+1 day'").success();
    let mut tomorrow = log_in(&machine, &phone.code_at(DAY));
    assert_eq!(today.shell("echo still here"), "still here");
    assert_eq!(sessions(&machine).len(), 2);

    let _ = machine.shell("authflow setup sudo --user alice --yes").success();
    assert!(machine.shell("test -e /var/lib/authflow/setup/pending").status.success());
    machine.reboot();
    // Nobody confirmed it.
    let gone =
        "! test -e /var/lib/authflow/setup/pending && ! test -e /etc/authflow/authflow.toml.d/50-setup-sudo.toml";
    let _ = machine.shell(gone).success();
    for person in [&mut today, &mut tomorrow] {
        assert_ne!(person.end().code(), Some(0));
    }
    assert_eq!(sessions(&machine), Vec::<Value>::new());
    let history: Vec<Value> =
        serde_json::from_str(&machine.shell("authflow history --json").success()).expect("a list");
    let reasons: Vec<_> = history.iter().map(|ended| ended["end_reason"].as_str().unwrap_or("none")).collect();
    assert_eq!(reasons, ["reboot", "reboot"], "{history:#?}");
    // The clock is today's again, and a code never passes before one that has passed.
    let _ = machine.shell("date --set='+1 day'").success();
    let mut in_again = log_in(&machine, &phone.code_at(DAY + 1));
    in_again.type_line("authflow renew");
    in_again.expect("assword: ");
    in_again.type_line("a guess");
    in_again.expect("Verification code: ");
    in_again.type_line("000000");
    in_again.expect("that was not right");

    // The kernel's audit log has what libpam could not tell it.
    let audit = machine.shell("journalctl --quiet --output=cat _TRANSPORT=audit").success();
    let told = |words: [&str; 3]| audit.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    assert_eq!(told(["USER_END", "op=authflow:session_close acct=\"alice\"", "reason=\"reboot\""]), 2, "{audit}");
    let [alice, failed] = ["op=authflow:authentication acct=\"alice\"", "res=failed"];
    assert_eq!(told(["USER_AUTH", alice, failed]), 1, "{audit}");
    assert_eq!(told(["TRUSTED_APP", "op=authflow:opened acct=\"alice\"", "factors=\"password+totp\""]), 3, "{audit}");
    auditds_own_tools_read_it(&machine);
    what_falls_due_in_a_sleep_ends_with_it(&mut machine, in_again);
}

/// As they do libpam's: found by what they can be asked for, and counted.
fn auditds_own_tools_read_it(machine: &Emulated<'_>) {
    let found = |question: &str| {
        let ausearch = format!("ausearch --input-logs -x /usr/libexec/authflow-sessiond {question}");
        machine.shell(&ausearch).success().matches("op=authflow:").count()
    };
    assert_eq!(found("-m USER_AUTH -sv no"), 1);
    assert_eq!(found("-m USER_END -hn 10.0.2.2"), 2);
    assert_eq!(found("-m TRUSTED_APP"), 3);
    let counted = machine.shell("aureport --input-logs -au --failed").success();
    assert!(counted.contains("alice ? ? /usr/libexec/authflow-sessiond no"), "{counted}");
}

/// Nobody is heard of by then: the machine has slept, and hardly been up.
fn what_falls_due_in_a_sleep_ends_with_it(machine: &mut Emulated<'_>, mut alice: Person) {
    let two_hours = Duration::from_secs(7200);
    let mut bob = log_in_by_password(machine, "bob");
    let mut carol = log_in_by_password(machine, "carol");
    carol.type_line("read -r nothing");
    let before = deadlines(machine, "carol");
    bob.type_line("(setsid nohup sleep 4711 >/dev/null 2>&1 &)");
    let is_left = || machine.shell("pgrep -f '^sleep 4711'").status.success();
    wait::until_true("what bob leaves", is_left);
    let bobs = sessions(machine).iter().find(|session| session["user"] == "bob").expect("it is open")["id"].clone();
    let bobs = format!(
        "systemctl list-units --all --plain --no-legend 'authflow-session-{}-*'",
        bobs.as_str().expect("an id")
    );
    assert!(!machine.shell(&bobs).success().is_empty(), "no timer");

    machine.sleep(two_hours);
    for person in [&mut alice, &mut bob] {
        assert_ne!(person.end().code(), Some(0));
    }
    wait::until_true("their ends", || sessions(machine).len() == 1);
    assert_eq!(ended(machine, 2), [["alice", "idle"], ["bob", "lifetime"]]);
    assert_eq!(only_session(machine)["user"], "carol");
    // His timer woke with the machine as the daemon did, and that only hangs up.
    wait::until_true("the end of his timer", || machine.shell(&bobs).success().is_empty());
    assert!(machine.shell("pgrep -f '^sleep 4711'").status.success(), "his timer has ended what a hang-up leaves");
    let after = deadlines(machine, "carol");
    for (after, before) in after.iter().zip(&before) {
        assert!(after.abs_diff(*before) < 60, "the sleep has moved {before:?} to {after:?}");
    }

    machine.sleep(two_hours);
    assert_ne!(carol.end().code(), Some(0));
    wait::until_true("her end", || sessions(machine).is_empty());
    assert_eq!(ended(machine, 1), [["carol", "idle"]]);

    // Systemd's timers see to it where the daemon is dead, and a wall clock that was set does not mislead them.
    let mut bob = log_in_by_password(machine, "bob");
    let timers = || machine.shell("systemctl list-units --plain --no-legend 'authflow-session-*.timer'").success();
    wait::until_true("the timer", || !timers().is_empty());
    let last_run = || machine.shell("systemctl show --property=LastTriggerUSec 'authflow-session-*.timer'").success();
    let never = last_run();
    let kill = "systemctl mask --runtime authflow-sessiond && systemctl kill --signal=KILL authflow-sessiond";
    let _ = machine.shell(kill).success();
    let _ = machine.shell("date --set='+1 day'").success();
    wait::until_true("the timer's vain run", || last_run() != never);
    assert_eq!(bob.shell("echo still here"), "still here");
    let _ = machine.shell("date --set='-1 day'").success();
    machine.sleep(two_hours);
    assert_ne!(bob.end().code(), Some(0));
    assert!(!machine.shell("systemctl is-active authflow-sessiond").status.success(), "it was the timer alone");
}

/// When a user's only session ends, idle and in any case: by the wall clock, in seconds.
fn deadlines(machine: &Emulated<'_>, user: &str) -> Vec<i64> {
    let of_user = |session: &Value| session["user"] == user;
    let session = sessions(machine).into_iter().find(of_user).expect("it is open");
    let [idle, lifetime] = ["idle_deadline", "lifetime_deadline"].map(|key| session[key].as_str().expect("a time"));
    let told = machine.shell(&format!("date --date={idle} +%s; date --date={lifetime} +%s")).success();
    told.lines().map(|seconds| seconds.parse().expect("seconds")).collect()
}

/// Who was ended last and why, by their names.
fn ended(machine: &Emulated<'_>, how_many: usize) -> Vec<[String; 2]> {
    let limit = format!("authflow history --json --limit {how_many}");
    let history: Vec<Value> = serde_json::from_str(&machine.shell(&limit).success()).expect("a list");
    let word = |row: &Value, key: &str| row[key].as_str().unwrap_or("none").to_owned();
    let mut ended: Vec<_> = history.iter().map(|row| [word(row, "user"), word(row, "end_reason")]).collect();
    ended.sort();
    ended
}

fn log_in(machine: &Emulated<'_>, code: &str) -> Person {
    let mut alice = machine.ssh("alice");
    alice.expect("assword: ");
    alice.type_line(PASSWORD);
    alice.expect("Verification code: ");
    alice.type_line(code);
    alice.expect("$ ");
    alice
}

fn log_in_by_password(machine: &Emulated<'_>, user: &str) -> Person {
    let mut person = machine.ssh(user);
    person.expect("assword: ");
    person.type_line(PASSWORD);
    person.expect("$ ");
    person
}

fn sessions(machine: &Emulated<'_>) -> Vec<Value> {
    serde_json::from_str(&machine.shell("authflow sessions --json").success()).expect("a list")
}

fn only_session(machine: &Emulated<'_>) -> Value {
    let sessions = sessions(machine);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    sessions[0].clone()
}
