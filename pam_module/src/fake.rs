//! A PAM handle that is a value, and a machine with one user, for tests of the phases.

use std::{cell::RefCell, collections::VecDeque, fs, io::Write as _, path::PathBuf, time::Duration};

use authflow_core::{
    password::{Cost, PasswordHash, SALT_BYTES},
    secret::Secret,
    time::{Clock, WallTime},
    totp::TotpKey,
};
use authflow_host::{
    accounts,
    clock::SystemClock,
    file::Trust,
    hash_memory::HashMemory,
    paths::Paths,
    records::{RecordError, Records},
};
use pam::constants::PamResultCode;

use crate::{
    handle::{Facts, Handle, NoAnswer, UserName},
    log::{Line, Priority},
    login::Place,
    notes::Notes,
    phase::{self, Phase},
};

/// The password of the machine's one user.
pub(crate) const PASSWORD: &str = "correct horse";

/// Whether the calling test may read the shadow file, as the account phase does. If not, that is told past the test harness, which would
/// swallow it.
pub(crate) fn may_read_shadow() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let told = format!("left out: {test} (needs root; run `make test`)\n");
    // In one piece, since tests run side by side.
    std::io::stderr().write_all(told.as_bytes()).ok();
    false
}

/// PAM, as the test sets it up. Every scripted answer must have been asked for in the end.
#[derive(Default)]
pub(crate) struct FakePam {
    /// What the application says; `user` is `PAM_USER`.
    pub(crate) facts: Facts,
    /// What is asked next, and what is answered.
    pub(crate) answers: VecDeque<(&'static str, &'static str)>,
    /// Whom PAM means after the last answer, if another.
    pub(crate) user_at_the_end: Option<&'static str>,
    /// `PAM_AUTHTOK`.
    pub(crate) password: Option<Secret>,
    /// `PAM_OLDAUTHTOK`.
    pub(crate) old_password: Option<Secret>,
    /// What the user was told.
    pub(crate) told: Vec<String>,
    /// Variables that were set.
    pub(crate) variables: Vec<String>,
    /// The delay that was asked for.
    pub(crate) delay: Option<Duration>,
    /// What was logged.
    pub(crate) logged: RefCell<Vec<String>>,
    notes: Notes,
}

impl Handle for FakePam {
    fn facts(&self) -> Facts {
        self.facts.clone()
    }

    fn user(&mut self) -> Result<UserName, NoAnswer> {
        self.facts.user.clone().ok_or(NoAnswer(19))
    }

    fn ask(&mut self, prompt: &str) -> Result<Option<Secret>, NoAnswer> {
        let (expected, answer) = self.answers.pop_front().expect("a question that the test does not expect");
        assert_eq!(prompt, expected);
        if self.answers.is_empty()
            && let Some(user) = self.user_at_the_end
        {
            self.facts.user = Some(UserName::new(user.as_bytes()));
        }
        Ok(Some(Secret::from(answer)))
    }

    fn tell(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    fn tell_refusal(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }

    fn password(&self) -> Option<Secret> {
        self.password.clone()
    }

    fn set_password(&mut self, password: &Secret) {
        self.password = Some(password.clone());
    }

    fn old_password(&self) -> Option<Secret> {
        self.old_password.clone()
    }

    fn set_old_password(&mut self, password: &Secret) {
        self.old_password = Some(password.clone());
    }

    fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push(format!("{name}={value}"));
    }

    fn delay_failure(&mut self, at_most: Duration) {
        self.delay = Some(at_most);
    }

    fn notes(&self) -> Notes {
        self.notes.clone()
    }

    fn keep(&mut self, notes: Notes) -> Result<(), NoAnswer> {
        self.notes = notes;
        Ok(())
    }

    fn log(&self, _priority: Priority, line: &Line) {
        self.logged.borrow_mut().push(line.as_str().to_owned());
    }
}

impl Drop for FakePam {
    fn drop(&mut self) {
        assert!(self.answers.is_empty() || std::thread::panicking(), "never asked: {:?}", self.answers);
    }
}

/// A machine under a folder of its own, with whoever runs the test as its one user.
pub(crate) struct Machine {
    _folder: tempfile::TempDir,
    /// Where its files are.
    pub(crate) place: Place,
    /// The user's name.
    pub(crate) user: String,
}

impl Machine {
    /// A machine with that configuration, whose user has [`PASSWORD`] and a secret for codes. Passwords come from records alone, since
    /// not everybody may read the shadow file; nothing answers where its bus would be.
    pub(crate) fn new(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let me = nix::unistd::geteuid().as_raw();
        let place = Place { paths: Paths::new(folder.path()), trust: Trust::of(me) };
        for part in ["etc/authflow", "var/lib", "run"] {
            fs::create_dir_all(folder.path().join(part)).unwrap();
        }
        let machine = Self { _folder: folder, place, user: accounts::by_uid(me).unwrap().unwrap().name };
        let bus = machine.path("no-bus");
        machine.configure(&format!(
            "bus_address = \"unix:path={}\"\n[password]\nsource = [\"authflow\"]\n{rules}",
            bus.display()
        ));
        machine.enrol();
        machine
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, text: &str) {
        fs::write(self.place.paths.config(), text).unwrap();
    }

    /// A path on the machine.
    pub(crate) fn path(&self, part: &str) -> PathBuf {
        self.place.paths.root().join(part)
    }

    /// A handle for the user at that service.
    pub(crate) fn login(&self, service: &str, answers: &[(&'static str, &'static str)]) -> FakePam {
        let user = Some(UserName::new(self.user.as_bytes()));
        let facts = Facts { service: service.to_owned(), user, ..Facts::default() };
        let mut pam = FakePam::default();
        pam.facts = facts;
        pam.answers = answers.iter().copied().collect();
        pam
    }

    /// Runs a phase.
    pub(crate) fn run(&self, phase: Phase, pam: &mut FakePam) -> PamResultCode {
        phase::run(phase, pam, [], &self.place)
    }

    /// Runs a phase with an option on the PAM line.
    pub(crate) fn run_with(&self, option: &str, phase: Phase, pam: &mut FakePam) -> PamResultCode {
        phase::run(phase, pam, [option.as_bytes()], &self.place)
    }

    fn enrol(&self) {
        let mut memory = HashMemory::new(Cost::default().blocks()).unwrap();
        let hash = PasswordHash::create(Cost::default(), [7; SALT_BYTES], &Secret::from(PASSWORD), memory.blocks());
        let key = TotpKey::new("phone", Secret::new(vec![7; 20]), WallTime::default()).unwrap();
        let records = Records::trusting(self.place.paths.clone(), self.place.trust);
        let change = |record: &mut authflow_core::account::Authenticators| {
            record.password = Some(authflow_core::account::Password::chosen(hash.unwrap(), SystemClock.now().wall));
            record.add_totp(key).unwrap();
            Ok::<_, RecordError>(())
        };
        records.update(&self.user, change).unwrap();
    }
}
