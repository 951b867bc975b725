//! The packages on a machine with a kernel of its own, whose clock is set and which really reboots.

use authflow_tests::{Authenticator, Emulated, Machine, Packages};
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
useradd --create-home --shell /bin/bash alice
printf 'alice ALL=(ALL) ALL\\n' > /etc/sudoers.d/alice
cat > /etc/authflow/authflow.toml <<'END'
[[rule]]
name = 'ssh'
service = ['sshd']
methods = [['password', 'totp']]
END
printf '%s' 'PASSWORD' | authflow passwd --user alice --stdin
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
    let machine = Emulated::start(&host, &packages, &prepare);

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

fn log_in(machine: &Emulated<'_>, code: &str) -> authflow_tests::Person {
    let mut alice = machine.ssh("alice");
    alice.expect("assword: ");
    alice.type_line(PASSWORD);
    alice.expect("Verification code: ");
    alice.type_line(code);
    alice.expect("$ ");
    alice
}

fn sessions(machine: &Emulated<'_>) -> Vec<Value> {
    serde_json::from_str(&machine.shell("authflow sessions --json").success()).expect("a list")
}

fn only_session(machine: &Emulated<'_>) -> Value {
    let sessions = sessions(machine);
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    sessions[0].clone()
}
