//! The door of root's login programs to the daemon: no bus that users fill, or that hangs, keeps anybody out or lets anybody in unwatched.

use authflow_tests::{Machine, wait};
use rustix::process::Signal;

/// Without the daemon nobody gets in.
const CONFIG: &str = "[session]\nwhen_unavailable = \"deny\"\n\
                      [[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n";
const DOOR: &str = "/run/authflow/door";

#[test]
fn users_who_fill_the_bus_keep_nobody_out() {
    let Some(machine) = machine() else { return };
    machine.write("/run/flood.py", include_str!("../beds/flood.py"));
    let as_alice = ["setpriv", "--reuid=alice", "--regid=alice", "--init-groups"];
    let mut flood = machine.start(as_alice.into_iter().chain(["python3", "/run/flood.py", "32"]));
    let is_filled =
        || !machine.run(["busctl", "--system", "--timeout=1s", "call", NAME, PATH, PEER, "Ping"]).status.success();
    wait::until_true("a bus that is full", is_filled);
    for _ in 0..3 {
        gets_in(&machine);
    }
    assert!(flood.is_running());
    let _ = machine.run(["pkill", "-KILL", "-u", "alice"]);
    assert_eq!(machine.log().matches("event=opened").count(), 3, "{}", machine.log());
    assert!(!machine.log().contains("event=daemon-away"), "{}", machine.log());
}

#[test]
fn a_login_and_its_end_need_no_bus_while_the_daemon_lives() {
    let Some(machine) = machine() else { return };
    machine.signal_bus(Signal::STOP);
    gets_in(&machine);
    machine.logged(&["event=closed", "reason=logout"]);
    machine.signal_bus(Signal::CONT);
    wait::until_true("no session", || machine.sessions().is_empty());
}

/// Who is root needs no groups here, so nobody is asked for them.
#[test]
fn a_directory_that_hangs_holds_up_no_login_at_the_door() {
    let Some(machine) = machine() else { return };
    machine.add_name_service("hung");
    machine.write("/etc/nsswitch.conf", "passwd: files\ngroup: files hung\nshadow: files\n");
    machine.signal_bus(Signal::STOP);
    gets_in(&machine);
    machine.signal_bus(Signal::CONT);
}

#[test]
fn the_door_is_roots_alone() {
    let Some(machine) = machine() else { return };
    let knock = format!(
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('{DOOR}'); s.settimeout(10)\n\
         s.sendall(b'\\0AUTH EXTERNAL 30\\r\\n'); print(s.recv(99))"
    );
    let knock_as = |user: &str| machine.run(["setpriv", "--reuid", user, "--clear-groups", "python3", "-c", &knock]);
    assert!(knock_as("root").success().starts_with("b'OK "));
    assert!(knock_as("alice").stderr.contains("PermissionError"));
    // Whatever becomes of its mode, and whoever he says that he is.
    let _ = machine.run(["chmod", "0666", DOOR]).success();
    let turned_away = knock_as("alice");
    assert!(!turned_away.stdout.contains("OK"), "{turned_away:?}");
    assert!(turned_away.stdout == "b''\n" || turned_away.stderr.contains("Error"), "{turned_away:?}");
}

/// A user may stop each su of theirs at the door, and run as many as they like.
#[test]
fn one_user_fills_no_more_than_a_part_of_the_door() {
    let Some(machine) = machine() else { return };
    machine.compile("door");
    let as_whom = |uid: &str, command: &str| format!("echo {uid} > /proc/self/loginuid && {command}");
    let go_in = |uid: &str| machine.shell(&as_whom(uid, "exec door 1")).success();
    let many = as_whom("1000", "exec door 70 600 > /run/inside");
    let alices = machine.start(["sh", "-c", &many]);
    wait::until_true("all who come in", || machine.run(["cat", "/run/inside"]).stdout == "64\n");
    assert_eq!(["1000", "1001", "0"].map(go_in), ["0\n", "1\n", "1\n"]);
    // Whoever finds no room takes the bus, and others need none.
    let _ = machine.shell(&as_whom("1000", "exec su bob -c true")).success();
    machine.signal_bus(Signal::STOP);
    gets_in(&machine);
    machine.signal_bus(Signal::CONT);
    alices.kill();
    wait::until_true("room for alice's next", || go_in("1000") == "1\n");
}

/// Whoever has no login uid, as a service, may take any; the real uid that a set-uid program keeps is the caller's.
#[test]
fn nobody_fills_the_place_of_another_by_a_login_uid_of_their_choice() {
    let Some(machine) = machine() else { return };
    machine.compile("door");
    let _ = machine.run(["chmod", "4755", "/usr/bin/door"]).success();
    let as_bob = "echo 1000 > /proc/self/loginuid && exec setpriv --reuid=bob --regid=bob --init-groups";
    let bobs = machine.start(["sh", "-c", &format!("{as_bob} sh -c 'exec door 70 600' > /run/inside")]);
    wait::until_true("all who come in", || machine.run(["cat", "/run/inside"]).stdout == "64\n");
    assert_eq!(machine.shell("echo 1000 > /proc/self/loginuid && exec door 1").success(), "1\n");
    bobs.kill();
}

/// Where systemd orders the tree a user's slice tells, whatever the login uid says.
#[test]
fn one_user_fills_no_more_than_a_part_of_the_door_where_systemd_runs() {
    let Some(plan) = Machine::booted() else { return };
    let machine = plan.user("alice").config(CONFIG).start();
    machine.compile("door");
    let go_in = |slice: &str| {
        let argv = ["systemd-run", "--quiet", "--pipe", "--wait", "--slice", slice, "door", "1"];
        machine.run(argv).success()
    };
    let many = [
        "systemd-run",
        "--quiet",
        "--unit=many",
        "--slice=user-1000.slice",
        "--property=StandardOutput=file:/run/inside",
    ];
    let _ = machine.run(many.into_iter().chain(["door", "70", "600"])).success();
    wait::until_true("all who come in", || machine.run(["cat", "/run/inside"]).stdout == "64\n");
    assert_eq!(["user-1000.slice", "user-1001.slice", "system.slice"].map(go_in), ["0\n", "1\n", "1\n"]);
    let _ = machine.run(["systemctl", "stop", "many"]).success();
    wait::until_true("room for alice's next", || go_in("user-1000.slice") == "1\n");
}

/// Without an end, or of a length that it will never have: either would be kept, and looked through again with each piece.
#[test]
fn who_says_too_much_is_shown_out_and_holds_nobody_up() {
    let Some(machine) = machine() else { return };
    let says = |greeting: &str, piece: &str| {
        let lines = format!(
            "import socket; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('{DOOR}')\n\
             try:\n  {greeting}\n  for _ in range(4096): s.sendall({piece})\n  print(s.recv(99))\n\
             except ConnectionError: print('shown out')"
        );
        machine.start(["sh", "-c", "exec python3 -c \"$1\" >> /run/said 2>&1", "sh", &lines])
    };
    let _endless = says("s.sendall(b'\\0')", "b'A' * 65536");
    gets_in(&machine);
    let introduced = "s.sendall(b'\\0AUTH EXTERNAL 30\\r\\n'); s.recv(99)";
    let _long = says(introduced, "b'BEGIN\\r\\nl\\1\\0\\1\\0\\0\\0\\7\\1\\0\\0\\0\\0\\0\\0\\0'");
    gets_in(&machine);
    wait::until_true("the end of both", || machine.read("/run/said").lines().count() == 2);
    assert_eq!(machine.read("/run/said"), "shown out\n".repeat(2));
    assert_eq!(machine.log().matches("event=opened").count(), 2, "{}", machine.log());
}

/// Its pid is another's by then, who has asked for nothing.
#[test]
fn a_session_that_somebody_asked_for_who_is_gone_is_nobody_elses() {
    let Some(machine) = machine() else { return };
    machine.write("/run/reused_pid.py", include_str!("../beds/reused_pid.py"));
    let _other = machine.start(["sh", "-c", "python3 /run/reused_pid.py > /run/answered"]);
    wait::until_true("an answer", || machine.read("/run/answered").ends_with('\n'));
    assert_eq!(machine.read("/run/answered"), "3\n", "{}", machine.log());
    assert_eq!(machine.count("sleep 4711"), 1);
    assert!(!machine.log().contains("event=opened"), "{}", machine.log());
}

#[test]
fn where_the_door_is_shut_login_programs_take_the_bus() {
    let Some(machine) = machine() else { return };
    let _ = machine.run(["rm", DOOR]).success();
    gets_in(&machine);
    machine.kill_daemon();
    // One that nobody stands behind, as a killed daemon leaves it.
    let left = "import socket; socket.socket(socket.AF_UNIX).bind('/run/authflow/door')";
    let _ = machine.run(["python3", "-c", left]).success();
    machine.start_daemon();
    gets_in(&machine);
    assert_eq!(machine.log().matches("event=opened").count(), 2, "{}", machine.log());
}

const NAME: &str = "org.freedesktop.DBus";
const PATH: &str = "/org/freedesktop/DBus";
const PEER: &str = "org.freedesktop.DBus.Peer";

fn machine() -> Option<Machine> {
    let plan = Machine::overlay()?.user("alice").user("bob").config(CONFIG);
    Some(
        plan.pam(
            "su",
            "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_authflow.so\n",
        )
        .start(),
    )
}

/// Root becomes bob for a moment.
#[track_caller]
fn gets_in(machine: &Machine) {
    let _ = machine.run(["su", "bob", "-c", "true"]).success();
}
