//! Plays systemd where there is none, as far as the daemon asks it to hold a login together, and somebody besides who forges its signals:
//! before the answer, more of them than are kept anywhere, and behind it one which says that all is done. Nothing goes on until the
//! daemon has answered the forger's own call, so it has read all that. Of the scope of a login of bob's it never tells that it has begun.

use std::{collections::HashMap, fs};

use zbus::{
    Connection, Message, MessageStream, ObjectPath, OwnedVariant, connection::Builder,
    export::ordered_stream::OrderedStreamExt as _, message::Type,
};

const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const DAEMON: &str = "org.authflow.sessiond1";

/// More than the daemon keeps of anything.
const MANY: usize = 300;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (systemd, forger) = (connect().await, connect().await);
        let mut calls = MessageStream::from(&systemd);
        systemd.request_name("org.freedesktop.systemd1").await.expect("the name is free");
        while let Some(Ok(call)) = calls.next().await {
            if call.message_type() == Type::MethodCall {
                answer(&call, &systemd, &forger).await.expect("the bus lives");
            }
        }
    });
}

async fn connect() -> Connection {
    Builder::address("unix:path=/run/dbus/system_bus_socket").build().await.expect("a bus")
}

async fn answer(call: &Message, systemd: &Connection, forger: &Connection) -> zbus::Result<()> {
    let header = call.header();
    match header.member().map_or("", |member| member.as_str()) {
        "GetUnitByPID" => systemd.reply(&header, &ObjectPath::try_from(PATH)?).await,
        "GetAll" => systemd.reply(&header, &HashMap::<&str, OwnedVariant>::new()).await,
        "StartTransientUnit" => begin_scope(call, systemd, forger).await,
        _ => systemd.reply_error(&header, "org.freedesktop.DBus.Error.UnknownMethod", &"only scopes").await,
    }
}

async fn begin_scope(call: &Message, systemd: &Connection, forger: &Connection) -> zbus::Result<()> {
    type Properties = Vec<(String, OwnedVariant)>;
    let body = call.body();
    let (unit, _mode, mut what, _others): (String, String, Properties, Vec<(String, Properties)>) =
        body.deserialize()?;
    let mut set = |name: &str| {
        let place = what.iter().position(|(key, _)| key == name).expect("the daemon sets it");
        what.swap_remove(place).1
    };
    let pids: Vec<u32> = set("PIDs").try_into()?;
    let description: String = set("Description").try_into()?;
    let job = ObjectPath::try_from("/org/freedesktop/systemd1/job/7")?;
    let done = (7_u32, &job, unit.as_str(), "done");

    for _ in 0..MANY {
        forger.emit_signal(Some(DAEMON), PATH, MANAGER, "JobRemoved", &done).await?;
    }
    is_read(forger).await?;
    systemd.reply(&call.header(), &job).await?;
    forger.emit_signal(Some(DAEMON), PATH, MANAGER, "JobRemoved", &done).await?;
    is_read(forger).await?;
    let folder = format!("/sys/fs/cgroup/user.slice/{unit}");
    fs::create_dir(&folder).expect("a cgroup can be made");
    for pid in pids {
        fs::write(format!("{folder}/cgroup.procs"), pid.to_string()).expect("the leader can be moved");
    }
    if description.ends_with(" of bob") {
        return Ok(());
    }
    systemd.emit_signal(None::<&str>, PATH, MANAGER, "JobRemoved", &done).await
}

/// Waits until the daemon has read what the forger sent it so far.
async fn is_read(forger: &Connection) -> zbus::Result<()> {
    let peer = "org.freedesktop.DBus.Peer";
    forger.call_method(Some(DAEMON), "/org/authflow/sessiond1", Some(peer), "Ping", &()).await.map(drop)
}
