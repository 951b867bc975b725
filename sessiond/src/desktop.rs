//! Desktops. Whether somebody uses one and whether its screen is locked is logind's to know, from the desktop itself; and to lock it is
//! asked of logind, too. Learnt from its signals, so that nothing waits for logind when a session is looked at.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use authflow_core::{
    session::{Class, Session, SessionId},
    time::{BootTime, Clock, Now, WallTime},
};
use authflow_host::clock::SystemClock;
use zbus::{
    Connection, MatchRule, MessageStream, OwnedObjectPath, OwnedVariant,
    export::ordered_stream::OrderedStreamExt,
    fdo::{DBusProxy, PropertiesProxy},
    message::Type,
};

use crate::{daemon::Daemon, event::Event, log::Line};

const LOGIND: &str = "org.freedesktop.login1";
const MANAGER_PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// How long one question to logind may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whatever changes within so long is asked about once: a user may change his own hint as often as he likes, and each change that is seen
/// costs a look at all processes.
const PAUSE: Duration = Duration::from_secs(1);

/// Before each new attempt to lock a screen. logind may just be starting again.
const RETRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// What logind says about a desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Since when nobody uses it; `None` while somebody does.
    pub(crate) idle_since: Option<BootTime>,
    /// Whether its screen is locked, as far as the desktop tells.
    pub(crate) is_locked: bool,
}

/// Follows logind for as long as the daemon lives. Without it sessions are measured by their terminals.
pub(crate) async fn run(daemon: Arc<Daemon>, connection: Connection) {
    let heard = async {
        match tokio::join!(changes(&connection), owners(&connection)) {
            (Ok(mut changes), Ok(mut owners)) => loop {
                // A logind that was started again has forgotten what the desktop told.
                let is_there = tokio::select! {
                    change = changes.next() => change.is_some(),
                    owner = owners.next() => owner.is_some(),
                };
                if !is_there {
                    return;
                }
                daemon.desktops_changed.notify_one();
            },
            (Err(why), _) | (_, Err(why)) => {
                daemon.log.write(&Line::error(Event::DesktopsUnwatched).with("why", why));
            }
        }
    };
    tokio::join!(heard, ask_when_told(&daemon, &connection));
}

async fn ask_when_told(daemon: &Arc<Daemon>, connection: &Connection) {
    loop {
        daemon.desktops_changed.notified().await;
        tokio::time::sleep(PAUSE).await;
        for session in daemon.sessions_where(may_be_desktop) {
            match ask(connection, &session).await {
                Ok(hint) => daemon.desktop_seen(session.id, hint),
                Err(why) => {
                    daemon.log.write(&Line::info(Event::DesktopUnknown).with("session", session.id).with("why", why));
                }
            }
        }
    }
}

/// Locks the session's screen, in the background.
pub(crate) fn lock(daemon: &Arc<Daemon>, connection: &Connection, id: SessionId) {
    let Some(logind_id) = daemon.find(id).and_then(|session| session.logind_id) else { return };
    let (daemon, connection) = (Arc::clone(daemon), connection.clone());
    tokio::spawn(async move {
        let mut pauses = RETRIES.into_iter();
        loop {
            match lock_once(&connection, &logind_id).await {
                Ok(()) => return daemon.log.write(&Line::info(Event::Locked).with("session", id)),
                Err(why) => daemon.log.write(&Line::error(Event::NotLocked).with("session", id).with("why", why)),
            }
            let Some(pause) = pauses.next() else { return daemon.lock_failed(id) };
            tokio::time::sleep(pause).await;
        }
    });
}

/// Asks logind once to lock a screen.
///
/// # Errors
/// logind is not there, or knows no such session.
pub(crate) async fn lock_once(connection: &Connection, logind_id: &str) -> zbus::Result<()> {
    call(connection, "LockSession", logind_id).await.map(drop)
}

/// A login at this machine that logind knows: only there can a desktop be. One from elsewhere could call itself a desktop that is in use.
fn may_be_desktop(session: &Session) -> bool {
    session.opening.class != Class::Nested && session.opening.remote_host.is_none() && session.logind_id.is_some()
}

/// What logind says about the session: `None` if it is no desktop, or is led by another process and thus not ours.
async fn ask(connection: &Connection, session: &Session) -> zbus::Result<Option<Hint>> {
    let logind_id = session.logind_id.as_deref().unwrap_or_default();
    let path: OwnedObjectPath = call(connection, "GetSession", logind_id).await?.body().deserialize()?;
    let properties = PropertiesProxy::builder(connection).destination(LOGIND).path(path).build().await?;
    let asked = tokio::time::timeout(PATIENCE, properties.get_all(SESSION.try_into()?)).await;
    let told = asked.map_err(|_elapsed| too_late())??;
    Ok(hint(&told, session.leader.pid, SystemClock.now()))
}

fn hint(told: &HashMap<String, OwnedVariant>, leader: u32, now: Now) -> Option<Hint> {
    let text = |key: &str| told.get(key).and_then(|value| <&str>::try_from(&**value).ok());
    let number = |key: &str| told.get(key).and_then(|value| u32::try_from(&**value).ok());
    let flag = |key: &str| told.get(key).and_then(|value| bool::try_from(&**value).ok());
    let is_desktop = matches!(text("Type"), Some("x11" | "wayland" | "mir"));
    if !is_desktop || number("Leader") != Some(leader) {
        return None;
    }
    let since = told.get("IdleSinceHint").and_then(|value| u64::try_from(&**value).ok());
    // Taken over on the boot clock at once, before anybody sets the other one.
    let ago = since.map_or(Duration::ZERO, |since| now.wall.saturating_since(WallTime::from_micros(since)));
    let is_idle = flag("IdleHint")?;
    Some(Hint {
        idle_since: is_idle.then(|| now.boot.saturating_sub(ago)),
        is_locked: flag("LockedHint").unwrap_or_default(),
    })
}

/// Asks logind's manager something about a session.
///
/// # Errors
/// There is no logind or no such session, or it does not answer.
pub(crate) async fn call(connection: &Connection, method: &str, logind_id: &str) -> zbus::Result<zbus::Message> {
    let call = connection.call_method(Some(LOGIND), MANAGER_PATH, Some(MANAGER), method, &logind_id);
    tokio::time::timeout(PATIENCE, call).await.map_err(|_elapsed| too_late())?
}

async fn changes(connection: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(LOGIND)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path_namespace("/org/freedesktop/login1/session")
        .build()?;
    // Whatever it says, all are asked about: a few that wait are enough.
    MessageStream::for_match_rule(rule, connection, NonZeroUsize::new(4)).await
}

async fn owners(connection: &Connection) -> zbus::Result<zbus::fdo::NameOwnerChangedStream> {
    DBusProxy::new(connection).await?.receive_name_owner_changed_with_args(&[(0, LOGIND)]).await
}

fn too_late() -> zbus::Error {
    zbus::Error::Failure(format!("no answer within {PATIENCE:?}"))
}

#[cfg(test)]
mod tests {
    use zbus::Variant;

    use super::*;

    fn told(pairs: [(&str, Variant<'_>); 5]) -> HashMap<String, OwnedVariant> {
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value.try_into_owned().unwrap())).collect()
    }

    fn now() -> Now {
        let secs = Duration::from_secs;
        Now { boot: BootTime::new(secs(1000)), wall: WallTime::new(secs(1_000_000)) }
    }

    fn desktop(kind: &str, is_idle: bool) -> HashMap<String, OwnedVariant> {
        told([
            ("Type", kind.into()),
            ("Leader", 7_u32.into()),
            ("IdleHint", is_idle.into()),
            ("IdleSinceHint", 999_940_000_000_u64.into()),
            ("LockedHint", true.into()),
        ])
    }

    #[test]
    fn a_desktop_says_since_when_nobody_uses_it() {
        let since = BootTime::new(Duration::from_secs(940));
        assert_eq!(hint(&desktop("wayland", true), 7, now()), Some(Hint { idle_since: Some(since), is_locked: true }));
        assert_eq!(hint(&desktop("x11", false), 7, now()), Some(Hint { idle_since: None, is_locked: true }));
    }

    #[test]
    fn a_terminal_and_what_another_process_leads_is_no_desktop_of_ours() {
        assert_eq!(hint(&desktop("tty", true), 7, now()), None);
        assert_eq!(hint(&desktop("wayland", true), 8, now()), None);
    }
}
