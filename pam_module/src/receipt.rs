//! How a receipt gets from the flow to the session: on the PAM handle where one process does it all, through a file where sshd's
//! authentication process is not the one that opens the session. The file is named for the process that may use it; there it is used
//! up by whoever's unlink succeeds, and everything in it is checked again.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use authflow_core::{
    factor::{Factor, Factors},
    flow::{Enrolment, RECEIPT_LIFE, Receipt},
    policy::{Limits, WhenUnavailable},
    rule::{Rule, SessionPolicy},
    session::SessionId,
    state::Failures,
    time::{BootTime, Now, WallTime},
    toml_text,
};
use authflow_host::{
    file::{self, FileError, Trust},
    process::ProcessId,
};
use serde::{Deserialize, Serialize};

use crate::account::Closed;

/// A receipt on its way. Unlike a [`Receipt`] anybody can make one, so it proves nothing by itself: what it is worth comes from where
/// it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// The flow that granted it.
    pub flow: String,
    /// Who authenticated.
    pub user: String,
    /// That user's uid at the time.
    pub uid: u32,
    /// The PAM service.
    pub service: String,
    /// Where from.
    pub remote: String,
    /// The boot that it is good for.
    pub boot_id: String,
    /// All that was proved.
    pub factors: Factors,
    /// The rule that granted it.
    pub rule: String,
    /// How the account was closed before the first question.
    pub closed: Closed,
    /// When it was granted, for people.
    pub granted_at: WallTime,
    /// When it was granted, on the clock that nobody sets: its age is counted here.
    pub granted_boot: BootTime,
    /// The user's success before this one, and where from.
    pub previous: Option<(WallTime, String)>,
    /// How many attempts failed since then, and when and from where the last did.
    pub failures: Option<(u32, WallTime, String)>,
    /// Whether the user never succeeded from here before.
    pub is_new_source: bool,
    /// Whether enrolling was put off: the user was let in without `totp`.
    pub is_put_off: bool,
    /// What happens without the daemon.
    pub when_unavailable: WhenUnavailable,
    /// The session that vouched for the user, where the flow rests on one.
    pub vouched_by: Option<SessionId>,
    /// The limits that the rule grants.
    pub limits: Limits,
}

/// The last line: without it a receipt cut short could read as one without limits.
const END: &str = "# end of receipt\n";

/// What a receipt must match where it is used.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// This boot.
    pub boot_id: &'a str,
    /// The PAM service.
    pub service: &'a str,
    /// The uid that the receipt's user has now, if there still is one.
    pub uid: Option<u32>,
    /// Now.
    pub now: BootTime,
}

/// Why a receipt is not used.
#[derive(Debug, thiserror::Error)]
pub enum BadReceipt {
    /// Of another boot.
    #[error("the receipt is of another boot")]
    Boot,
    /// Too old.
    #[error("the receipt is {} s old, at most {} s are allowed", .0.as_secs(), RECEIPT_LIFE.as_secs())]
    Age(Duration),
    /// For another service.
    #[error("the receipt is for the service {0:?}")]
    Service(String),
    /// The name means another account now.
    #[error("the receipt's user {user:?} had uid {uid}")]
    Uid {
        /// Whose it is.
        user: String,
        /// The uid in it.
        uid: u32,
    },
    /// It rests on a session and names none, or names one for nothing.
    #[error("the receipt does not name the session that it rests on")]
    Voucher,
    /// The file holds something else.
    #[error("the receipt's file does not parse")]
    Syntax,
    /// The file cannot be read, written or removed.
    #[error("the receipt's file: {0}")]
    File(#[from] io::Error),
    /// The file is not as only we write it.
    #[error("the receipt's file: {0}")]
    Untrusted(#[from] FileError),
}

impl Carried {
    /// What `receipt` says, of a flow before which the account was closed like that, to be used on this boot.
    #[must_use]
    pub fn new(receipt: &Receipt, boot_id: &str, (closed, now): (Closed, Now)) -> Self {
        Self {
            flow: receipt.flow().to_string(),
            user: receipt.user().to_owned(),
            uid: receipt.uid(),
            service: receipt.service().to_owned(),
            remote: receipt.remote().to_string(),
            boot_id: boot_id.to_owned(),
            factors: receipt.factors().clone(),
            rule: receipt.rule().to_owned(),
            closed,
            granted_at: receipt.granted_at(),
            granted_boot: now.boot,
            previous: receipt.previous().map(|(at, source)| (*at, source.to_string())),
            failures: failures(receipt.failures()),
            is_new_source: receipt.is_new_source(),
            is_put_off: receipt.enrolment() == Enrolment::PutOff,
            when_unavailable: receipt.session().when_unavailable,
            vouched_by: None,
            limits: receipt.session().limits.clone(),
        }
    }

    /// Checks everything that a receipt must still be true of.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn check(&self, expected: &Expected<'_>) -> Result<(), BadReceipt> {
        if self.boot_id != expected.boot_id {
            return Err(BadReceipt::Boot);
        }
        // One from the future is as wrong as one that is too old: the boot clock never goes back.
        let age = expected.now.saturating_since(self.granted_boot);
        if age > RECEIPT_LIFE || self.granted_boot > expected.now {
            return Err(BadReceipt::Age(age));
        }
        if self.service != expected.service {
            return Err(BadReceipt::Service(self.service.clone()));
        }
        if expected.uid != Some(self.uid) {
            return Err(BadReceipt::Uid { user: self.user.clone(), uid: self.uid });
        }
        if self.factors.contains(Factor::Session) != self.vouched_by.is_some() {
            return Err(BadReceipt::Voucher);
        }
        Ok(())
    }

    /// What it proved, as far as that rule goes: a session vouches for the rule that it was asked for, and for no other.
    #[must_use]
    pub fn factors_for(&self, rule: &Rule) -> Factors {
        let factors = self.factors.clone();
        if self.rule == rule.name { factors } else { factors.without(Factor::Session) }
    }

    /// What the rule granted when the flow was.
    #[must_use]
    pub fn policy(&self) -> SessionPolicy {
        SessionPolicy { limits: self.limits.clone(), when_unavailable: self.when_unavailable }
    }

    fn to_text(&self) -> Result<String, BadReceipt> {
        toml::to_string(self).map(|text| text + END).map_err(|error| io::Error::other(error).into())
    }

    fn parse(text: &str) -> Result<Self, BadReceipt> {
        if !text.ends_with(END) {
            return Err(BadReceipt::Syntax);
        }
        toml_text::from_str(text).map_err(|_what| BadReceipt::Syntax)
    }
}

fn failures(failures: &Failures) -> Option<(u32, WallTime, String)> {
    failures.last.as_ref().map(|(at, source)| (failures.count, *at, source.to_string()))
}

/// Where receipts change processes: a folder that only root can look into.
#[derive(Clone, Copy, Debug)]
pub struct Shelf<'a>(pub &'a Path);

/// Most files looked at in one sweep, so that no login waits for a full folder.
const SWEPT_AT_ONCE: usize = 256;

impl Shelf<'_> {
    /// Leaves a receipt for the process `reader`, in place of any older one, and sweeps what others left behind.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn leave(&self, reader: ProcessId, receipt: &Carried) -> Result<(), BadReceipt> {
        self.sweep();
        let text = receipt.to_text()?;
        // Named for its writer: under sshd's `password` method the reader is the listener, for many logins at once.
        let temporary = self.0.join(format!(".{}", ProcessId::current()?));
        unlink(&temporary)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        // Nothing is synced: a receipt does not outlive the boot.
        let moved = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&temporary, self.path(reader)));
        if moved.is_err() {
            let _the_sweep_tries_again = unlink(&temporary);
        }
        Ok(moved?)
    }

    /// Removes a receipt that was left for `reader`, if there is one.
    ///
    /// # Errors
    /// It is there and stays.
    pub fn remove(&self, reader: ProcessId) -> Result<(), BadReceipt> {
        unlink(&self.path(reader)).map(drop)
    }

    /// Takes the receipt that was left for `reader`. It is the caller's only if the caller's own unlink removed it.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
    pub fn take(&self, reader: ProcessId, trust: Trust) -> Result<Option<Carried>, BadReceipt> {
        let path = self.path(reader);
        let text = file::read_trusted(&path, trust);
        if unlink(&path)? { Carried::parse(&text?).map(Some) } else { Ok(None) }
    }

    /// Removes what was left by or for processes that are no more. Only names count, and nothing here can fail a login.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.0) else { return };
        for entry in entries.flatten().take(SWEPT_AT_ONCE) {
            let name = entry.file_name();
            let process = name.to_str().and_then(|name| name.trim_start_matches('.').parse::<ProcessId>().ok());
            if process.is_some_and(|process| !process.is_alive()) {
                let _the_next_sweep_tries_again = unlink(&entry.path());
            }
        }
    }

    fn path(&self, reader: ProcessId) -> std::path::PathBuf {
        self.0.join(reader.to_string())
    }
}

/// Whether this call removed the file; false if there was none.
fn unlink(path: &Path) -> Result<bool, BadReceipt> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use authflow_core::config::{Config, Text};
    use proptest::prelude::*;

    use super::*;

    fn carried() -> Carried {
        Carried {
            flow: "00".repeat(16),
            user: "alice".into(),
            uid: 1000,
            service: "sshd".into(),
            remote: "10.0.0.5".into(),
            boot_id: "boot".into(),
            factors: "password totp".split(' ').map(|word| word.parse().unwrap()).collect(),
            rule: "ssh".into(),
            closed: Closed { has_no_shell: true, is_locked: false },
            granted_at: WallTime::from_micros(1_795_509_180_000_001),
            granted_boot: BootTime::new(Duration::from_secs(100)),
            previous: Some((WallTime::from_micros(7), "10.0.0.6".into())),
            failures: Some((2, WallTime::from_micros(8), "local".into())),
            is_new_source: true,
            is_put_off: true,
            when_unavailable: WhenUnavailable::Deny,
            vouched_by: None,
            limits: Limits { idle: None, ..Limits::default() },
        }
    }

    fn expected(now_seconds: u64) -> Expected<'static> {
        let now = BootTime::new(Duration::from_secs(now_seconds));
        Expected { boot_id: "boot", service: "sshd", uid: Some(1000), now }
    }

    fn trust() -> Trust {
        Trust::of(nix::unistd::geteuid().as_raw())
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_receipt_is_taken_once_by_the_process_that_it_was_left_for() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path());
        let me = ProcessId::current().unwrap();
        let other = ProcessId { start_time: me.start_time + 1, ..me };
        shelf.leave(me, &carried()).unwrap();
        assert!(shelf.take(other, trust()).unwrap().is_none());
        assert_eq!(shelf.take(me, trust()).unwrap(), Some(carried()));
        assert!(shelf.take(me, trust()).unwrap().is_none());
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn a_new_flow_removes_the_receipt_of_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path());
        let me = ProcessId::current().unwrap();
        shelf.leave(me, &carried()).unwrap();
        shelf.remove(me).unwrap();
        shelf.remove(me).unwrap();
        assert!(shelf.take(me, trust()).unwrap().is_none());
    }

    #[test]
    fn a_file_that_others_could_have_written_is_removed_and_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path());
        let me = ProcessId::current().unwrap();
        shelf.leave(me, &carried()).unwrap();
        fs::set_permissions(shelf.path(me), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(shelf.take(me, trust()), Err(BadReceipt::Untrusted(_))));
        assert_eq!(files(folder.path()), 0);
    }

    #[test]
    fn what_the_dead_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path());
        let me = ProcessId::current().unwrap();
        let dead = ProcessId { start_time: me.start_time + 1, ..me };
        for name in [dead.to_string(), format!(".{dead}"), "README".to_owned()] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        shelf.leave(me, &carried()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [me.to_string().as_str(), "README"]);
    }

    #[test]
    fn everything_in_a_receipt_is_checked_again() {
        assert!(carried().check(&expected(100)).is_ok());
        assert!(carried().check(&expected(400)).is_ok());
        assert!(matches!(carried().check(&expected(401)), Err(BadReceipt::Age(_))));
        assert!(matches!(carried().check(&expected(99)), Err(BadReceipt::Age(_))));
        let check = |expected: Expected<'_>| carried().check(&expected).unwrap_err();
        assert!(matches!(check(Expected { boot_id: "other", ..expected(100) }), BadReceipt::Boot));
        assert!(matches!(check(Expected { service: "login", ..expected(100) }), BadReceipt::Service(_)));
        assert!(matches!(check(Expected { uid: Some(1001), ..expected(100) }), BadReceipt::Uid { .. }));
        assert!(matches!(check(Expected { uid: None, ..expected(100) }), BadReceipt::Uid { .. }));
        let vouched_for = Carried { factors: [Factor::Session].into_iter().collect(), ..carried() };
        assert!(matches!(vouched_for.check(&expected(100)), Err(BadReceipt::Voucher)));
        let vouched_by = Some(SessionId::new([1; 16]));
        assert!(Carried { vouched_by, ..vouched_for }.check(&expected(100)).is_ok());
        assert!(matches!(Carried { vouched_by, ..carried() }.check(&expected(100)), Err(BadReceipt::Voucher)));
    }

    #[test]
    fn a_session_vouches_for_one_rule_alone() {
        let rule = |name: &str| {
            let text = format!("[[rule]]\nname = '{name}'\nservice = ['sudo']\nmethods = [['password']]\n");
            Config::parse(Text { name: "authflow.toml", text: &text }, &[]).unwrap().rules.remove(0)
        };
        let receipt = Carried { factors: [Factor::Password, Factor::Session].into_iter().collect(), ..carried() };
        assert_eq!(receipt.factors_for(&rule("ssh")), receipt.factors);
        assert_eq!(receipt.factors_for(&rule("another")), Factors::none().with(Factor::Password));
    }

    proptest! {
        #[test]
        fn a_receipt_reads_as_it_was_written(user in ".{0,30}", remote in "\\PC{0,30}", idle in any::<Option<u32>>()) {
            let mut receipt = Carried { user, remote, ..carried() };
            receipt.limits.idle = idle.map(|seconds| Duration::from_secs(seconds.into()));
            let text = receipt.to_text().unwrap();
            prop_assert_eq!(Carried::parse(&text).unwrap(), receipt);
        }

        #[test]
        fn no_part_of_a_receipt_is_taken_for_the_whole(cut in 0_usize..2000) {
            let text = carried().to_text().unwrap();
            prop_assume!(cut < text.len());
            prop_assert!(Carried::parse(text.get(..cut).unwrap_or_default()).is_err());
        }
    }
}
