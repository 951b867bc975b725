//! What an administrator orders over the bus: a user is kept out and all that is open ends, or is let in again.

use std::sync::Arc;

use authflow_bus::Error;
use authflow_host::{
    accounts::{self, AccountError},
    records::{RecordError, Records},
};
use zbus::Connection;

use super::{
    beside::{Beside, NoAnswer},
    starts_again,
    sweep::{self, Reach},
};
use crate::{daemon::Daemon, log::Line};

/// Orders at a time.
static MARKS: Beside = Beside::new(4);

/// Whom it is about, by whose word, and what the user is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    /// The user.
    pub(crate) uid: u32,
    /// Who orders it.
    pub(crate) by: &'a str,
    /// What the user is told.
    pub(crate) message: &'a str,
}

/// Why the mark could not be changed.
#[derive(Debug, thiserror::Error)]
enum NotMarked {
    #[error("there is no user with the uid {0}")]
    NoUser(u32),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// Keeps the user out, and ends all that is open. Tells whether the mark is new, and how many sessions end. They end also where the mark
/// cannot be written: the account may be a thief's.
///
/// # Errors
/// The user is not kept out.
pub(crate) async fn disable(
    daemon: &Arc<Daemon>,
    connection: &Connection,
    order: Order<'_>,
) -> Result<(bool, u32), Error> {
    let Order { uid, by, message } = order;
    let note = format!("by {by}: {message}");
    let marked = change_mark(daemon, uid, move |records, user| records.disable(user, &note)).await;
    let ended = daemon.deactivate(uid, None, (Some(by), message));
    sweep::begin(daemon, connection, uid, Reach::Everything);
    let user = marked.as_ref().ok().map(|(user, _)| user.clone()).or_else(|| daemon.user_of(uid));
    starts_again::tell(daemon, uid, user);
    let line = Line::warning("deactivated").with("uid", uid).with("by", by).with("sessions", ended);
    match marked {
        Ok((user, is_new)) => {
            daemon.log.write(&line.with("user", &user).with("message", message));
            Ok((is_new, ended))
        }
        Err(why) => {
            daemon.log.write(&Line::error("not-disabled").with("uid", uid).with("by", by).with("why", &why));
            Err(refusal(&why, "the user is not kept out, only what was open ends"))
        }
    }
}

/// Lets the user in again; tells whether that changed anything.
///
/// # Errors
/// The mark cannot be taken away.
pub(crate) async fn enable(daemon: &Arc<Daemon>, uid: u32, by: &str) -> Result<bool, Error> {
    let (user, was_there) =
        change_mark(daemon, uid, Records::enable).await.map_err(|why| refusal(&why, "the user stays disabled"))?;
    if was_there {
        daemon.log.write(&Line::warning("reactivated").with("user", &user).with("uid", uid).with("by", by));
    }
    Ok(was_there)
}

/// Changes the mark of the user of that uid; tells the name and what `change` tells. The account may be gone while sessions live on.
async fn change_mark(
    daemon: &Arc<Daemon>,
    uid: u32,
    change: impl FnOnce(&Records, &str) -> Result<bool, RecordError> + Send + 'static,
) -> Result<(String, bool), NotMarked> {
    let known = daemon.user_of(uid);
    let paths = daemon.paths.clone();
    MARKS
        .run(move || {
            let user = accounts::by_uid(uid)?.map(|account| account.name).or(known).ok_or(NotMarked::NoUser(uid))?;
            let is_changed = change(&Records::new(paths), &user)?;
            Ok((user, is_changed))
        })
        .await?
}

fn refusal(why: &NotMarked, consequence: &str) -> Error {
    match why {
        NotMarked::NoUser(_) => Error::NoSuchUser(why.to_string()),
        NotMarked::Account(_) | NotMarked::Record(_) | NotMarked::NoAnswer(_) => {
            Error::Degraded(format!("{consequence}: {why}"))
        }
    }
}
