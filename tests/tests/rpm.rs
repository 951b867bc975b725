//! The packages of the RPM spec, built and judged by Debian's rpm: what they hold, and what removing them does to a machine. No RHEL is in
//! play, so what they require is left out of account.

use std::process::{Command, Stdio};

use authflow_tests::Machine;

const REMOVE: &str = "rpm --erase authflow pam-authflow";

#[test]
fn removing_the_rpms_takes_back_what_waits_and_leaves_no_stack_without_its_module() {
    let Some(plan) = Machine::overlay() else { return };
    let files = built();
    the_module_comes_with_the_daemon_and_goes_before_it(&files);
    let machine = plan.user("alice").start();
    let _ = machine.feed(["chpasswd"], format!("alice:{}\n", machine.password()).as_bytes()).success();
    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    let add = ["authflow", "factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm"];
    let _ = machine.feed(add, b"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").success();
    for file in &files {
        let name = file.rsplit('/').next().expect("a path has a last part");
        std::fs::copy(file, machine.path(&format!("/root/{name}"))).expect("it can be copied");
    }
    let install = || machine.shell("rpm --install --nodeps --replacefiles /root/*authflow-0*.rpm").success();
    let installed = || machine.shell("rpm --query authflow pam-authflow").status.success();
    let _ = install();

    // A setup that nobody has confirmed.
    let su = machine.read("/etc/pam.d/su");
    let _ = machine.shell("authflow setup su --user alice --yes").success();
    assert_ne!(machine.read("/etc/pam.d/su"), su);
    let _ = machine.shell(REMOVE).success();
    assert_eq!(machine.read("/etc/pam.d/su"), su);
    assert!(!machine.path("/usr/bin/authflow").exists());

    // A line by hand.
    let _ = install();
    machine.write("/etc/pam.d/su", &format!("auth required pam_authflow.so\n{su}"));
    let told = machine.shell(REMOVE);
    assert!(!told.status.success() && told.stderr.contains("/etc/pam.d/su"), "{told:?}");
    assert!(installed(), "a stack is left without its daemon or its module");
    machine.write("/etc/pam.d/su", &su);
    let _ = machine.shell(REMOVE).success();
}

fn the_module_comes_with_the_daemon_and_goes_before_it(files: &[String]) {
    let of =
        |name: &str| files.iter().find(|file| file.contains(&format!("/{name}-0"))).expect("it was built").as_str();
    let ask = |what: &str, file: &str| succeed(Command::new("rpm").args(["--query", "--package", what, file]));
    let requires = ask("--requires", of("pam-authflow"));
    assert!(requires.lines().any(|line| line.starts_with("authflow(")), "{requires}");
    // Each would wait for the other, and rpm would take them as they come.
    for what in ["--requires", "--recommends", "--suggests"] {
        assert!(!ask(what, of("authflow")).contains("pam-authflow"), "{what}");
    }
    for (name, path) in [
        ("authflow", "/usr/libexec/authflow-sessiond"),
        ("pam-authflow", "/usr/lib64/security/pam_authflow.so"),
        ("authflow-selinux", "/usr/share/selinux/packages/targeted/authflow.pp"),
    ] {
        assert!(ask("--list", of(name)).lines().any(|line| line == path), "{name} without {path}");
    }
}

/// The packages, by `make rpm-check`, which also makes the SELinux module by Fedora's names.
fn built() -> Vec<String> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut make = Command::new("make");
    make.args(["--silent", "-C", workspace, "rpm-check"]);
    let told = succeed(make.env_remove("MAKEFLAGS").env_remove("MFLAGS").stdin(Stdio::null()));
    let files: Vec<_> = told.lines().filter(|line| line.ends_with(".rpm")).map(str::to_owned).collect();
    assert_eq!(files.len(), 3, "{told}");
    files
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("rpm and make run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
