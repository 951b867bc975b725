//! The cases that google-authenticator-libpam's own unit test goes through, asked of our flow: digits, window, step, reuse, rate, skew,
//! scratch codes, and a state file that somebody changed. Codes by a counter we have none. Where we answer otherwise, the test's name says how.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails where it must")]

use std::{fs, time::Duration};

use authflow_core::{
    config::{Config, Text},
    factor::Factors,
    flow::{Denial, Manner, Prompt, Verdict},
    rule::Remote,
    secret::Secret,
    stand_in::{CodeDigest, RecoverySet},
    time::{BootTime, Clock, Now, WallTime},
    totp::{Hash, TotpKey},
};
use authflow_host::{
    accounts,
    desk::{Attempt, Conversation, Decision, Desk, DeskError, Judged, Refused},
    file::Trust,
    paths::Paths,
    records::{RecordError, Records},
};

/// RFC 4226 appendix D: the codes of steps 0 to 9.
const CODES: [&str; 10] =
    ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

const RULE: &str = "[[rule]]\nname = 'door'\nservice = ['door']\nmethods = [['totp']]\n";

#[test]
fn a_code_has_exactly_its_digits() {
    let machine = Machine::new("");
    let [front, back] = ["33831", "38314"];
    for wrong in ["123456", front, back, "0338314", "00338314", "3383140", "338314x", "-38314", "+338314"] {
        machine.forget();
        assert_eq!(machine.answer(wrong, 4), Err(Denial::WrongCode), "{wrong:?}");
    }
    assert_eq!(machine.answer("", 4), Err(Denial::NoCode));
    assert_eq!(machine.answer(CODES[4], 4), Ok(()));
}

#[test]
fn the_window_is_as_wide_as_the_skew_on_both_sides() {
    for (skew, first, last) in [(0, 4, 4), (1, 3, 5), (3, 1, 7)] {
        let machine = Machine::new(&format!("totp = {{ skew = {skew} }}\n"));
        for at in 0..10 {
            machine.forget();
            let expected = if (first..=last).contains(&at) { Ok(()) } else { Err(Denial::WrongCode) };
            assert_eq!(machine.answer(CODES[4], at), expected, "skew {skew}, at step {at}");
        }
    }
}

#[test]
fn a_step_may_be_longer() {
    let machine = Machine::with_period("", 60);
    // In units of half its step: the window is three whole ones.
    for (at, expected) in [(5, false), (6, true), (7, true), (8, true), (10, true), (11, true), (12, false)] {
        machine.forget();
        assert_eq!(machine.answer(CODES[4], at).is_ok(), expected, "at {at}");
    }
}

#[test]
fn no_code_passes_twice_without_being_asked_to_forbid_it() {
    let machine = Machine::new("");
    assert_eq!(machine.answer(CODES[4], 4), Ok(()));
    for at in [3, 4, 5] {
        assert_eq!(machine.answer(CODES[4], at), Err(Denial::CodeUsed), "at {at}");
    }
    // Nor does an older one of the window, after a newer. Nothing expires from a list, since there is none.
    assert_eq!(machine.answer(CODES[3], 4), Err(Denial::CodeUsed));
    for (step, code) in (0..).zip(CODES).skip(5) {
        machine.forget_failures();
        assert_eq!(machine.answer(code, step), Ok(()), "step {step}");
    }
    assert_eq!(machine.answer(CODES[4], 4), Err(Denial::CodeUsed));
}

#[test]
fn failures_are_limited_and_successes_are_not() {
    let machine = Machine::new("throttle = { attempts = 4, window = '2m', lock = '2m' }\n");
    for (step, code) in (0..).zip(CODES).take(5) {
        assert_eq!(machine.answer(code, step), Ok(()), "success after success: step {step}");
    }
    for _ in 0..4 {
        assert_eq!(machine.answer("000000", 5), Err(Denial::WrongCode));
    }
    // The right code comes too late, and is not used up by that.
    assert!(matches!(machine.answer(CODES[5], 5), Err(Denial::Locked(_))));
    assert!(matches!(machine.answer(CODES[8], 8), Err(Denial::Locked(_))));
    assert_eq!(machine.answer(CODES[9], 9), Ok(()));
}

#[test]
fn a_burst_of_guesses_is_judged_no_more_often_than_one_after_another() {
    let machine = Machine::new("throttle = { attempts = 4, window = '2m', lock = '2m' }\n");
    let ends: Vec<_> = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..20).map(|_| scope.spawn(|| machine.run("000000", 4))).collect();
        guesses.into_iter().map(|guess| guess.join().unwrap()).collect()
    });
    // One that waited too long for its turn was not judged either.
    let judged = ends.iter().filter(|end| matches!(end, Ok(decision) if denial(decision) == Denial::WrongCode)).count();
    assert_eq!(judged, 4, "{ends:?}");
    assert!(matches!(machine.answer(CODES[4], 4), Err(Denial::Locked(_))));
}

#[test]
fn a_skew_is_never_learned() {
    let machine = Machine::new("");
    // Three codes in a row of a clock that is a thousand steps behind: whoever has found an old phone could teach us that.
    for (step, code) in (1000..).zip(CODES).take(4) {
        machine.forget_failures();
        assert_eq!(machine.answer(code, step), Err(Denial::WrongCode));
    }
}

#[test]
fn a_skew_that_was_learned_elsewhere_moves_the_window_and_a_code_still_passes_once() {
    let machine = Machine::with_clock("", 30, 5);
    for at in 0..10 {
        machine.forget();
        let expected = if (1..=3).contains(&at) { Ok(()) } else { Err(Denial::WrongCode) };
        assert_eq!(machine.answer(CODES[7], at), expected, "its step 7 is our 2, at {at}");
    }
    machine.forget();
    assert_eq!(machine.answer(CODES[7], 2), Ok(()));
    for at in 1..=3 {
        assert_eq!(machine.answer(CODES[7], at), Err(Denial::CodeUsed), "at {at}");
    }
    // Nor once the record says that the clock is right, until time has passed it.
    let record = fs::read_to_string(machine.record()).unwrap();
    fs::write(machine.record(), record.replace("drift = 5\n", "")).unwrap();
    machine.forget_failures();
    assert_eq!(machine.answer(CODES[7], 7), Err(Denial::CodeUsed));
    assert_eq!(machine.answer(CODES[8], 8), Ok(()));
}

#[test]
fn a_scratch_code_passes_once_and_only_if_it_is_on_the_list() {
    const SCRATCH: &str = "0123-4567-89ab-cdef-ghjk-mnpq";
    let machine = Machine::new("");
    assert_eq!(machine.answer(SCRATCH, 4), Err(Denial::WrongCode));
    let codes = [CodeDigest::of(&Secret::from(SCRATCH)).unwrap()].into();
    let listed: Result<(), RecordError> = machine.records.update(&machine.user, |record| {
        record.recovery = Some(RecoverySet { made: WallTime::default(), codes });
        Ok(())
    });
    listed.unwrap();
    assert_eq!(machine.answer(SCRATCH, 4), Ok(()));
    assert_eq!(machine.answer(SCRATCH, 4), Err(Denial::CodeUsed));
    assert_eq!(machine.answer(CODES[4], 4), Ok(()), "the phone is still good");
}

#[test]
fn who_has_no_record_is_refused_and_never_ignored() {
    let machine = Machine::new("");
    fs::remove_file(machine.record()).unwrap();
    assert_eq!(machine.answer(CODES[4], 4), Err(Denial::NotEnrolled));
}

#[test]
fn a_record_or_state_that_somebody_changed_is_an_error_and_is_not_mended() {
    let machine = Machine::new("");
    assert_eq!(machine.answer(CODES[4], 4), Ok(()));
    let state = machine.folder.path().join("var/lib/authflow/state").join(&machine.user);
    let good = fs::read(&state).unwrap();
    for broken in [&b"version = 1\n"[..], b"", &[good.as_slice(), b" "].concat()[1..]] {
        fs::write(&state, broken).unwrap();
        assert!(matches!(machine.run(CODES[5], 5), Err(DeskError::Record(_))), "{:?}", String::from_utf8_lossy(broken));
        assert_eq!(fs::read(&state).unwrap(), broken, "left for an administrator to look at");
    }
    fs::write(&state, good).unwrap();
    assert_eq!(machine.answer(CODES[4], 4), Err(Denial::CodeUsed), "the state is back, and with it what was used");
    let record = fs::read_to_string(machine.record()).unwrap();
    fs::write(machine.record(), record.replace("secret", "secret ")).unwrap();
    assert_eq!(machine.answer(CODES[5], 5), Ok(()), "blanks mean nothing to TOML");
    fs::write(machine.record(), record.replace("digits = 6", "digits = 5")).unwrap();
    assert!(matches!(machine.run(CODES[6], 6), Err(DeskError::Record(RecordError::Record { .. }))));
}

/// A machine on which whoever runs the test has an authenticator, and nothing else.
struct Machine {
    folder: tempfile::TempDir,
    config: Config,
    records: Records,
    user: String,
}

impl Machine {
    fn new(config: &str) -> Self {
        Self::with_period(config, 30)
    }

    fn with_period(config: &str, period_seconds: u64) -> Self {
        Self::with_clock(config, period_seconds, 0)
    }

    /// With an authenticator whose clock is so many steps ahead.
    fn with_clock(config: &str, period_seconds: u64, drift: i16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        let uid = nix::unistd::geteuid().as_raw();
        let user = accounts::by_uid(uid).unwrap().expect("an account runs the test").name;
        let text = format!("password = {{ source = ['authflow'], memory = '7MiB', iterations = 5 }}\n{config}{RULE}");
        let config = Config::parse(Text { name: "test", text: &text }, &[]).unwrap();
        let records = Records::trusting(Paths::new(folder.path()), Trust::of(uid));
        let parameters = (Hash::default(), 6, period_seconds);
        let secret = Secret::from("12345678901234567890");
        let key = TotpKey::with_parameters("phone", secret, WallTime::default(), parameters).unwrap();
        let key = key.with_drift(drift).unwrap();
        let enrolled: Result<(), RecordError> = records.update(&user, |record| {
            record.add_totp(key).unwrap();
            Ok(())
        });
        enrolled.unwrap();
        Self { folder, config, records, user }
    }

    /// Answers the code in the middle of the step (of 30 s) `at`.
    fn run(&self, code: &str, at: u64) -> Result<Decision, DeskError> {
        let account = accounts::by_name(&self.user)?;
        let attempt = Attempt {
            user: &self.user,
            account: account.as_ref(),
            service: "door",
            remote: Remote::from_rhost(Some("192.0.2.1")),
            calling_uid: 0,
            proved: Factors::none(),
            manner: Manner::default(),
            is_at_console: false,
        };
        let clock = At(Duration::from_secs(at * 30 + 15));
        Desk::new(&self.config, self.records.clone(), &clock).run(&attempt, &mut Answer(code))
    }

    fn answer(&self, code: &str, at: u64) -> Result<(), Denial> {
        match self.run(code, at).unwrap() {
            Decision::Judged(Judged { verdict: Verdict::Granted(_), .. }) => Ok(()),
            denied @ (Decision::Judged(_) | Decision::NotGoverned) => Err(denial(&denied)),
        }
    }

    /// As if nothing had happened yet.
    fn forget(&self) {
        self.records.update_state(&self.user, |state| *state = <_>::default()).unwrap();
    }

    fn forget_failures(&self) {
        self.records.update_state(&self.user, |state| state.throttle.unlock()).unwrap();
    }

    fn record(&self) -> std::path::PathBuf {
        self.folder.path().join("var/lib/authflow/users").join(format!("{}.toml", self.user))
    }
}

struct At(Duration);

impl Clock for At {
    fn now(&self) -> Now {
        Now { boot: BootTime::new(self.0), wall: WallTime::new(self.0) }
    }
}

struct Answer<'a>(&'a str);

impl Conversation for Answer<'_> {
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        assert_eq!(prompt, Prompt::Code);
        Ok(Secret::from(self.0))
    }
}

#[track_caller]
fn denial(decision: &Decision) -> Denial {
    match decision {
        Decision::Judged(Judged { verdict: Verdict::Denied(denial), .. }) => *denial,
        Decision::Judged(_) | Decision::NotGoverned => panic!("it was not denied: {decision:?}"),
    }
}
