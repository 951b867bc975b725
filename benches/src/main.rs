//! `authflow-bench`: measures inside a bed that `benches/run.sh` lays out. Each measurement prints its figure beside its goal; nothing
//! here fails because something was slow.

mod bus;
mod figures;
mod hash_clock;
mod pam;

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::exit,
    time::{Duration, Instant},
};

use figures::{Process, median, show};
use hash_clock::HashClock;
use pam::{Phase, Transaction};

const PASSWORD: &str = "a long enough password";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["login"] => login(),
        ["session"] => session(),
        ["footprint"] => footprint(),
        ["crowd", pid] => crowd(pid.parse().expect("the daemon's pid")),
        ["size", module] => size(Path::new(module)),
        _ => {
            eprintln!("usage: authflow-bench login | session | footprint | crowd DAEMON-PID | size MODULE");
            exit(2);
        }
    }
}

/// The module's own work in a login, beside the one Argon2id verification in it. Both are told by the very same login: another copy of the hash
/// would be some percent faster or slower by its place alone, which is as much as is measured here.
fn login() {
    let clock = HashClock::preloaded();
    let (mut logins, mut hashes, mut bare, mut syncs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut owns = Vec::new();
    let page = File::create("/var/lib/authflow/bench").expect("a file beside the records");
    page.write_all_at(&[0; 4096], 0).and_then(|()| page.sync_all()).expect("a page of it");
    for _ in 0..300 {
        let [(login, hash), (without_us, _)] = ["bench-login", "bench-permit"].map(|service| {
            let transaction = Transaction::start(service, "alice", PASSWORD);
            let took = timed(|| {
                transaction.run(Phase::Authenticate);
                transaction.run(Phase::Account);
            });
            (millis(took), millis(clock.took()))
        });
        owns.push(login - hash - without_us);
        logins.push(login);
        hashes.push(hash);
        bare.push(without_us);
        syncs.push(millis(timed(|| {
            page.write_all_at(&[1; 4096], 0).and_then(|()| page.sync_data()).expect("a page of it");
        })));
    }
    let (login, hash, own) = (median(&mut logins), median(&mut hashes), median(&mut owns));
    let (bare, sync) = (median(&mut bare), median(&mut syncs));
    let in_millis = |figure: f64| format!("{figure:.2} ms");
    let share = |work: f64| format!("{:.1} %", work / hash * 100.0);
    show("auth + account, median", in_millis(login), "");
    show("the one Argon2id verification in it, median", in_millis(hash), "");
    show("the same of pam_permit.so: libpam's own work", in_millis(bare), "");
    show("one page written and synced: the disk's own time", in_millis(sync), "");
    show("the module's own work, median", in_millis(own), "");
    show("the same, of a verification", share(own), "under 5 %");
    show("the same less the disk's time", share(own - sync), "");
}

/// Opening a session as the module sees it (connect, call, persist, reply, close) at the daemon's door, and over the bus, beside a bare round
/// trip on that bus.
fn session() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut doors, mut buses, mut pings, mut phases) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..200 {
        for (address, opens) in [(bus::DOOR, &mut doors), (bus::BUS, &mut buses)] {
            let mut id = String::new();
            opens.push(timed(|| id = runtime.block_on(bus::open(address))));
            runtime.block_on(bus::close(&id));
        }
        pings.push(timed(|| runtime.block_on(bus::ping())));
        let transaction = Transaction::start("bench-session", "alice", PASSWORD);
        phases.push(timed(|| transaction.run(Phase::Open)));
        transaction.run(Phase::Close);
    }
    let (door, bus) = (median(&mut doors), median(&mut buses));
    let (ping, phase) = (median(&mut pings), median(&mut phases));
    let micros = |figure: Duration| format!("{:.0} us", figure.as_secs_f64() * 1e6);
    let ratio = |open: Duration| format!("{:.2}", open.as_secs_f64() / ping.as_secs_f64());
    show("connect, Ping, close over the bus, median", micros(ping), "");
    show("OpenSession by the door, as the module calls it", micros(door), "");
    show("of such a round trip", ratio(door), "at most 3");
    show("OpenSession over the bus, where the door is shut", micros(bus), "");
    show("of such a round trip", ratio(bus), "at most 3");
    show("the whole of pam_open_session, median", micros(phase), "");
}

/// What a thousand logins leave behind in the process that they ran in.
fn footprint() {
    let once = || {
        let transaction = Transaction::start("bench-login", "alice", PASSWORD);
        for phase in [Phase::Authenticate, Phase::Account, Phase::Open, Phase::Close] {
            transaction.run(phase);
        }
    };
    // The first login maps libraries that stay.
    once();
    let before = Process::this();
    for _ in 0..1000 {
        once();
    }
    let after = Process::this();
    show("threads before and after 1,000 logins", format!("{} {}", before.threads, after.threads), "the same");
    show("descriptors", format!("{} {}", before.descriptors, after.descriptors), "the same");
    let growth = after.resident_kib.saturating_sub(before.resident_kib);
    show("resident memory grew by", format!("{growth} KiB"), "at most 1024 KiB");
}

/// The daemon with a thousand idle sessions: what it holds, and how often it wakes.
fn crowd(daemon: u32) {
    let alone = Process::of(daemon);
    let mut leaders = Vec::new();
    for _ in 0..1000 {
        leaders.push(figures::child(|| {
            let transaction = Transaction::start("bench-session", "alice", PASSWORD);
            transaction.run(Phase::Open);
            // The leader must live on without closing.
            std::mem::forget(transaction);
        }));
    }
    let crowded = Process::of(daemon);
    // A window is the thing measured here, so this is the one place that sleeps.
    std::thread::sleep(Duration::from_secs(20));
    let later = Process::of(daemon);
    leaders.into_iter().for_each(figures::Child::end);
    show("daemon resident, no sessions", format!("{} KiB", alone.resident_kib), "");
    show("daemon resident, 1,000 sessions", format!("{} KiB", crowded.resident_kib), "reported");
    let wakes = later.switches.saturating_sub(crowded.switches);
    show("its wake-ups in 20 s without a deadline", wakes.to_string(), "0, or its watchdog's");
}

fn size(module: &Path) {
    let bytes = std::fs::metadata(module).expect("the module").len();
    show("pam_authflow.so, stripped", format!("{} KiB", bytes / 1024), "under 2048 KiB");
}

fn millis(figure: Duration) -> f64 {
    figure.as_secs_f64() * 1e3
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
