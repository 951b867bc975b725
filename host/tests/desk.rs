//! The one driver of a flow, with a conversation that is a script: what is asked, what is decided, what is written, and what is alike
//! for whoever must not learn the difference.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it must"
)]

use std::{collections::VecDeque, fs, path::PathBuf, time::Duration};

use authflow_core::{
    account::Password,
    config::{Config, Source, Text},
    factor::{Factor, Factors},
    flow::{Denial, Manner, Prompt, Verdict},
    password::{Cost, PasswordHash},
    rule::Remote,
    secret::Secret,
    time::{BootTime, Clock, Now, WallTime},
    totp::TotpKey,
};
use authflow_host::{
    accounts::{self, Account},
    desk::{Attempt, Conversation, Decision, Desk, DeskError, Judged, Refused},
    file::Trust,
    hash_memory::HashMemory,
    passwords::{Passwords, Upkeep},
    paths::Paths,
    records::{RecordError, Records},
};

const CONFIG: &str = "
    password = { source = ['authflow'] }
    [[rule]]
    name = 'far'
    service = ['sshd']
    from = ['192.0.2.0/24']
    methods = [['totp']]
    [[rule]]
    name = 'here'
    service = ['sshd']
    from = ['local']
    methods = [['password', 'totp']]
    [[rule]]
    name = 'others'
    service = ['cron']
    methods = [['stack']]
";
/// RFC 4226 appendix D: the code of step 4, which holds at [`AT`].
const CODE: &str = "338314";
const AT: Duration = Duration::from_secs(120);
const PASSWORD: &str = "correct horse";

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Now {
        Now { boot: BootTime::new(AT), wall: WallTime::new(AT) }
    }
}

/// Answers in order, each to the prompt it is meant for. All must have been asked for in the end.
struct Script(VecDeque<(Prompt, Result<&'static str, Refused>)>);

impl Script {
    fn password_and_code(password: &'static str, code: &'static str) -> Self {
        Self([(Prompt::Password, Ok(password)), (Prompt::Code, Ok(code))].into())
    }
}

impl Conversation for Script {
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        let (expected, answer) = self.0.pop_front().expect("a question too many");
        assert_eq!(prompt, expected);
        answer.map(Secret::from)
    }
}

/// A machine on which the user who runs the test has a password and a phone.
struct Machine {
    folder: tempfile::TempDir,
    config: Config,
    records: Records,
    user: String,
    account: Account,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        let uid = nix::unistd::geteuid().as_raw();
        let account = accounts::by_uid(uid).unwrap().expect("an account runs the test");
        let user = account.name.clone();
        let records = Records::trusting(Paths::new(folder.path()), Trust::of(uid));
        let config = Config::parse(Text { name: "test", text: CONFIG }, &[]).unwrap();
        let mut memory = HashMemory::new(config.password.cost.blocks()).unwrap();
        let secret = Secret::from(PASSWORD);
        let hash = PasswordHash::create(config.password.cost, [7; 16], &secret, memory.blocks()).unwrap();
        let enrolled: Result<(), RecordError> = records.update(&user, |record| {
            record.password = Some(Password::chosen(hash, WallTime::default()));
            let key = TotpKey::new("phone", Secret::from("12345678901234567890"), WallTime::default()).unwrap();
            record.add_totp(key).unwrap();
            Ok(())
        });
        enrolled.unwrap();
        Self { folder, config, records, user, account }
    }

    fn here(&self) -> Attempt<'_> {
        Attempt { account: Some(&self.account), ..here(&self.user) }
    }

    fn run(&self, attempt: &Attempt<'_>, mut script: Script) -> Result<Decision, DeskError> {
        let decision = Desk::new(&self.config, self.records.clone(), &Stopped).run(attempt, &mut script);
        assert!(script.0.is_empty(), "not all was asked");
        decision
    }

    fn verdict_for(&self, user: &str, script: Script) -> Verdict {
        let account = accounts::by_name(user).unwrap();
        match self.run(&Attempt { account: account.as_ref(), ..here(user) }, script).unwrap() {
            Decision::Judged(judged) => judged.verdict,
            Decision::NotGoverned => panic!("the service is governed"),
        }
    }

    fn denial_for(&self, user: &str, script: Script) -> Denial {
        match self.verdict_for(user, script) {
            Verdict::Denied(denial) => denial,
            Verdict::Granted(_) => panic!("granted"),
        }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("var/lib/authflow/state")
    }
}

/// An attempt of somebody who is nobody here.
fn here(user: &str) -> Attempt<'_> {
    Attempt {
        user,
        account: None,
        service: "sshd",
        remote: Remote::Local,
        calling_uid: 0,
        proved: Factors::none(),
        manner: Manner::default(),
        is_at_console: false,
    }
}

#[test]
fn password_and_code_are_granted_once() {
    let machine = Machine::new();
    let Verdict::Granted(receipt) = machine.verdict_for(&machine.user, Script::password_and_code(PASSWORD, CODE))
    else {
        panic!("denied")
    };
    assert_eq!((receipt.user(), receipt.rule()), (machine.user.as_str(), "here"));
    let again = machine.denial_for(&machine.user, Script::password_and_code(PASSWORD, CODE));
    assert_eq!(again, Denial::CodeUsed);
}

/// Whatever a program hands over, as it is: too long, with a NUL in it, no text at all.
struct Bytes(Vec<u8>);

impl Conversation for Bytes {
    fn ask(&mut self, _prompt: Prompt) -> Result<Secret, Refused> {
        Ok(Secret::new(self.0.clone()))
    }
}

#[test]
fn odd_bytes_are_a_wrong_answer_and_nothing_more() {
    let machine = Machine::new();
    let padded = [PASSWORD.as_bytes(), b"\0"].concat();
    let odd = [Vec::new(), vec![b'x'; 100 * 1024], vec![0; 4096], vec![0xff; 64], padded, b"338314\xff".to_vec()];
    for answer in odd {
        let length = answer.len();
        // Lifted each time, so that it is the answer that is refused and not the source.
        machine.records.update_state(&machine.user, |state| state.throttle.unlock()).unwrap();
        let desk = Desk::new(&machine.config, machine.records.clone(), &Stopped);
        let decision = desk.run(&machine.here(), &mut Bytes(answer)).unwrap();
        assert_eq!(denied(decision), Denial::WrongPassword, "{length} bytes");
    }
}

#[test]
fn a_wrong_password_does_not_use_up_the_code() {
    let machine = Machine::new();
    for wrong in ["", "correct horsf", "correct horse\0"] {
        let denial = machine.denial_for(&machine.user, Script::password_and_code(wrong, CODE));
        assert_eq!(denial, Denial::WrongPassword, "{wrong:?}");
    }
    let right = machine.verdict_for(&machine.user, Script::password_and_code(PASSWORD, CODE));
    assert!(matches!(right, Verdict::Granted(_)));
}

#[test]
fn a_name_that_is_no_user_is_asked_the_same_and_leaves_a_decoy_alone() {
    let machine = Machine::new();
    let before = fs::read_dir(machine.state()).unwrap().count();
    for name in ["no-such-user-here", "../../etc/passwd", "\u{1b}[2J", "", "nul\0"] {
        assert_eq!(
            machine.denial_for(name, Script::password_and_code(PASSWORD, CODE)),
            Denial::UnknownUser,
            "{name:?}"
        );
    }
    let endless = "x".repeat(100_000);
    assert_eq!(machine.denial_for(&endless, Script::password_and_code(PASSWORD, CODE)), Denial::UnknownUser);
    let names: Vec<_> = fs::read_dir(machine.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let decoys = names.iter().filter(|name| name.as_encoded_bytes().starts_with(b"=decoy-")).count();
    assert!(decoys >= 2, "a state and a lock");
    assert_eq!(names.len(), before + decoys, "{names:?}");
}

#[test]
fn a_login_renews_a_hash_that_costs_less_than_asked_for_now() {
    let mut machine = Machine::new();
    let cost = |machine: &Machine| {
        machine.records.authenticators(&machine.user).unwrap().unwrap().password.unwrap().hash.cost()
    };
    let dearer = Cost::new(20 * 1024, 2).unwrap();
    machine.config.password.cost = dearer;
    let denied = machine.denial_for(&machine.user, Script::password_and_code(PASSWORD, "000000"));
    assert_eq!((denied, cost(&machine)), (Denial::WrongCode, Cost::default()), "who is not let in changes nothing");
    let granted = machine.verdict_for(&machine.user, Script::password_and_code(PASSWORD, CODE));
    assert!(matches!(granted, Verdict::Granted(_)));
    assert_eq!(cost(&machine), dearer);
    let again = machine.denial_for(&machine.user, Script::password_and_code(PASSWORD, CODE));
    assert_eq!(again, Denial::CodeUsed, "and the password is still the one");
}

#[test]
fn a_system_password_that_was_changed_meanwhile_is_not_adopted() {
    let mut machine = Machine::new();
    machine.config.password.sources.push(Source::Shadow);
    machine.config.password.adopt = true;
    let forgotten: Result<(), RecordError> = machine.records.update(&machine.user, |record| {
        record.password = None;
        Ok(())
    });
    forgotten.unwrap();
    let account = accounts::by_name(&machine.user).unwrap().unwrap();
    let passwords = Passwords { config: &machine.config, records: &machine.records };
    let adopt = Upkeep::Adopt(Secret::from("$y$j9T$of.another.password$"));
    // Without root the shadow data base says nothing, which adopts nothing either.
    let _adopted_or_not = passwords.keep_up(&account, &Secret::from(PASSWORD), (adopt, WallTime::new(AT)));
    assert!(machine.records.authenticators(&machine.user).unwrap().unwrap().password.is_none());
}

#[test]
fn a_disabled_user_is_asked_the_same_and_denied() {
    let machine = Machine::new();
    fs::write(machine.state().join(format!("{}.disabled", machine.user)), "").unwrap();
    assert_eq!(machine.denial_for(&machine.user, Script::password_and_code(PASSWORD, CODE)), Denial::Disabled);
}

#[test]
fn a_governed_service_without_a_rule_for_the_login_denies() {
    let machine = Machine::new();
    let attempt = Attempt { remote: Remote::Address([198, 51, 100, 1].into()), ..machine.here() };
    // The questions are those of the service's first rule, so that nothing shows that none matched.
    let script = Script([(Prompt::Code, Ok(CODE))].into());
    let decision = machine.run(&attempt, script).unwrap();
    assert_eq!(denied(decision), Denial::NoRule);
}

#[test]
fn what_is_not_governed_or_is_left_to_the_stack_is_not_asked_about() {
    let machine = Machine::new();
    for service in ["login", "cron"] {
        let attempt = Attempt { service, ..machine.here() };
        assert!(matches!(machine.run(&attempt, Script([].into())).unwrap(), Decision::NotGoverned), "{service}");
    }
}

#[test]
fn a_conversation_that_ends_decides_nothing() {
    let machine = Machine::new();
    let script = Script([(Prompt::Password, Ok(PASSWORD)), (Prompt::Code, Err(Refused))].into());
    let error = machine.run(&machine.here(), script).unwrap_err();
    assert!(matches!(error, DeskError::Refused(Refused)) && !error.is_breakage(), "{error}");
    assert_eq!(machine.records.state(&machine.user).unwrap(), <_>::default());
}

#[test]
fn a_record_that_cannot_be_read_is_breakage_and_no_missing_enrolment() {
    let machine = Machine::new();
    let path = machine.folder.path().join(format!("var/lib/authflow/users/{}.toml", machine.user));
    let text = fs::read_to_string(&path).unwrap();
    for broken in ["", "version = 1\n[password]\nhash = '$1$a$b'\nchanged = 0\n", &text[..text.len() / 2]] {
        fs::write(&path, broken).unwrap();
        let error = machine.run(&machine.here(), Script::password_and_code(PASSWORD, CODE)).unwrap_err();
        assert!(error.is_breakage(), "{error}");
        assert!(!error.to_string().contains("$1$a$b"), "what may be a secret is not told: {error}");
    }
}

#[test]
fn what_a_user_has_is_told_by_the_sources_that_count() {
    let mut machine = Machine::new();
    let account = accounts::by_name(&machine.user).unwrap().unwrap();
    let has = |machine: &Machine| Desk::new(&machine.config, machine.records.clone(), &Stopped).has(&account).unwrap();
    assert_eq!(has(&machine), Factors::none().with(Factor::Password).with(Factor::Totp));
    machine.config.password.sources.clear();
    assert_eq!(has(&machine), Factors::none().with(Factor::Totp));
}

#[track_caller]
fn denied(decision: Decision) -> Denial {
    match decision {
        Decision::Judged(Judged { verdict: Verdict::Denied(denial), .. }) => denial,
        Decision::Judged(_) | Decision::NotGoverned => panic!("it was not denied: {decision:?}"),
    }
}
