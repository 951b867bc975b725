//! What one phase leaves for the next on the same PAM handle. It does not reach another process, and dropping it does nothing: a child
//! that the application forked drops its own copy.

use std::{path::PathBuf, sync::Arc};

use authflow_core::{
    account::Password, config::Config, factor::Factors, password::PasswordHash, rule::Rule, secret::Secret,
    throttle::Success,
};

use crate::{account::Closed, error::Error, receipt::Carried};

/// Notes on a PAM handle.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    /// The user that the first phase saw. A change on the way denies.
    pub user: Option<String>,
    /// What became of the flow.
    pub flow: FlowNote,
    /// The session that is open.
    pub session: Option<OpenSession>,
    /// The configuration that the login is judged by, from its first phase to its last.
    pub config: Option<KnownConfig>,
    /// What a line of ours has asked for the one behind it.
    pub ahead: Option<Ahead>,
    /// The record's password that the flow proved.
    pub proved: Option<Password>,
    /// The flow's success, where it rests on another module's word: that counts once the whole auth stack has succeeded.
    pub success: Option<Success>,
    /// The change of a password that was begun.
    pub change: Option<Change>,
}

/// What was asked ahead.
#[derive(Clone, Debug)]
pub struct Ahead {
    /// Of whom.
    pub user: String,
    /// How the account was closed then.
    pub closed: Closed,
    /// The code; empty if none was given.
    pub code: Secret,
}

/// The change of a password, between its two passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Root sets it, whatever there is.
    ByRoot,
    /// The user proved the password of this hash, and may replace that one alone.
    Of(PasswordHash),
}

/// A configuration, and the file that it was read from: another PAM line may name another.
#[derive(Clone, Debug)]
pub struct KnownConfig {
    /// The file.
    pub path: PathBuf,
    /// What stood in it.
    pub config: Arc<Config>,
}

/// A session that is open on a PAM handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSession {
    /// Its id.
    pub id: String,
    /// Whom it runs as.
    pub target: String,
}

impl KnownConfig {
    /// Whether it is that very value, and not one read again.
    #[must_use]
    pub fn is(&self, config: &Arc<Config>) -> bool {
        Arc::ptr_eq(&self.config, config)
    }
}

impl Notes {
    /// Pins the user, or finds that it is another than before.
    ///
    /// # Errors
    /// It is another.
    pub fn pin(&mut self, user: &str) -> Result<(), Error> {
        match &self.user {
            Some(before) if before != user => Err(Error::UserChanged { before: before.clone(), now: user.to_owned() }),
            Some(_) => Ok(()),
            None => {
                self.user = Some(user.to_owned());
                Ok(())
            }
        }
    }
}

/// What became of the flow on this handle.
#[derive(Clone, Debug, Default)]
pub enum FlowNote {
    /// There was none: a key at sshd, su by root, a cached ticket of sudo, cron.
    #[default]
    None,
    /// It broke on our own files, and root at a real console was left to the other modules.
    BrokenGlass,
    /// It was denied, or broke.
    Denied,
    /// It was granted by the daemon, to a process that is not root. It opens no session.
    Vouched,
    /// It was granted. The other modules of the auth stack may still refuse, so the receipt is not usable yet.
    Granted(Box<Carried>),
    /// The whole auth stack succeeded, and so did the account phase.
    Usable(Box<Carried>),
    /// The receipt has opened its session. It opens no other.
    Used,
}

impl FlowNote {
    /// Whether a flow ran on this handle.
    #[must_use]
    pub const fn has_run(&self) -> bool {
        match self {
            Self::None | Self::BrokenGlass => false,
            Self::Denied | Self::Vouched | Self::Granted(_) | Self::Usable(_) | Self::Used => true,
        }
    }

    /// The receipt, if the flow was granted and has opened no session yet.
    #[must_use]
    pub fn receipt(&self) -> Option<&Carried> {
        match self {
            Self::Granted(receipt) | Self::Usable(receipt) => Some(receipt),
            Self::None | Self::BrokenGlass | Self::Denied | Self::Vouched | Self::Used => None,
        }
    }

    /// What the flow proved as far as that rule goes, if it was granted.
    #[must_use]
    pub fn factors_for(&self, rule: &Rule) -> Factors {
        match self {
            Self::Granted(receipt) | Self::Usable(receipt) => receipt.factors_for(rule),
            Self::None | Self::BrokenGlass | Self::Denied | Self::Vouched | Self::Used => Factors::none(),
        }
    }

    /// What the flow proved, if it was granted.
    #[must_use]
    pub fn factors(&self) -> Factors {
        self.receipt().map(|receipt| receipt.factors.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_changes_on_the_way_is_refused() {
        let mut notes = Notes::default();
        assert!(notes.pin("alice").is_ok());
        assert!(notes.pin("alice").is_ok());
        assert!(matches!(notes.pin("root"), Err(Error::UserChanged { .. })));
    }
}
