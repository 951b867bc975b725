//! Whatever happens to the daemon, every session that lives is found again, none twice, and every one that is over is in the history once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    os::unix::fs::FileExt as _,
};

use authflow_tests::{Machine, Program, wait};
use rustix::process::Signal;
use serde_json::Value;

const CONFIG: &str = "bus_timeout = \"1s\"\n[[rule]]\nname = \"su\"\nservice = [\"su\"]\nmethods = [[\"stack\"]]\n";
const SU: &str = "auth sufficient pam_rootok.so\naccount required pam_permit.so\nsession required pam_authflow.so\n";
const OPERATIONS: u32 = 500;
const STORE: &str = "/var/lib/authflow/sessions.db";
const PAGE: u64 = 4096;
const AFTER_THE_FIRST: Range<u64> = 1..u64::MAX / PAGE;
/// The page that the history begins on, after those of the schema and of the live sessions.
const HISTORY: Range<u64> = 2..3;

#[test]
fn a_daemon_killed_at_any_point_loses_no_session() {
    let Some(plan) = Machine::overlay() else { return };
    let mut town = Town::new(plan.user("alice").config(CONFIG).pam("su", SU).start());
    for _ in 0..OPERATIONS {
        town.act();
    }
    town.revive();
    // Somebody whose end was asked for just before the daemon died may still be on the way out.
    wait::until_true("the sessions of those who are in, and no other", || {
        let living = town.living();
        leaders(&town.machine).is_some_and(|leaders| leaders.iter().copied().eq(living))
    });
    let living = town.living();
    let history = town.machine.run(["authflow", "history", "--json"]).json();
    let mut ended = BTreeMap::<u64, Vec<&str>>::new();
    for row in history.as_array().expect("a list") {
        let reason = row["end_reason"].as_str().expect("a word");
        ended.entry(row["leader"].as_u64().expect("a pid")).or_default().push(reason);
    }
    let gone: BTreeSet<u64> = town.ever.difference(&living).copied().collect();
    assert_eq!(ended.keys().copied().collect::<BTreeSet<_>>(), gone, "seed {}", town.seed);
    for (leader, reasons) in &ended {
        let [reason] = reasons[..] else { panic!("{leader} ended {reasons:?}, seed {}", town.seed) };
        let expected: &[&str] =
            if town.revoked.contains(leader) { &["revoked"] } else { &["logout", "leader-exited", "revoked"] };
        assert!(expected.contains(&reason), "{leader} ended by {reason}, seed {}", town.seed);
    }
    assert!(town.kills > 20 && gone.len() > 50 && !town.revoked.is_empty(), "the dice were kind: seed {}", town.seed);
}

#[test]
fn a_broken_store_is_rebuilt_from_the_sessions_that_live() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(CONFIG).pam("su", SU).start();
    let inside = machine.start(["su", "alice", "-c", "exec sleep 1000"]);
    wait::until_true("the session", || leaders(&machine) == Some(vec![inside.pid().into()]));
    let before = machine.run(["authflow", "sessions", "--json"]).json();
    machine.kill_daemon();
    let _ =
        machine.shell("cd /var/lib/authflow && rm -f sessions.db-* && head -c 8192 /dev/zero > sessions.db").success();
    machine.start_daemon();
    machine.logged(&["event=store-set-aside"]);
    machine.logged(&["event=session-rebuilt"]);
    let after = machine.run(["authflow", "sessions", "--json"]).json();
    for key in ["id", "user", "opened_at", "lifetime_deadline", "rule"] {
        assert_eq!(before[0][key], after[0][key]);
    }
}

#[test]
fn damage_inside_the_store_costs_no_session_and_no_end() {
    for (pages, is_running) in [(AFTER_THE_FIRST, false), (HISTORY, false), (HISTORY, true)] {
        let Some(plan) = Machine::overlay() else { return };
        let machine = plan.user("alice").config(CONFIG).pam("su", SU).start();
        let inside: Vec<_> = (0..3).map(|_| machine.start(["su", "alice", "-c", "exec sleep 1000"])).collect();
        let pids: Vec<u64> = inside.iter().map(|su| su.pid().into()).collect();
        wait::until_true("the sessions", || leaders(&machine).as_ref() == Some(&pids));
        if !is_running {
            machine.kill_daemon();
        }
        spoil(&machine, pages);
        if !is_running {
            machine.start_daemon();
        }
        assert_eq!(leaders(&machine).as_ref(), Some(&pids));
        let revoked = id_of(&machine, pids[0]).expect("its id");
        let _ = machine.run(["authflow", "revoke", &revoked]).success();
        wait::until_true("its end", || leaders(&machine).as_deref() == Some(&pids[1..]));
        machine.logged(&["event=store-set-aside"]);
        for _ in 0..2 {
            let history = machine.run(["authflow", "history", "--json"]).success();
            let history: Value = serde_json::from_str(&history).expect("JSON");
            assert_eq!((history.as_array().map(Vec::len), &history[0]["end_reason"]), (Some(1), &"revoked".into()));
            machine.kill_daemon();
            machine.start_daemon();
            assert_eq!(leaders(&machine).as_deref(), Some(&pids[1..]));
        }
        let log = machine.log();
        let count = |event: &str| log.matches(&format!("event={event} ")).count();
        let counts = ["store-broken", "store-set-aside", "store-degraded", "closed"].map(count);
        assert_eq!(counts, [1, 1, 0, 1], "{log}");
    }
}

#[test]
fn damage_that_nobody_meets_is_found_by_the_daemon_that_starts() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.config(CONFIG).start();
    machine.kill_daemon();
    // Without a session nobody asks the history anything.
    spoil(&machine, HISTORY);
    machine.start_daemon();
    machine.logged(&["event=store-set-aside"]);
}

#[test]
fn a_reboot_closes_every_session_once() {
    let Some(plan) = Machine::overlay() else { return };
    let machine = plan.user("alice").config(CONFIG).pam("su", SU).start();
    let inside = machine.start(["su", "alice", "-c", "exec sleep 1000"]);
    wait::until_true("the session", || leaders(&machine) == Some(vec![inside.pid().into()]));
    machine.kill_daemon();
    inside.kill();
    // What a reboot leaves: another boot id, and nothing in /run.
    let reboot = "rm -rf /run/authflow && cat /proc/sys/kernel/random/uuid > /run/boot_id \
                  && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id";
    let _ = machine.shell(reboot).success();
    for _ in 0..2 {
        machine.start_daemon();
        assert_eq!(leaders(&machine), Some(Vec::new()));
        let history = machine.run(["authflow", "history", "--json"]).json();
        assert_eq!((history.as_array().map(Vec::len), &history[0]["end_reason"]), (Some(1), &"reboot".into()));
        machine.kill_daemon();
    }
}

/// Spoils these pages of the store's file, or those of them that there are.
fn spoil(machine: &Machine, pages: Range<u64>) {
    let sqlite = |pragma| machine.run(["sqlite3", STORE, pragma]).success();
    let _ = sqlite("PRAGMA wal_checkpoint(TRUNCATE)");
    let file = File::options().write(true).open(machine.path(STORE)).expect("the store");
    let end = file.metadata().expect("its size").len().min(PAGE * pages.end);
    for page in pages.start..end / PAGE {
        file.write_all_at(&[0xA5; 4096], PAGE * page).expect("a page");
    }
    // Who finds that somebody else has written reads its pages anew.
    let _ = sqlite("PRAGMA user_version = 3");
}

/// People who come and go, a daemon that dies, and dice.
struct Town {
    machine: Machine,
    dice: u64,
    seed: u64,
    inside: Vec<Inside>,
    /// The leaders of all sessions that there ever were.
    ever: BTreeSet<u64>,
    /// Those of them whose end somebody was told of.
    revoked: BTreeSet<u64>,
    kills: u32,
}

/// Somebody who is in.
struct Inside {
    leader: u64,
    su: Program,
}

impl Town {
    fn new(machine: Machine) -> Self {
        let seed = RandomState::new().hash_one(0);
        let (inside, ever, revoked) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        Self { machine, dice: seed, seed, inside, ever, revoked, kills: 0 }
    }

    /// A number below `sides` (an LCG by Knuth, whose low bits are poor).
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn act(&mut self) {
        let is_fatal = self.roll(12) == 0;
        if is_fatal {
            // Somewhere in what comes next, which takes some milliseconds.
            let (pid, after) = (self.machine.daemon_pid(), self.roll(20));
            let kill = format!("sleep 0.{after:03}; kill -KILL {pid}");
            drop(self.machine.run(["sh", "-c", &format!("({kill}) >/dev/null 2>&1 &")]).success());
            self.kills += 1;
        }
        match self.roll(10) {
            _ if self.inside.len() < 3 => self.come(),
            0..=3 if self.inside.len() < 40 => self.come(),
            0..=5 => self.leave(),
            6 => self.vanish(),
            7 => self.revoke(),
            _ => self.extend(),
        }
        if is_fatal {
            self.revive();
        }
    }

    fn come(&mut self) {
        let su = self.machine.start(["su", "alice", "-c", "exec sleep 1000"]);
        let leader = su.pid().into();
        self.ever.insert(leader);
        self.inside.push(Inside { leader, su });
    }

    fn one(&mut self) -> Inside {
        let count = u64::try_from(self.inside.len()).expect("a few");
        let place = usize::try_from(self.roll(count)).expect("a few");
        self.inside.swap_remove(place)
    }

    fn leave(&mut self) {
        let Inside { leader, mut su } = self.one();
        self.let_in(leader);
        drop(self.machine.run(["pkill", "-TERM", "-P", &leader.to_string()]));
        su.end();
    }

    /// Its leader and all that it ran are killed at once.
    fn vanish(&mut self) {
        let Inside { leader, mut su } = self.one();
        self.let_in(leader);
        drop(self.machine.shell(&format!("kill -KILL {leader} $(pgrep -P {leader})")).success());
        su.end();
    }

    fn revoke(&mut self) {
        let mut one = self.one();
        self.let_in(one.leader);
        let Some(id) = id_of(&self.machine, one.leader) else { return self.inside.push(one) };
        let told = self.machine.run(["authflow", "revoke", &id]).status.success();
        // A daemon that dies now goes on with the end when it is back.
        self.revive();
        if told {
            self.revoked.insert(one.leader);
            one.su.end();
        } else {
            self.inside.push(one);
        }
    }

    fn extend(&mut self) {
        let one = self.one();
        if let Some(id) = id_of(&self.machine, one.leader) {
            drop(self.machine.run(["authflow", "extend", &id]));
        }
        self.inside.push(one);
    }

    /// Waits until somebody's command runs, and the session is open or never will be.
    fn let_in(&self, leader: u64) {
        let child = ["pgrep", "-x", "sleep", "-P", &leader.to_string()];
        wait::until_true("the command", || self.machine.run(child).status.success());
    }

    fn revive(&self) {
        self.machine.signal_daemon(Signal::KILL);
        self.machine.start_daemon();
    }

    /// The leaders of the sessions that should live.
    fn living(&mut self) -> BTreeSet<u64> {
        self.inside.iter_mut().filter_map(|one| one.su.is_running().then_some(one.leader)).collect()
    }
}

/// The leaders of the live sessions, in order. `None` while the daemon does not answer.
fn leaders(machine: &Machine) -> Option<Vec<u64>> {
    let output = machine.run(["authflow", "sessions", "--json"]);
    let sessions: Value = output.status.success().then(|| output.json())?;
    let mut leaders: Vec<u64> = sessions.as_array()?.iter().filter_map(|session| session["leader"].as_u64()).collect();
    leaders.sort_unstable();
    Some(leaders)
}

fn id_of(machine: &Machine, leader: u64) -> Option<String> {
    let output = machine.run(["authflow", "sessions", "--json"]);
    let sessions = output.status.success().then(|| output.json())?;
    let one = sessions.as_array()?.iter().find(|session| session["leader"] == leader)?;
    one["id"].as_str().map(str::to_owned)
}
