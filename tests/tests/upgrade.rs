//! The Debian packages upgraded and downgraded, with sessions and with logins under way.

mod packaged;

use std::path::Path;

use authflow_tests::{Authenticator, Machine, Packages, Person, wait};
use packaged::{BOTH, enable_profile, machine, unpack};
use serde_json::Value;

#[test]
fn sessions_and_logins_under_way_outlive_an_upgrade_and_a_daemon_that_hangs() {
    let Some(packages) = Packages::built() else { return };
    let users: Vec<_> = (0..20).map(|number| format!("user{number}")).collect();
    let names: Vec<_> = users.iter().map(String::as_str).chain(["alice"]).collect();
    let Some(machine) = machine(&names) else { return };
    let folder = tempfile();
    let newer = packages.numbered("9.9.9-1", &folder.0);
    machine.install(&packages);
    enable_profile(&machine);
    machine.write("/etc/authflow/authflow.toml", BOTH);
    let mut phones: Vec<_> = users.iter().map(|user| machine.enroll(user)).collect();
    let mut alices = machine.enroll("alice");
    let mut alice = machine.log_in("alice", &mut alices);
    let first = main_pid(&machine);

    // Ten have yet to give the password, ten the code.
    let mut people: Vec<Person> = users.iter().map(|user| machine.ssh(user, &[])).collect();
    for (number, person) in people.iter_mut().enumerate() {
        person.expect("assword: ");
        if number >= 10 {
            person.type_line(machine.password());
            person.expect("Verification code: ");
        }
    }
    // alice comes while the new files are there and the old daemon is.
    unpack(&machine, &newer);
    assert_eq!(main_pid(&machine), first);
    let mut again = machine.log_in("alice", &mut alices);
    let mut dpkg = machine.start(["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--configure", "--pending"]);
    for (number, (person, phone)) in people.iter_mut().zip(&mut phones).enumerate() {
        if number < 10 {
            person.type_line(machine.password());
            person.expect("Verification code: ");
        }
        person.type_line(&phone.code());
    }
    for person in &mut people {
        person.expect("$ ");
    }
    assert!(dpkg.end().success());
    assert_ne!(main_pid(&machine), first, "the new daemon runs");
    wait::until_true("all sessions", || machine.sessions().len() == 22);
    let known = identities(&machine);

    let (known, mut late) = back_to_a_version_that_cannot_read_the_store(&machine, &packages, &mut alices, known);

    // The module's package alone leaves the daemon be.
    let pid = main_pid(&machine);
    let module = machine.take(&packages).into_iter().find(|file| file.contains("libpam")).expect("the module's");
    let _ = machine.dpkg(&["--install", &module]).success();
    assert_eq!(main_pid(&machine), pid);

    // A loop that hangs.
    machine.write("/etc/systemd/system/authflow-sessiond.service.d/soon.conf", "[Service]\nWatchdogSec=2\n");
    let _ = machine.shell("systemctl daemon-reload && systemctl restart authflow-sessiond").success();
    let hung = main_pid(&machine);
    let _ = machine.run(["systemctl", "kill", "--signal=STOP", "authflow-sessiond"]).success();
    wait::until_true("the next daemon", || ![hung.as_str(), "0"].contains(&main_pid(&machine).as_str()));
    machine.logged(&["authflow-sessiond.service: Watchdog timeout"]);
    machine.start_daemon();
    assert_eq!(identities(&machine), known);

    // None at all.
    let _ = machine.run(["systemctl", "stop", "authflow-sessiond"]).success();
    assert_eq!(alice.shell("echo still here"), "still here");
    machine.start_daemon();
    assert_eq!(identities(&machine), known);
    for person in people.iter_mut().chain([&mut alice, &mut again, &mut late]) {
        assert_eq!(person.shell("echo still here"), "still here");
    }
}

/// The downgrade, from a version that left a store of its own kind, while alice logs in once more. Returns who is known then, and that login.
fn back_to_a_version_that_cannot_read_the_store(
    machine: &Machine,
    packages: &Packages,
    alices: &mut Authenticator,
    known: Vec<String>,
) -> (Vec<String>, Person) {
    let mut late = machine.ssh("alice", &[]);
    late.expect("assword: ");
    late.type_line(machine.password());
    late.expect("Verification code: ");
    let _ = machine.run(["systemctl", "stop", "authflow-sessiond"]).success();
    of_another_version(&machine.path("/var/lib/authflow/sessions.db"));
    let files = machine.take(packages);
    let install = ["env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install"];
    let mut dpkg = machine.start(install.into_iter().chain(files.iter().map(String::as_str)));
    late.type_line(&alices.code());
    late.expect("$ ");
    assert!(dpkg.end().success());
    machine.logged(&["event=store-set-aside"]);
    wait::until_true("the late login", || machine.sessions().len() == known.len() + 1);
    let all = identities(machine);
    let lost: Vec<_> = known.iter().filter(|session| !all.contains(session)).collect();
    assert!(lost.is_empty(), "{lost:#?} of {all:#?}");
    (all, late)
}

/// Says in a store's header that a later program made it. Nobody has it open.
fn of_another_version(store: &Path) {
    /// Where SQLite keeps `user_version`, in four bytes.
    const USER_VERSION: std::ops::Range<usize> = 60..64;
    assert!(!store.with_extension("db-wal").exists(), "what stands beside the store would be laid over it");
    let mut bytes = std::fs::read(store).expect("a store");
    bytes[USER_VERSION].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(store, bytes).expect("it can be written");
}

fn main_pid(machine: &Machine) -> String {
    machine.run(["systemctl", "show", "-P", "MainPID", "authflow-sessiond"]).success().trim().to_owned()
}

/// What must not change while a session lives.
fn identities(machine: &Machine) -> Vec<String> {
    let keys = ["id", "user", "leader", "opened_at", "authenticated_at", "logind_id", "factors"];
    let told = |session: &Value| keys.map(|key| session[key].to_string()).join(" ");
    let mut all: Vec<_> = machine.sessions().iter().map(told).collect();
    all.sort();
    all
}

/// A folder that is gone with its value.
struct Folder(std::path::PathBuf);

fn tempfile() -> Folder {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packages-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    Folder(folder)
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
