//! scratch
use authflow_tests::{Authenticator, Machine, Packages, Person, wait};
use std::path::{Path, PathBuf};

const BOTH: &str = "[[rule]]\nname = \"ssh\"\nservice = [\"sshd\"]\nmethods = [[\"publickey\", \"totp\"], [\"password\", \"totp\"]]\n";
const SSHD: &str = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nMaxStartups 100";

fn ids(machine: &Machine) -> Vec<String> {
    let keys = ["id", "user", "leader", "opened_at", "authenticated_at", "logind_id", "factors"];
    let mut all: Vec<_> = machine.sessions().iter().map(|s| keys.map(|k| s[k].to_string()).join(" ")).collect();
    all.sort();
    all
}
fn pkgs(dir: &str) -> Packages {
    let files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "deb")).collect();
    Packages { files }
}
fn sure(m: &Machine, what: &str) { println!("--- {what}: {}", m.shell("dpkg -l 'authflow' libpam-authflow | tail -2; systemctl is-active authflow-sessiond; authflow status 2>&1 | tail -1").stdout); }

#[test]
fn upgrade_and_back() {
    let Some(plan) = Machine::booted() else { return };
    let users: Vec<_> = (0..20).map(|n| format!("user{n}")).collect();
    let plan = users.iter().fold(plan.without_authflow(), |p, u| p.user(u)).user("alice");
    let machine = plan.start();
    machine.restart_sshd(SSHD);
    let folder = Path::new("/var/tmp/m-work/numbered");
    let _ = std::fs::remove_dir_all(folder);
    std::fs::create_dir_all(folder).unwrap();
    let old = pkgs(&std::env::var("M_OLD").unwrap()).numbered("0.0.9-1", folder);
    let new = pkgs("/var/tmp/t-m/packages/from-build");
    machine.install(&old);
    let _ = machine.shell("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable authflow authflow-session").success();
    machine.write("/etc/authflow/authflow.toml", BOTH);
    let mut phones: Vec<_> = users.iter().map(|u| machine.enroll(u)).collect();
    let mut alices = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut alices);
    sure(&machine, "old");
    let before = ids(&machine);
    let mut people: Vec<Person> = users.iter().map(|u| machine.ssh(u, &[])).collect();
    for (n, p) in people.iter_mut().enumerate() {
        p.expect("assword: ");
        if n >= 10 { p.type_line(machine.password()); p.expect("Verification code: "); }
    }
    let files = machine.take(&new);
    let a: Vec<_> = ["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let mut dpkg = machine.start(a);
    for (n, (p, phone)) in people.iter_mut().zip(&mut phones).enumerate() {
        if n < 10 { p.type_line(machine.password()); p.expect("Verification code: "); }
        p.type_line(&phone.code());
    }
    for p in &mut people { p.expect("$ "); }
    assert!(dpkg.end().success());
    wait::until_true("all", || machine.sessions().len() == 21);
    let known = ids(&machine);
    assert!(before.iter().all(|id| known.contains(id)), "{before:?} {known:?}");
    sure(&machine, "new");
    println!("{}", machine.shell("grep authflow /etc/pam.d/common-*; authflow check; authflow history").stdout);
    let mut again = machine.log_in("alice", &mut alices);
    let known = ids(&machine);
    // back
    let out = machine.dpkg(&[&["--install"][..], &machine.take(&old).iter().map(String::as_str).collect::<Vec<_>>()].concat());
    println!("{out:?}");
    sure(&machine, "back");
    println!("{}", machine.shell("grep authflow /etc/pam.d/common-*; authflow sessions | wc -l; journalctl -b -u authflow-sessiond --no-pager | tail -20").stdout);
    println!("same: {}", ids(&machine) == known);
    let mut third = machine.log_in("alice", &mut alices);
    println!("{}", machine.shell("authflow sessions | wc -l; authflow factor list --user alice; journalctl -b --no-pager | grep -i 'authflow.*refused'").stdout);
    for p in people.iter_mut().chain([&mut alice, &mut again, &mut third]) { assert_eq!(p.shell("echo still here"), "still here"); }
    // and forward again
    machine.install(&new);
    println!("{}", machine.shell("authflow sessions | wc -l; authflow history | tail -3; journalctl -b -u authflow-sessiond --no-pager | tail -5").stdout);
    let _: &Authenticator = &alices;
}
