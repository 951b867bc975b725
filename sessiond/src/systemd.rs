//! What is asked of systemd. Each question is bounded; a machine without systemd answers none.

use std::{collections::HashMap, path::Path, time::Duration};

use authflow_core::time::WallTime;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant, fdo::DBusProxy, names::OwnedUniqueName};

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

/// The properties that a unit is to get.
type Properties<'a> = Vec<(&'a str, Variant<'a>)>;

/// The properties that a unit has.
type Settings = HashMap<String, OwnedVariant>;

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

/// A command that is to be run later, by systemd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Later<'a> {
    /// The name of the units, without an ending.
    pub(crate) name: &'a str,
    /// What it is for.
    pub(crate) description: &'a str,
    /// In how long, by the clock that stands still while the machine sleeps.
    pub(crate) delay: Duration,
    /// And once more when the wall clock says so, or when the machine wakes after that; whoever sets that clock has it run early.
    pub(crate) at: WallTime,
    /// The program, and its arguments from the first behind its name.
    pub(crate) command: (&'a str, &'a [&'a str]),
}

/// Has systemd run a command later, by either clock. Stopping the timer takes it back.
///
/// # Errors
/// The name is taken, or systemd does not answer.
pub(crate) async fn run_later(connection: &Connection, later: Later<'_>) -> zbus::Result<()> {
    let Later { name, description, delay, at, command: (program, arguments) } = later;
    let (timer, service) = (format!("{name}.timer"), format!("{name}.service"));
    let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
    let when: Properties<'_> = vec![
        ("Description", description.into()),
        ("TimersMonotonic", vec![("OnActiveSec", micros)].into()),
        ("TimersCalendar", vec![("OnCalendar", format!("@{}", at.as_secs()))].into()),
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

/// Its connection's own name on the bus, which nobody else has.
///
/// # Errors
/// There is no systemd on the bus.
pub(crate) async fn connection_name(connection: &Connection) -> zbus::Result<OwnedUniqueName> {
    Ok(DBusProxy::new(connection).await?.get_name_owner(NAME.try_into()?).await?)
}

/// What of a unit's settings holds for its cgroup, and not for a process that leaves it. `TasksMax` has a default that is one.
const CONFINING: [&str; 22] = [
    "AllowedCPUs",
    "AllowedMemoryNodes",
    "BPFProgram",
    "CPUQuotaPerSecUSec",
    "DeviceAllow",
    "DevicePolicy",
    "IOReadBandwidthMax",
    "IOReadIOPSMax",
    "IOWriteBandwidthMax",
    "IOWriteIOPSMax",
    "IPAddressDeny",
    "IPEgressFilterPath",
    "IPIngressFilterPath",
    "MemoryHigh",
    "MemoryMax",
    "MemorySwapMax",
    "MemoryZSwapMax",
    "NFTSet",
    "RestrictFileSystems",
    "RestrictNetworkInterfaces",
    "SocketBindAllow",
    "SocketBindDeny",
];

/// What confines the process in its service's cgroup or in one of the slices around that, if anything does: "its service has MemoryMax=".
///
/// # Errors
/// The process is in no service, or systemd does not answer.
pub(crate) async fn confinement(connection: &Connection, pid: u32) -> zbus::Result<Option<String>> {
    let unit = call(connection, "GetUnitByPID", &pid).await?;
    let service = settings(connection, &unit.body().deserialize()?, "org.freedesktop.systemd1.Service").await?;
    if let Some(setting) = confining(&service) {
        return Ok(Some(format!("its service has {setting}=")));
    }
    let slice = service.get("Slice").and_then(|slice| <&str>::try_from(&**slice).ok()).unwrap_or_default();
    for slice in slices_from(slice) {
        let unit = call(connection, "GetUnit", &slice).await?;
        let set = settings(connection, &unit.body().deserialize()?, "org.freedesktop.systemd1.Slice").await?;
        if let Some(setting) = confining(&set) {
            return Ok(Some(format!("its slice {slice} has {setting}=")));
        }
    }
    Ok(None)
}

/// A slice and those around it, up to the one of all services: a limit of that one is for the services together, and for no login.
fn slices_from(innermost: &str) -> impl Iterator<Item = String> {
    let first = innermost.strip_suffix(".slice").filter(|name| *name != "-").map(str::to_owned);
    let around = |name: &String| name.rsplit_once('-').map(|(around, _)| around.to_owned());
    std::iter::successors(first, around).take_while(|name| name != "system").map(|name| format!("{name}.slice"))
}

/// What is set of a unit's properties of one kind.
async fn settings(connection: &Connection, unit: &OwnedObjectPath, kind: &str) -> zbus::Result<Settings> {
    let properties = "org.freedesktop.DBus.Properties";
    let asked = connection.call_method(Some(NAME), unit.as_str(), Some(properties), "GetAll", &kind);
    within_patience(asked).await?.body().deserialize()
}

fn confining(set: &Settings) -> Option<&'static str> {
    CONFINING.into_iter().find(|name| set.get(*name).is_some_and(|value| confines(value)))
}

/// Whether such a setting is another than what a unit has that says nothing: no limit, no list, and devices by themselves.
fn confines(value: &Variant<'_>) -> bool {
    match value {
        Variant::U64(most) => *most != u64::MAX,
        Variant::Str(word) => word.as_str() != "auto",
        Variant::Array(list) => !list.is_empty(),
        // Whether a list is of what is allowed, and the list.
        Variant::Structure(parts) => parts.fields().iter().any(confines),
        Variant::Bool(is_all_that_is_allowed) => *is_all_that_is_allowed,
        // None of them is of such a type. What nobody foresaw is left alone.
        Variant::U8(_)
        | Variant::I16(_)
        | Variant::U16(_)
        | Variant::I32(_)
        | Variant::U32(_)
        | Variant::I64(_)
        | Variant::F64(_)
        | Variant::Signature(_)
        | Variant::ObjectPath(_)
        | Variant::Variant(_)
        | Variant::Dict(_)
        | Variant::Fd(_) => true,
    }
}

/// Asks for a scope around one process. A job begins it.
///
/// # Errors
/// The name is taken, the process is gone, or systemd does not answer.
pub(crate) async fn begin_scope(connection: &Connection, unit: &str, description: &str, pid: u32) -> zbus::Result<()> {
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
    call(connection, "StartTransientUnit", &(unit, "fail", what, others)).await.map(drop)
}

async fn call<B: zbus::export::serde::Serialize + zbus::DynamicType + Sync>(
    connection: &Connection,
    method: &str,
    body: &B,
) -> zbus::Result<zbus::Message> {
    within_patience(connection.call_method(Some(NAME), PATH, Some(MANAGER), method, body)).await
}

async fn within_patience(asked: impl Future<Output = zbus::Result<zbus::Message>>) -> zbus::Result<zbus::Message> {
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    answer.map_err(|_elapsed| zbus::Error::Failure(format!("no answer from systemd within {PATIENCE:?}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_slices_around_a_service_count_up_to_the_one_of_all_services() {
        let from = |slice| slices_from(slice).collect::<Vec<_>>();
        assert_eq!(from("system-getty.slice"), ["system-getty.slice"]);
        assert_eq!(from("system-doors-back.slice"), ["system-doors-back.slice", "system-doors.slice"]);
        assert_eq!(from("doors.slice"), ["doors.slice"]);
        for none in ["system.slice", "-.slice", "", "no slice"] {
            assert!(from(none).is_empty(), "{none:?}");
        }
    }

    #[test]
    fn a_service_that_says_nothing_confines_nothing() {
        let none: Vec<&str> = Vec::new();
        let defaults = [Variant::from(u64::MAX), "auto".into(), none.clone().into(), (false, none.clone()).into()];
        assert!(!defaults.iter().any(confines));
        let lists = [vec!["eth0"].into(), (false, vec!["eth0"]).into(), (true, none).into()];
        for set in [Variant::from(1_u64 << 30), "closed".into()].into_iter().chain(lists) {
            assert!(confines(&set), "{set:?}");
        }
    }
}
