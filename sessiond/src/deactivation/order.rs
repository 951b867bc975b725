//! What an administrator orders over the bus: a user is kept out and all that is open ends, or is let in again.

use std::{collections::BTreeSet, sync::Arc};

use authflow_bus::Error;
use authflow_core::{
    deactivation::{Mark, User},
    session::Session,
};
use authflow_host::{
    accounts::{self, Account, AccountError},
    records::{RecordError, Records},
};
use zbus::Connection;

use super::{
    beside::{Beside, NoAnswer},
    starts_again,
    sweep::{self, Reach},
};
use crate::{daemon::Daemon, event::Event, log::Line};

/// Orders at a time.
static MARKS: Beside = Beside::new(4);

/// Whom it is about, by whose word, and what the user is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    /// The user's name, in whatever spelling the name services know. The mark goes by the account's own, and no other name of the same uid
    /// is meant.
    pub(crate) user: &'a str,
    /// Who orders it.
    pub(crate) by: &'a str,
    /// Whether root does: only then it may be about root, or about somebody of whom no uid can be found out.
    pub(crate) by_root: bool,
    /// What the user is told.
    pub(crate) message: &'a str,
}

/// Why the order is not carried out.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error("there is no user {0}")]
    NoUser(String),
    #[error("root's account is for root to decide about")]
    Roots,
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
    let Order { by, message, .. } = order;
    let Meant { name, users } = meant(daemon, order).await.map_err(|why| refusal(&why, "nothing is done"))?;
    let user = name.as_str();
    let mark = Mark { by: by.to_owned(), message: message.to_owned(), uid: None };
    let marked = change_mark(daemon, user, move |records, user| records.disable(user, &mark)).await;
    let mut ended = 0;
    for user in users {
        ended += daemon.deactivate(&user, None, (Some(by), message));
        sweep::begin(daemon, connection, (user.clone(), Reach::Everything), drop);
        starts_again::tell(daemon, user);
    }
    match marked {
        Ok(is_new) => {
            let line = Line::warning(Event::Deactivated).with("user", user).with("by", by).with("sessions", ended);
            daemon.log.write(&line.with("message", message));
            Ok((is_new, ended))
        }
        Err(why) => {
            daemon.log.write(&Line::error(Event::NotDisabled).with("user", user).with("by", by).with("why", &why));
            Err(refusal(&why, "the user is not kept out, only what was open ends"))
        }
    }
}

/// Lets the user in again; tells whether that changed anything.
///
/// # Errors
/// The mark cannot be taken away.
pub(crate) async fn enable(daemon: &Arc<Daemon>, order: Order<'_>) -> Result<bool, Error> {
    let Order { by, .. } = order;
    let kept = |why: &Undone| refusal(why, "the user stays disabled");
    let Meant { name: user, .. } = meant(daemon, order).await.map_err(|why| kept(&why))?;
    let mut was_there = change_mark(daemon, &user, Records::enable).await.map_err(|why| kept(&why))?;
    if user != order.user {
        // What goes by another spelling keeps nobody out, and would be told as a mark for ever.
        was_there |= change_mark(daemon, order.user, Records::enable).await.map_err(|why| kept(&why))?;
    }
    if was_there {
        daemon.log.write(&Line::warning(Event::Reactivated).with("user", user).with("by", by));
    }
    Ok(was_there)
}

/// Whom an order is about.
struct Meant {
    /// The account's own name, as far as it is known.
    name: String,
    /// One uid or, where an account was made anew, two.
    users: BTreeSet<User>,
}

/// Whom the order is about. The sessions tell; only of who has none the name services are asked. For root they need not answer, since the
/// mark goes by the name: then there are no sessions to end, either.
async fn meant(daemon: &Arc<Daemon>, order: Order<'_>) -> Result<Meant, Undone> {
    let mut name = order.user.to_owned();
    let mut users = with_sessions(daemon, &name);
    if users.is_empty() {
        match known(order.user).await {
            Ok(Some(account)) => {
                if account.name != name {
                    users = with_sessions(daemon, &account.name);
                }
                name.clone_from(&account.name);
                let _is_new = users.insert(User { uid: account.uid, name: account.name });
            }
            Ok(None) if order.by_root && is_on_record(daemon, order.user).await? => {}
            Ok(None) => return Err(Undone::NoUser(order.user.to_owned())),
            Err(why) if order.by_root => {
                daemon.log.write(&Line::warning(Event::AccountUnknown).with("user", order.user).with("why", why));
            }
            Err(why) => return Err(why),
        }
    }
    if !order.by_root && users.iter().any(|user| user.uid == 0) {
        return Err(Undone::Roots);
    }
    Ok(Meant { name, users })
}

/// The users of that very name who have sessions.
fn with_sessions(daemon: &Daemon, name: &str) -> BTreeSet<User> {
    let sessions = daemon.sessions_where(|session| session.opening.user == name);
    sessions.into_iter().map(|Session { opening, .. }| User { uid: opening.uid, name: opening.user }).collect()
}

/// The account that the name services know by the name.
async fn known(user: &str) -> Result<Option<Account>, Undone> {
    let user = user.to_owned();
    Ok(MARKS.run(move || accounts::by_name(&user)).await??)
}

/// Whether there is anything of ours by that name, so that it is no typing error.
async fn is_on_record(daemon: &Arc<Daemon>, user: &str) -> Result<bool, Undone> {
    let (records, user) = (Records::new(daemon.paths.clone()), user.to_owned());
    Ok(MARKS.run(move || records.is_known(&user)).await??)
}

/// Changes the mark of that name and of no other.
async fn change_mark(
    daemon: &Arc<Daemon>,
    user: &str,
    change: impl FnOnce(&Records, &str) -> Result<bool, RecordError> + Send + 'static,
) -> Result<bool, Undone> {
    let (records, user) = (Records::new(daemon.paths.clone()), user.to_owned());
    Ok(MARKS.run(move || change(&records, &user)).await??)
}

fn refusal(why: &Undone, consequence: &str) -> Error {
    match why {
        Undone::NoUser(_) => Error::NoSuchUser(why.to_string()),
        Undone::Roots => Error::NotAuthorized(why.to_string()),
        Undone::Account(_) | Undone::Record(_) | Undone::NoAnswer(_) => {
            Error::Degraded(format!("{consequence}: {why}"))
        }
    }
}
