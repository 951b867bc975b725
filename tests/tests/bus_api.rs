//! The D-Bus interface as clients in other languages see it: GLib's gdbus, and a socket that speaks just enough of the protocol to be a
//! nuisance.

use authflow_tests::{Machine, Output, Plan, Program, wait};

const CONFIG: &str = "[session]\nwhen_unavailable = \"deny\"\n\
    [[rule]]\nname = \"su\"\nservice = [\"su\", \"door\"]\nmethods = [[\"stack\"]]\n";
const SU: &str = "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";

const DOOR: &str = "session required pam_authflow.so\n";

const NAME: &str = "org.authflow.sessiond1";
const PATH: &str = "/org/authflow/sessiond1";
const SESSION: &str = "org.authflow.sessiond1.Session";
const MANAGER: &str = "org.authflow.sessiond1.Manager";

#[test]
fn the_interfaces_that_are_shipped_are_those_of_the_running_service() {
    let Some(machine) = machine() else { return };
    let (_su, id) = in_a_session(&machine, "alice");
    for (path, shipped) in [
        (PATH.to_owned(), include_str!("../../conf/dbus/interfaces/org.authflow.sessiond1.Manager.xml")),
        (PATH.to_owned(), include_str!("../../conf/dbus/interfaces/org.authflow.sessiond1.Flow.xml")),
        (object(&id), include_str!("../../conf/dbus/interfaces/org.authflow.sessiond1.Session.xml")),
    ] {
        let running = gdbus(&machine, "root", &["introspect", "--object-path", &path, "--xml"]).success();
        let found = interface(&running, shipped.split('"').nth(1).expect("an interface has a name"));
        assert!(found == shipped, "this is what runs:\n{found}");
    }
}

#[test]
fn everybody_sees_their_own_session_and_nobody_anothers() {
    let Some(machine) = machine() else { return };
    let (_alice, alices) = in_a_session(&machine, "alice");
    let (_bob, bobs) = in_a_session(&machine, "bob");
    let all =
        |user: &str, id: &str| call(&machine, user, &object(id), "org.freedesktop.DBus.Properties.GetAll", &[SESSION]);
    let own = all("alice", &alices).success();
    assert!(own.contains("'User': <'alice'>") && own.contains("'TargetUid': <uint32 100"), "{own}");
    assert!(all("root", &bobs).success().contains("'User': <'bob'>"));
    let one = |id: &str| {
        call(&machine, "alice", &object(id), "org.freedesktop.DBus.Properties.Get", &[SESSION, "RemoteHost"])
    };
    let ask = |member: &str, words: &[&str]| call(&machine, "alice", PATH, &format!("{MANAGER}.{member}"), words);
    let nobodys = "0".repeat(32);
    let as_none = |id: &str| all("alice", id).failure(1).contains("org.freedesktop.DBus.Error.UnknownObject");
    assert!(as_none(&bobs) && as_none(&nobodys));
    for refused in [
        one(&bobs),
        call(&machine, "alice", &object(&bobs), &format!("{SESSION}.Extend"), &[]),
        call(&machine, "alice", &object(&bobs), &format!("{SESSION}.Revoke"), &["mine now"]),
        ask("GetSession", &[&bobs]),
        ask("Extend", &[&bobs]),
        ask("Revoke", &[&bobs, "mine now"]),
        ask("CloseSession", &[&bobs]),
    ] {
        let command = refused.command.clone();
        let why = refused.failure(1);
        assert!(why.contains("org.authflow.sessiond1.Error.NoSuchSession"), "{command}: {why}");
    }
    assert!(one(&alices).status.success());
    let listed = ask("ListSessions", &[]).success();
    assert!(listed.contains(&alices) && !listed.contains(&bobs), "{listed}");
    assert!(ask("RevokeUser", &["uint32 0", "@as []", ""]).failure(1).contains("Error.NotAuthorized"));
    assert!(ask("GetSession", &["self"]).failure(1).contains("Error.NoSuchSession"), "who is in none");
    assert!(ask("OpenSession", &["{'User': <'alice'>}"]).failure(1).contains("Error.NotAuthorized"));
}

#[test]
fn a_process_is_named_by_a_descriptor_of_it_and_by_no_other() {
    let Some(machine) = machine() else { return };
    machine.write("/run/bus.py", BUS);
    machine.write("/run/pidfd.py", PIDFD);
    let (alice, alices) = in_a_session(&machine, "alice");
    let (bob, bobs) = in_a_session(&machine, "bob");
    let ask = |user: &str, what: &str| machine.run(["runuser", "-u", user, "--", "python3", "/run/pidfd.py", what]);
    let (alices_pid, bobs_pid) = (alice.pid().to_string(), bob.pid().to_string());
    let told = |user: &str, what: &str| ask(user, what).success();
    assert_eq!(told("alice", &alices_pid).trim(), object(&alices));
    assert_eq!(told("root", &bobs_pid).trim(), object(&bobs));
    for (user, pid) in [("alice", bobs_pid.as_str()), ("alice", "1"), ("root", "1")] {
        assert_eq!(told(user, pid), "org.authflow.sessiond1.Error.NoSuchSession\n", "{user} {pid}");
    }
    let _ = machine.run(["mkfifo", "--mode", "0666", "/tmp/fifo"]).success();
    for wrong in ["/tmp/fifo", "/dev/null", "/proc/self/stat", "one that ended"] {
        assert_eq!(told("alice", wrong), "org.authflow.sessiond1.Error.InvalidArgument\n", "{wrong}");
    }
}

#[test]
fn a_session_has_the_id_that_its_login_program_chose() {
    let Some(machine) = machine() else { return };
    let id = "0123456789abcdef".repeat(2);
    let facts = format!("{{'User': <'alice'>, 'Uid': <uint32 1001>, 'Service': <'door'>, 'Id': <'{id}'>}}");
    let open = |facts: &str| call(&machine, "root", PATH, &format!("{MANAGER}.OpenSession"), &[facts]);
    assert!(open(&facts).success().contains(&format!("('{id}', objectpath '{}')", object(&id))));
    assert!(open(&facts.replace(&id, "mine")).failure(1).contains("Error.InvalidArgument"));
}

#[test]
fn signals_carry_the_id_and_nothing_else() {
    let Some(machine) = machine() else { return };
    let script = "gdbus monitor --system --dest org.authflow.sessiond1 > /run/heard";
    let _monitor = machine.start(["sh", "-c", script]);
    wait::until_true("the monitor", || machine.read("/run/heard").contains("is owned by"));
    let (su, id) = in_a_session(&machine, "alice");
    let ended = call(&machine, "root", PATH, &format!("{MANAGER}.Revoke"), &[&id, "over"]);
    assert_eq!(ended.success().trim(), "()");
    let signal = |member: &str| format!("{PATH}: {MANAGER}.{member} ('{id}',)");
    wait::until_true("the signals", || machine.read("/run/heard").contains(&signal("SessionClosed")));
    drop(su);
    let heard = machine.read("/run/heard");
    let heard: Vec<&str> = heard.lines().filter(|line| line.contains(PATH)).collect();
    assert_eq!(heard, [signal("SessionOpened"), signal("SessionEnding"), signal("SessionClosed")]);
}

/// Calls that nobody reads the answers of, match rules by the hundred, and signals to the daemon alone that look like logind's.
#[test]
fn a_client_that_never_reads_holds_nobody_up() {
    let Some(machine) = machine() else { return };
    let mut deaf = ["calls", "calls", "signals", "signals"].map(|what| nuisance(&machine, what));
    let (_bob, bobs) = in_a_session(&machine, "bob");
    assert!(call(&machine, "bob", PATH, &format!("{MANAGER}.ListSessions"), &[]).success().contains(&bobs));
    let _ = call(&machine, "root", PATH, &format!("{MANAGER}.Revoke"), &[&bobs, ""]).success();
    wait::until_true("the end", || machine.run(["authflow", "sessions", "--json"]).json() == serde_json::json!([]));
    assert!(deaf.iter_mut().all(Program::is_running), "until now");
}

/// What there is to introspect is as long as all sessions together: two that ask for it without end would fill the daemon's way out.
#[test]
fn only_root_introspects_and_who_tries_for_ever_holds_up_no_login() {
    let Some(machine) = machine() else { return };
    machine.compile("crowd");
    let _crowd = machine.start(["crowd", "door", "bob", "50"]);
    wait::until_true("the crowd", || machine.sessions().len() == 50);
    let mut deaf = ["introspects", "introspects"].map(|what| nuisance(&machine, what));
    for path in ["/", PATH] {
        let refused = gdbus(&machine, "alice", &["introspect", "--object-path", path]).failure(1);
        assert!(refused.contains("org.freedesktop.DBus.Error.AccessDenied"), "{refused}");
        let _ = gdbus(&machine, "root", &["introspect", "--object-path", path]).success();
    }
    for _ in 0..5 {
        assert_eq!(machine.run(["su", "bob", "-c", "echo in"]).success(), "in\n");
    }
    wait::until_true("their ends", || machine.sessions().len() == 50);
    assert!(deaf.iter_mut().all(Program::is_running), "until now");
}

#[test]
fn the_bus_takes_no_more_match_rules_from_a_client_than_its_own_limit() {
    let Some(machine) = machine() else { return };
    machine.write("/run/bus.py", BUS);
    machine.write("/run/rules.py", RULES);
    let told = machine.run(["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "python3", "/run/rules.py"]);
    assert_eq!(told.success(), "488 of 1000 refused\n");
}

/// polkit may ask a person, who takes his time; nobody's questions fill up what the bus lets the daemon wait for.
#[test]
fn of_one_users_questions_to_polkit_two_wait_and_the_next_is_refused() {
    let Some(plan) = plan() else { return };
    let machine = plan.file("/etc/dbus-1/system.d/silent.conf", SILENT_MAY).start();
    let (_bob, bobs) = in_a_session(&machine, "bob");
    let (_own, alices) = in_a_session(&machine, "alice");
    machine.write("/run/bus.py", BUS);
    machine.write("/run/silent.py", SILENT);
    let _polkit = machine.start(["python3", "/run/silent.py"]);
    let polkit = ["--object-path", "/", "--method", "org.freedesktop.DBus.NameHasOwner", "org.freedesktop.PolicyKit1"];
    let has_owner =
        || machine.run(["gdbus", "call", "--system", "--dest", "org.freedesktop.DBus"].into_iter().chain(polkit));
    wait::until_true("what stands in for polkit", || has_owner().stdout.contains("true"));
    let revoke = format!(
        "gdbus call --timeout 60 --system --dest {NAME} --object-path {PATH} --method {MANAGER}.Revoke {bobs} ''"
    );
    let thrice = format!("for n in 1 2 3; do {revoke} >/tmp/answer$n 2>&1 & done; wait");
    let as_alice = ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "sh", "-c"];
    let _alice = machine.start(as_alice.into_iter().chain([thrice.as_str()]));
    let waiting = || machine.count("gdbus call");
    let answers = || (1..=3).map(|n| machine.read(&format!("/tmp/answer{n}"))).collect::<String>();
    wait::until_true("an answer", || answers().contains("\n") && waiting() < 3);
    assert_eq!((waiting(), answers().matches("Error.RateLimited").count()), (2, 1), "{}", answers());
    // What is one's own needs no question.
    let listed = call(&machine, "alice", PATH, &format!("{MANAGER}.ListSessions"), &[]).success();
    assert!(listed.contains(&alices) && !listed.contains(&bobs), "{listed}");
    assert_eq!(
        call(&machine, "alice", PATH, &format!("{MANAGER}.ListLeftovers"), &[]).success().trim(),
        "(@aa{sv} [],)"
    );
    assert_eq!(call(&machine, "root", PATH, &format!("{MANAGER}.Revoke"), &[&bobs, ""]).success().trim(), "()");
}

const SILENT_MAY: &str =
    "<busconfig><policy user='root'><allow own='org.freedesktop.PolicyKit1'/></policy></busconfig>";

/// Takes polkit's name and answers nothing.
const SILENT: &str = r#"
from bus import *
bus = connect()
bus.sendall(message(2, *DBUS, "RequestName", "org.freedesktop.DBus", text("org.freedesktop.PolicyKit1") + b"\0" + struct.pack("<I", 4), "su"))
while bus.recv(4096): pass
"#;

/// Adds match rules, and tells of how many the bus said that they are too many. The last call has an answer that no other has.
const RULES: &str = r#"
from bus import *
bus = connect()
for n in range(1000):
    bus.sendall(message(2 + n, *DBUS, "AddMatch", "org.freedesktop.DBus", text(f"type='signal',arg0='{n}'")))
bus.sendall(message(5000, *DBUS, "GetNameOwner", "org.freedesktop.DBus", text("org.authflow.nobody")))
told = until(bus, rb"org.authflow.nobody")
print(told.count(b"org.freedesktop.DBus.Error.LimitsExceeded"), "of 1000 refused")
"#;

/// Asks for the session of a process that a descriptor stands for, or hands over a descriptor of something else; tells the object or the error.
const PIDFD: &str = r#"
from bus import *
import subprocess
what = sys.argv[1]
if what.isdigit():
    descriptor = os.pidfd_open(int(what))
elif what == "one that ended":
    child = subprocess.Popen(["true"])
    descriptor = os.pidfd_open(child.pid)
    child.wait()
else:
    descriptor = os.open(what, os.O_RDONLY | os.O_NONBLOCK)
bus = connect()
service = ("/org/authflow/sessiond1", "org.authflow.sessiond1.Manager", "GetSessionByPIDFD", "org.authflow.sessiond1")
socket.send_fds(bus, [message(2, *service, struct.pack("<I", 0), "h", descriptors=1)], [descriptor])
answer = rb"(/org/authflow/sessiond1/session/\w+|[\w.]+\.Error\.\w+)\0"
print(re.search(answer, until(bus, answer))[1].decode())
"#;

/// Says hello, asks for every signal a few hundred times over, then calls or signals for ever and reads nothing. Tells when it has begun.
const DEAF: &str = r#"
from bus import *
bus = connect()
for n in range(400):
    bus.sendall(message(2 + n, *DBUS, "AddMatch", "org.freedesktop.DBus", text(f"type='signal',arg0='{n}'")))
calls = ("/org/authflow/sessiond1", "org.authflow.sessiond1.Manager", "ListSessions", "org.authflow.sessiond1")
logind = ("/org/freedesktop/login1/session/_31", "org.freedesktop.DBus.Properties", "PropertiesChanged", "org.authflow.sessiond1")
what_is_there = ("/", "org.freedesktop.DBus.Introspectable", "Introspect", "org.authflow.sessiond1")
n = 1000
while True:
    if sys.argv[1] == "signals":
        bus.sendall(message(n, *logind, text("x"), sort=4))
    else:
        bus.sendall(message(n, *(calls if sys.argv[1] == "calls" else what_is_there)))
    n += 1
    if n == 1200: open(f"/tmp/deaf-{os.getpid()}", "w").close()
"#;

/// Just enough of the protocol.
const BUS: &str = r#"
import os, re, socket, struct, sys

DBUS = ("/org/freedesktop/DBus", "org.freedesktop.DBus")

def text(s): return struct.pack("<I", len(s)) + s.encode() + b"\0"

def message(serial, path, interface, member, destination, body=None, signature="s", sort=1, descriptors=0):
    def field(code, kind, value):
        return struct.pack("<B", code) + b"\x01" + kind.encode() + b"\0" + value
    fields = b""
    for code, kind, value in ((1, "o", path), (2, "s", interface), (3, "s", member), (6, "s", destination)):
        fields += b"\0" * (-len(fields) % 8) + field(code, kind, text(value))
    payload = b""
    if body is not None:
        fields += b"\0" * (-len(fields) % 8) + field(8, "g", bytes([len(signature)]) + signature.encode() + b"\0")
        payload = body
    if descriptors:
        fields += b"\0" * (-len(fields) % 8) + field(9, "u", struct.pack("<I", descriptors))
    head = struct.pack("<cBBBIII", b"l", sort, 0, 1, len(payload), serial, len(fields)) + fields
    return head + b"\0" * (-len(head) % 8) + payload

def connect():
    bus = socket.socket(socket.AF_UNIX)
    bus.connect("/run/dbus/system_bus_socket")
    bus.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    bus.recv(4096)
    bus.sendall(b"NEGOTIATE_UNIX_FD\r\n")
    bus.recv(4096)
    bus.sendall(b"BEGIN\r\n" + message(1, *DBUS, "Hello", "org.freedesktop.DBus"))
    # Before that the bus takes no descriptors.
    until(bus, rb"NameAcquired")
    return bus

def until(bus, what):
    told = b""
    while not re.search(what, told):
        more = bus.recv(65536)
        assert more, told
        told += more
    return told
"#;

fn machine() -> Option<Machine> {
    Some(plan()?.start())
}

fn plan() -> Option<Plan> {
    Some(Machine::overlay()?.user("alice").user("bob").config(CONFIG).pam("su", SU).pam("door", DOOR))
}

/// alice's client that floods the bus with that and reads nothing, from when it has begun.
fn nuisance(machine: &Machine, what: &str) -> Program {
    machine.write("/run/bus.py", BUS);
    machine.write("/run/deaf.py", DEAF);
    let alice = ["setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "python3", "/run/deaf.py", what];
    let nuisance = machine.start(alice);
    let begun = machine.path(&format!("/tmp/deaf-{}", nuisance.pid()));
    wait::until_true("the nuisance", || begun.exists());
    nuisance
}

/// Somebody in a session, and its id.
fn in_a_session(machine: &Machine, user: &str) -> (Program, String) {
    let su = machine.start(["su", user, "-c", "exec sleep 1000"]);
    let id = wait::until("the session", || {
        let sessions = machine.run(["authflow", "sessions", "--user", user, "--json"]).json();
        sessions[0]["id"].as_str().map(str::to_owned)
    });
    (su, id)
}

fn object(id: &str) -> String {
    format!("{PATH}/session/{id}")
}

fn call(machine: &Machine, user: &str, path: &str, method: &str, words: &[&str]) -> Output {
    gdbus(machine, user, &[&["call", "--object-path", path, "--method", method], words].concat())
}

fn gdbus(machine: &Machine, user: &str, words: &[&str]) -> Output {
    let (verb, rest) = words.split_first().expect("a verb");
    let argv = ["runuser", "-u", user, "--", "gdbus", verb, "--system", "--dest", NAME];
    machine.run(argv.into_iter().chain(rest.iter().copied()))
}

/// The file that describes the interface of that name.
fn interface(xml: &str, name: &str) -> String {
    let begins = format!("  <interface name=\"{name}\">");
    let lines = xml.lines().skip_while(|line| *line != begins).take_while(|line| *line != "  </interface>");
    let lines: String = lines.flat_map(|line| [line.strip_prefix("  ").unwrap_or(line), "\n"]).collect();
    lines + "</interface>\n"
}
