//! The beds themselves, before anything of authflow is in play: real programs, a person, and nothing left behind.

use std::path::{Path, PathBuf};

use authflow_tests::{Authenticator, Machine, Plan, wait};

const PASSWORD: &str = "only in a bed";

#[test]
fn a_person_logs_in_by_ssh_login_su_and_sudo_on_an_overlay() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").user("bob").sshd("KbdInteractiveAuthentication yes").without_daemon().start();
    give_passwords(&machine);
    // The shipped configuration governs nothing, so Debian's own stack decides.
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(PASSWORD);
    alice.expect("$ ");
    assert_eq!(alice.shell("id -un; tty | cut -c1-9"), "alice\n/dev/pts/");

    alice.type_line("exit");
    assert_eq!(alice.end().code(), Some(0));

    log_in_at_a_terminal(&machine);
    become_bob(&machine);

    machine.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
    let mut alice = machine.person(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sudo", "id", "-un"]);
    alice.expect("password for alice: ");
    alice.type_line(PASSWORD);
    alice.expect("root\r\n");
    assert_eq!(alice.end().code(), Some(0));
}

#[test]
fn a_booted_machine_gives_a_login_its_scope() {
    let Some(plan) = Machine::booted() else { return };
    let machine = plan.user("alice").user("bob").sshd("KbdInteractiveAuthentication yes").without_daemon().start();
    give_passwords(&machine);
    let mut alice = machine.ssh("alice", &[]);
    alice.expect("Password: ");
    alice.type_line(PASSWORD);
    alice.expect("$ ");
    let scope = alice.shell("cat /proc/self/cgroup");
    assert!(scope.contains("0::/user.slice/user-1000.slice/session-"), "{scope}");
    assert!(machine.run(["loginctl", "list-sessions", "--no-legend"]).success().contains("alice"));

    log_in_at_a_terminal(&machine);
    become_bob(&machine);
    machine.logged(&["sshd", "Accepted keyboard-interactive/pam for alice"]);
}

#[test]
fn nothing_is_left_of_a_machine_whose_test_panicked() {
    let Some(plan) = Machine::overlay() else { return };
    nothing_is_left_after_a_panic(plan, "4242");
}

#[test]
fn nothing_is_left_of_a_booted_machine_whose_test_panicked() {
    let Some(plan) = Machine::booted() else { return };
    nothing_is_left_after_a_panic(plan, "4243");
}

#[test]
fn an_authenticator_never_shows_a_code_twice() {
    let Some(_) = Machine::overlay() else { return };
    let mut phone = Authenticator::new("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP");
    let (now, next) = (phone.code(), phone.code());
    assert_ne!(now, next);
    assert!(![now, next].contains(&phone.wrong_code()));
}

/// The argument is of a `sleep` that no other test runs.
fn nothing_is_left_after_a_panic(plan: Plan, argument: &str) {
    let left = std::sync::Mutex::new(Vec::new());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let machine = plan.without_daemon().start();
        let program = machine.start(["sleep", argument]);
        let sleeper = PathBuf::from(format!("/proc/{}", host_pid_of(argument)));
        left.lock().expect("not poisoned").extend([folder_of(&machine), cgroup_of(&sleeper), sleeper]);
        assert!(program.pid() > 1);
        // Not `panic!`: that would print a message in the middle of a test that passes.
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
    let left = left.into_inner().expect("not poisoned");
    assert_eq!(left.len(), 3, "the machine ran");
    for place in left {
        wait::until_true(&format!("the end of {}", place.display()), || !place.exists());
    }
}

/// The bed's folder on the host, as the mount of its root tells it.
fn folder_of(machine: &Machine) -> PathBuf {
    let mounts = format!("/proc/{}/mountinfo", machine.first_process());
    let mounts = std::fs::read_to_string(mounts).expect("it runs");
    let folder = mounts.split_once("upperdir=").and_then(|(_, rest)| rest.split_once("/upper"));
    let folder = PathBuf::from(folder.expect("an overlay").0);
    assert!(folder.is_dir(), "{}", folder.display());
    folder
}

/// The bed's cgroup on the host.
fn cgroup_of(process: &Path) -> PathBuf {
    let cgroup = std::fs::read_to_string(process.join("cgroup")).expect("it runs");
    let name = cgroup.split('/').find(|name| name.starts_with("authflow-bed-")).expect("a bed's").trim();
    let top = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new).into_iter().find(|top| top.is_dir());
    let cgroup = top.expect("a hierarchy").join(name);
    assert!(cgroup.is_dir(), "{}", cgroup.display());
    cgroup
}

fn give_passwords(machine: &Machine) {
    let _ = machine.feed(["chpasswd"], format!("alice:{PASSWORD}\nbob:{PASSWORD}\n").as_bytes()).success();
}

fn log_in_at_a_terminal(machine: &Machine) {
    let mut alice = machine.person(["login", "alice"]);
    alice.expect("Password: ");
    alice.type_line(PASSWORD);
    alice.expect("$ ");
    assert_eq!(alice.shell("id -un"), "alice");
}

fn become_bob(machine: &Machine) {
    let mut alice = machine.person(["setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "su", "-", "bob"]);
    alice.expect("Password: ");
    alice.type_line(PASSWORD);
    alice.expect("$ ");
    assert_eq!(alice.shell("id -un"), "bob");
}

/// The host's number of the `sleep` with this argument.
fn host_pid_of(argument: &str) -> u32 {
    let wanted = format!("sleep\0{argument}\0");
    wait::until("the sleeper", || {
        std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            (line == wanted).then(|| entry.file_name().to_str()?.parse().ok()).flatten()
        })
    })
}
