//! A machine that `authflow check` finds nothing wrong with, and what it finds once something is broken.
#![allow(dead_code, reason = "each test takes what it needs")]

use authflow_tests::{Machine, Plan};
use serde_json::Value;

pub const CONFIG: &str = r#"
[[rule]]
name = "ssh"
service = ["sshd"]
methods = [["publickey", "totp"], ["password", "totp"]]

[[rule]]
name = "console"
service = ["login"]
methods = [["password", "totp"]]

[[rule]]
name = "sudo"
service = ["sudo", "sudo-i"]
methods = [["session"], ["password", "totp"]]
from_session = { proved = ["totp"], within = "5m" }

[[rule]]
name = "su"
service = ["su", "su-l"]
methods = [["password", "totp"]]

[[rule]]
name = "lockers"
service = ["vlock", "authflow"]
methods = [["password", "totp"]]
"#;

/// Where the configuration is.
pub const LIVE: &str = "/etc/authflow/authflow.toml";

pub const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
                        AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam";

/// Something broken: how, and what is told of it. Each is told as `ID`, `ID FILE`, or `ID FILE: WORDS` where the line that is named
/// holds these words. A `*` is any file.
pub struct Case {
    pub breakage: &'static str,
    pub told: &'static [&'static str],
}

/// The shipped stacks with rules for all of them, set up as the README says.
pub fn plan() -> Option<Plan> {
    let plan = applied(Machine::overlay()?, CONFIG).user("alice").user("bob").sshd(SSHD);
    let plan = ["login", "su", "sudo", "vlock", "passwd"].into_iter().fold(plan, |plan, name| plan.shipped_pam(name));
    let sudo = include_str!("../../../conf/pam.d/sudo.example");
    let plan = plan.pam("sudo-i", sudo).pam("su-l", "@include su\n");
    Some(plan.file("/etc/sudoers.d/authflow", "Defaults timestamp_timeout=0\n"))
}

/// A configuration as `authflow config apply` leaves it.
pub fn applied(plan: Plan, config: &str) -> Plan {
    plan.config(config).file(&format!("{LIVE}.last-good"), config)
}

/// What is told now, each as `ID PLACE`, with the exit code.
#[track_caller]
pub fn check(machine: &Machine) -> (Vec<Value>, Option<i32>) {
    let said = machine.run(["authflow", "check", "--json"]);
    let code = said.status.code();
    let found = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("no JSON: {said:?}"));
    (found, code)
}

/// Breaks, looks and repairs, case by case. `kept` is everything that a case may change.
#[track_caller]
pub fn each_is_told(machine: &Machine, kept: &[&str], cases: &[Case]) {
    let good = "/root/good";
    let _ =
        machine.shell(&format!("rm -rf {good} && mkdir {good} && cp -a --parents {} {good}", kept.join(" "))).success();
    let repair: String = kept.iter().map(|path| format!("rm -rf {path} && cp -a {good}{path} {path}\n")).collect();
    let mut wrong = Vec::new();
    for Case { breakage, told } in cases {
        let _ = machine.shell(&format!("set -e\n{breakage}")).success();
        // Unless that is the case, what was changed was applied.
        if breakage.contains("authflow.toml") && !told.iter().any(|told| told.starts_with("config-")) {
            let _ = machine.run(["authflow", "config", "apply", "--anyway", LIVE]).success();
        }
        let (found, code) = check(machine);
        let is_as_told =
            found.len() == told.len() && found.iter().zip(*told).all(|(found, told)| is(machine, found, told));
        let has_defect = found.iter().any(|found| found["severity"] != "note");
        if !is_as_told || code != Some(i32::from(has_defect)) {
            wrong.push(format!("{breakage}\nexpected {told:?} and told, with code {code:?}, {found:#?}"));
        }
        for (command, finding) in found.iter().filter_map(|finding| Some((as_command(finding)?, finding))) {
            let _ = machine.shell(command).success();
            if check(machine).0.contains(finding) {
                wrong.push(format!("{breakage}\n{command:?} is no help"));
            }
        }
        for (setting, finding) in found.iter().filter_map(|finding| Some((as_setting(finding)?, finding))) {
            write_setting(machine, &setting, finding);
            let is_it = |other: &Value| other["id"] == finding["id"] && other["file"] == finding["file"];
            if check(machine).0.iter().any(is_it) {
                wrong.push(format!("{breakage}\n{setting:?} is no help"));
            }
        }
        let _ = machine.shell(&repair).success();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(check(machine), (Vec::new(), Some(0)), "repaired");
}

/// What is to be done about it, where that is nothing but a command.
fn as_command(finding: &Value) -> Option<&str> {
    let fix = finding["fix"].as_str()?;
    let begins = ["chown ", "authflow "].iter().any(|program| fix.starts_with(program));
    (begins && !fix.contains([',', ';'])).then_some(fix)
}

/// What is to be written into sshd's configuration, where that is a keyword and its value.
fn as_setting(finding: &Value) -> Option<String> {
    let mut words = finding["fix"].as_str()?.strip_prefix("write ")?.split([' ', ',']);
    let (keyword, value) = (words.next()?, words.next()?);
    let is_sshds = finding["file"].as_str()?.starts_with("/etc/ssh/");
    let is_value = ["yes", "no"].contains(&value) || value.parse::<u32>().is_ok();
    (is_sshds && is_value).then(|| format!("{keyword} {value}"))
}

/// Writes it where something else stands, or in front of everything.
fn write_setting(machine: &Machine, setting: &str, finding: &Value) {
    let file = finding["file"].as_str().expect("a file");
    let mut lines: Vec<String> = machine.read(file).lines().map(str::to_owned).collect();
    match finding["line"].as_u64().and_then(|line| lines.get_mut(usize::try_from(line).ok()? - 1)) {
        Some(line) => setting.clone_into(line),
        None => lines.insert(0, setting.to_owned()),
    }
    machine.write(file, &(lines.join("\n") + "\n"));
}

/// Whether that is what is told, with a consequence and a way out.
fn is(machine: &Machine, found: &Value, told: &str) -> bool {
    let (id, place) = told.split_once(' ').unwrap_or((told, ""));
    let (file, words) = place.split_once(": ").unwrap_or((place, ""));
    let is_there = match found["line"].as_u64() {
        Some(line) => {
            let text = machine.read(file);
            let line = usize::try_from(line).ok().and_then(|line| text.lines().nth(line - 1));
            !words.is_empty() && line.is_some_and(|line| line.contains(words))
        }
        None => words.is_empty(),
    };
    let says = |key: &str| found[key].as_str().is_some_and(|text| !text.is_empty());
    let in_file = file == "*" || found["file"].as_str().unwrap_or_default() == file;
    found["id"] == id && in_file && is_there && ["what", "consequence", "fix"].into_iter().all(says)
}
