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
    process::{self, ProcessId},
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
            if process.is_some_and(|process| !may_read(process)) {
                let _the_next_sweep_tries_again = unlink(&entry.path());
            }
        }
    }

    fn path(&self, reader: ProcessId) -> std::path::PathBuf {
        self.0.join(reader.to_string())
    }
}

/// Whether that process may still come for its receipt. It is sshd's, and runs as we do: what has its pid and runs as somebody else came later,
/// and is not looked into, since a user's process can keep whoever asks for its start waiting.
fn may_read(process: ProcessId) -> bool {
    let runs_as = process::uids(process.pid).ok().and_then(|uids| uids.first().copied());
    runs_as == Some(process::real_uid()) && process.is_alive()
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
mod tests;
