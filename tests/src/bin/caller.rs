//! Calls the daemon's flows as no honest program does: `caller SERVICE ANSWER..` begins a flow and answers it, `caller --flow ID ANSWER..`
//! answers somebody else's, `caller --flood` asks what is left over, sixteen times at once, until it is killed. An answer is `sealed:TEXT`, `open:TEXT` (a memory file that can still change), `long` (sealed, a MiB),
//! `pipe` (nobody ever writes to it) or `file` (of the disk). Prints `granted`, or the name of the error.

use std::{
    fs::File,
    io::Write as _,
    os::fd::{AsFd as _, OwnedFd},
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    pipe::pipe,
};
use tokio::task::JoinSet;
use zbus::{Connection, Fd, connection::Builder};

const NAME: &str = "org.authflow.sessiond1";
const PATH: &str = "/org/authflow/sessiond1";
const FLOW: &str = "org.authflow.sessiond1.Flow";
const MANAGER: &str = "org.authflow.sessiond1.Manager";

fn main() {
    let mut words = std::env::args().skip(1);
    let first = words.next().expect("a service");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let outcome = runtime.block_on(async {
        let bus = Builder::address("unix:path=/run/dbus/system_bus_socket").build().await?;
        if first == "--flood" {
            return flood(&bus).await;
        }
        if first == "--flow" {
            let flow = words.next().expect("a flow");
            return answer(&bus, &flow, words).await;
        }
        let begun = bus.call_method(Some(NAME), PATH, Some(FLOW), "Begin", &(first.as_str(), false)).await?;
        let (flow, prompts): (String, Vec<String>) = begun.body().deserialize()?;
        println!("{flow} {}", prompts.join(" "));
        answer(&bus, &flow, words).await
    });
    match outcome {
        Ok(()) => println!("granted"),
        Err(zbus::Error::MethodError(name, text, _)) => {
            println!("{} {}", name.rsplit('.').next().unwrap_or_default(), text.unwrap_or_default());
        }
        Err(other) => println!("{other}"),
    }
}

async fn flood(bus: &Connection) -> zbus::Result<()> {
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < 16 {
            let bus = bus.clone();
            under_way
                .spawn(async move { bus.call_method(Some(NAME), PATH, Some(MANAGER), "ListLeftovers", &()).await });
        }
        match under_way.join_next().await {
            Some(Ok(Ok(_) | Err(zbus::Error::MethodError(..)))) => {}
            Some(Ok(Err(gone))) => return Err(gone),
            Some(Err(_)) | None => return Ok(()),
        }
    }
}

async fn answer(bus: &Connection, flow: &str, words: impl Iterator<Item = String>) -> zbus::Result<()> {
    let mut kept_open = Vec::new();
    let answers: Vec<_> = words.map(|word| descriptor(&word, &mut kept_open)).collect();
    let descriptors: Vec<Fd<'_>> = answers.iter().map(|answer| Fd::from(answer.as_fd())).collect();
    bus.call_method(Some(NAME), PATH, Some(FLOW), "Answer", &(flow, descriptors)).await.map(drop)
}

fn descriptor(word: &str, kept_open: &mut Vec<OwnedFd>) -> OwnedFd {
    match word.split_once(':') {
        Some(("sealed", text)) => memory(text.as_bytes(), true),
        Some(("open", text)) => memory(text.as_bytes(), false),
        _ if word == "long" => memory(&vec![b'x'; 1024 * 1024], true),
        _ if word == "file" => File::open("/etc/hostname").expect("a file").into(),
        _ if word == "pipe" => {
            let (reader, writer) = pipe().expect("a pipe");
            kept_open.push(writer);
            reader
        }
        _ => panic!("no answer: {word}"),
    }
}

fn memory(bytes: &[u8], is_sealed: bool) -> OwnedFd {
    let mut file =
        File::from(memfd_create("answer", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memory file"));
    file.write_all(bytes).expect("memory");
    if is_sealed {
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK).expect("it can be sealed");
    }
    file.into()
}
