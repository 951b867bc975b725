//! Uids that a user hands out to containers of their own (subuid(5)) are that user, and an account that merely has such a number is not.

use std::fs;

use authflow_tests::{Machine, Output, wait};

mod door;

const ASK: &str =
    "busctl --system call org.authflow.sessiond1 /org/authflow/sessiond1 org.authflow.sessiond1.Manager ListLeftovers";

#[test]
fn directory_users_with_numbers_in_a_local_range_keep_each_other_from_nothing() {
    let Some(plan) = door::plan(door::RULE) else { return };
    let machine = plan.start();
    for (user, uid) in [("carol", "210001"), ("dora", "210002")] {
        let _ = machine.run(["useradd", "--uid", uid, user]).success();
    }
    machine.write("/etc/subuid", "alice:165536:65536\n");
    let mut phone = machine.enroll("dora");
    furnish(&machine);
    let mut flooding = machine.start(as_user("carol").into_iter().chain(["caller", "--flood"]));
    wait::until_true("the end of her budget", || is_refused(&call(&machine, "carol")));
    for _call in 0..5 {
        let _ = call(&machine, "dora").success();
    }
    let argv = as_user("dora").into_iter().chain(["pamtester", "door", "dora", "authenticate"]);
    let answers = [("Password: ", machine.password()), ("Verification code: ", &*phone.code())];
    let mut locker = machine.person(argv);
    assert!(locker.answer_all(&answers).success(), "{}", locker.screen());
    assert!(flooding.is_running());
}

#[test]
fn what_a_users_container_does_that_user_answers_for() {
    let Some(plan) = Machine::booted() else { return };
    let machine = plan.user("alice").start();
    // The bus speaks with nobody whose groups it cannot look up.
    for uid in ["300001", "300002", "300003", "300050"] {
        let _ = machine.run(["useradd", "--uid", uid, &format!("user{uid}")]).success();
    }
    machine.write("/etc/subuid", "alice:300000:65536\n");
    machine.compile("stuck");
    let _ = machine.shell("mknod /dev/fuse c 10 229; mkdir /run/stuck").success();
    let held = machine.start(["stuck", "/run/stuck"]);
    wait::until_true("the file system", || machine.run(["ls", "-d", "/run/stuck/file"]).status.success());
    let in_slice = |owner: &str, uid: &str, line: &str| {
        let (slice, reuid) = (format!("--slice=user-{owner}.slice"), format!("--reuid={uid}"));
        let start =
            ["systemd-run", "--quiet", "--collect", &slice, "setpriv", &reuid, "--clear-groups", "sh", "-c", line];
        let _ = machine.run(start).success();
    };
    let alice = machine.run(["id", "-u", "alice"]).success();
    let alice = alice.trim();
    // Three of her container's uids, and a directory's account in its own slice.
    let hangs = "exec perl -e 'open F, q(/run/stuck/file); exec q(sleep), 4711'";
    for uid in ["300001", "300002", "300003"] {
        in_slice(alice, uid, hangs);
    }
    in_slice("300050", "300050", hangs);
    let hanging = || machine.run(["stat", "--format=%s", "/run/stuck/file"]).success();
    wait::until_true("programs that hang", || hanging().trim() == "4");
    let blamed = || {
        let _ = machine.run(["authflow", "sessions"]).success();
        let log = machine.log();
        let of = |uid: &str| {
            log.lines().filter(|line| line.contains(&format!("event=process-unreadable uid={uid} "))).count()
        };
        (of(alice), of("300050"))
    };
    wait::until_true("looks at all of them", || blamed() == (3, 1));
    held.kill();

    furnish(&machine);
    for uid in ["300001", "300002", "300003"] {
        in_slice(alice, uid, "exec caller --flood");
    }
    wait::until_true("the end of alice's budget", || is_refused(&call(&machine, "alice")));
    in_slice("300050", "300050", &format!("until {ASK}; do :; done; exec sleep 4712"));
    wait::until_true("another's call", || machine.count("sleep 4712") == 1);
}

fn furnish(machine: &Machine) {
    fs::copy(env!("CARGO_BIN_EXE_caller"), machine.path("/usr/local/bin/caller")).expect("it was built");
}

fn call(machine: &Machine, user: &str) -> Output {
    machine.run(as_user(user).into_iter().chain(ASK.split(' ')))
}

/// For its user's calls, or for the user's questions to polkit.
fn is_refused(called: &Output) -> bool {
    called.stderr.contains("too many")
}

fn as_user(user: &str) -> [&str; 4] {
    ["runuser", "-u", user, "--"]
}
