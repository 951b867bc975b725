//! What is asked of systemd. Each question is bounded; a machine without systemd answers none.

use std::{path::Path, time::Duration};

use zbus::{Connection, OwnedObjectPath, Variant};

/// Its name on the bus.
pub(crate) const NAME: &str = "org.freedesktop.systemd1";
/// Its manager's object.
pub(crate) const PATH: &str = "/org/freedesktop/systemd1";
/// Its manager's interface.
pub(crate) const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// How it says that there is no unit of a name.
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A row of `ListUnitsByPatterns`: the name comes first.
type Unit = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// The properties of a unit.
type Properties<'a> = Vec<(&'a str, Variant<'a>)>;

/// Whether systemd runs this machine (sd_booted(3)).
#[must_use]
pub(crate) fn runs_here() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Begins to stop a unit.
///
/// # Errors
/// There is none of that name, or no systemd.
pub(crate) async fn stop(connection: &Connection, unit: &str) -> zbus::Result<()> {
    match call(connection, "StopUnit", &(unit, "replace")).await {
        Err(zbus::Error::MethodError(name, _, _)) if name.as_str() == NO_SUCH_UNIT => Ok(()),
        stopped => stopped.map(drop),
    }
}

/// Has systemd tell of jobs and units.
///
/// # Errors
/// systemd does not answer.
pub(crate) async fn subscribe(connection: &Connection) -> zbus::Result<()> {
    call(connection, "Subscribe", &()).await.map(drop)
}

/// The loaded units in one of these states, or in any if none is named, whose names match the pattern.
///
/// # Errors
/// systemd does not answer.
pub(crate) async fn units(connection: &Connection, states: &[&str], pattern: &str) -> zbus::Result<Vec<String>> {
    let reply = call(connection, "ListUnitsByPatterns", &(states, [pattern].as_slice())).await?;
    let units: Vec<Unit> = reply.body().deserialize()?;
    Ok(units.into_iter().map(|unit| unit.0).collect())
}

/// A command that is to be run once, later, by systemd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later<'a> {
    /// The name of the units, without an ending.
    pub(crate) name: &'a str,
    /// What it is for.
    pub(crate) description: &'a str,
    /// In how long.
    pub(crate) delay: Duration,
    /// The program, and its arguments from the first behind its name.
    pub(crate) command: (&'a str, &'a [&'a str]),
}

/// Has systemd run a command later. Stopping the timer takes it back.
///
/// # Errors
/// The name is taken, or systemd does not answer.
pub(crate) async fn run_later(connection: &Connection, later: Later<'_>) -> zbus::Result<()> {
    let Later { name, description, delay, command: (program, arguments) } = later;
    let (timer, service) = (format!("{name}.timer"), format!("{name}.service"));
    let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
    let when: Properties<'_> = vec![
        ("Description", description.into()),
        ("TimersMonotonic", vec![("OnActiveSec", micros)].into()),
        // A minute is the default.
        ("AccuracyUSec", 1_000_000_u64.into()),
        ("RemainAfterElapse", false.into()),
        ("CollectMode", "inactive-or-failed".into()),
    ];
    let words: Vec<&str> = std::iter::once(program).chain(arguments.iter().copied()).collect();
    let what: Properties<'_> = vec![
        ("Description", description.into()),
        ("Type", "oneshot".into()),
        ("ExecStart", vec![(program, words, false)].into()),
        ("CollectMode", "inactive-or-failed".into()),
    ];
    let body = (timer.as_str(), "fail", when, vec![(service.as_str(), what)]);
    call(connection, "StartTransientUnit", &body).await.map(drop)
}

/// Begins a scope around one process, and gives the job that does it.
///
/// # Errors
/// The name is taken, the process is gone, or systemd does not answer.
pub(crate) async fn begin_scope(
    connection: &Connection,
    unit: &str,
    description: &str,
    pid: u32,
) -> zbus::Result<OwnedObjectPath> {
    let what: Properties<'_> = vec![
        ("Description", description.into()),
        ("Slice", "user.slice".into()),
        // As for logind's: when the machine stops, a session ends before what it needs.
        ("After", vec!["systemd-user-sessions.service"].into()),
        ("SendSIGHUP", true.into()),
        ("TasksMax", u64::MAX.into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("PIDs", vec![pid].into()),
    ];
    let others: Vec<(&str, Properties<'_>)> = Vec::new();
    let reply = call(connection, "StartTransientUnit", &(unit, "fail", what, others)).await?;
    reply.body().deserialize()
}

async fn call<B: zbus::export::serde::Serialize + zbus::DynamicType + Sync>(
    connection: &Connection,
    method: &str,
    body: &B,
) -> zbus::Result<zbus::Message> {
    let call = connection.call_method(Some(NAME), PATH, Some(MANAGER), method, body);
    tokio::time::timeout(PATIENCE, call)
        .await
        .map_err(|_elapsed| zbus::Error::Failure(format!("no answer from systemd within {PATIENCE:?}")))?
}
