//! The kernel's audit log. libpam writes there that somebody authenticated and that a session was opened and closed; what it cannot know is
//! written here, in records of the same shape: with which factors, that a locker was unlocked, and that a session ended although its
//! program never said so.
//!
//! The kernel lets a sender wait when its own queue is full, so a thread of its own writes. What finds no room, or no audit log, is lost:
//! nothing depends on it, and the log has the same.

use std::{
    fmt::Write as _,
    net::IpAddr,
    os::fd::OwnedFd,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use authflow_core::session::{EndReason, Ended, Opening, SessionId};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType,
    netlink::{self, SocketAddrNetlink},
    sendto, socket_with,
};

/// So many records wait for a kernel that lets us wait.
const MOST: usize = 1000;

/// Types of records, as the kernel numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `USER_AUTH`: somebody authenticated, or tried to.
    Authentication = 1100,
    /// `USER_END`: a session ended.
    End = 1106,
    /// `TRUSTED_APP`: what no other type is for.
    Details = 1121,
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    kind: Kind,
    text: String,
}

/// The way to the kernel's audit log, if there is one.
#[derive(Debug)]
pub(crate) struct Audit(Option<SyncSender<Record>>);

impl Audit {
    /// Opens the way. Without one (a kernel without audit, a container) records are lost from the start.
    #[must_use]
    pub(crate) fn open() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::AUDIT));
        let (way, records) = sync_channel(MOST);
        let writer =
            |socket| std::thread::Builder::new().name("audit".to_owned()).spawn(move || write(&socket, &records));
        Self(socket.ok().and_then(|socket| writer(socket).ok()).map(|_thread| way))
    }

    /// Hands a record over. Never blocks.
    pub(crate) fn tell(&self, record: Record) {
        if let Some(way) = &self.0 {
            let _lost = way.try_send(record);
        }
    }
}

/// Ends with the daemon.
fn write(socket: &OwnedFd, records: &Receiver<Record>) {
    let kernel = SocketAddrNetlink::new(0, 0);
    for (number, record) in (1_u32..).zip(records) {
        // Refused without the right to write there, as in a container.
        let _lost = sendto(socket, &message(number, &record), SendFlags::empty(), &kernel);
    }
}

/// The netlink message of a record; the kernel takes its text with a zero behind it.
fn message(number: u32, record: &Record) -> Vec<u8> {
    const HEADER: usize = 16;
    const REQUEST: u16 = 1;
    let length = u32::try_from(HEADER + record.text.len() + 1).unwrap_or(u32::MAX);
    let mut message = Vec::new();
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&(record.kind as u16).to_ne_bytes());
    message.extend_from_slice(&REQUEST.to_ne_bytes());
    message.extend_from_slice(&number.to_ne_bytes());
    // The kernel knows the sender.
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(record.text.as_bytes());
    message.push(0);
    message
}

impl Record {
    /// A session is tracked: what was proved for it.
    #[must_use]
    pub(crate) fn opened(id: SessionId, opening: &Opening) -> Self {
        let details = [
            ("session", id.to_string()),
            ("flow", opening.flow.clone().unwrap_or_default()),
            ("service", opening.service.clone()),
            ("factors", opening.factors.to_string()),
            ("aal", opening.aal.to_string()),
            ("rule", opening.rule.clone()),
        ];
        let place = (opening.remote_host.as_deref(), opening.tty.as_deref());
        Self { kind: Kind::Details, text: text("opened", &opening.user, &details, place, true) }
    }

    /// A session is over. None where its program has closed it: libpam has written that.
    #[must_use]
    pub(crate) fn closed(ended: &Ended) -> Option<Self> {
        let opening = &ended.session.opening;
        let details = [
            ("session", ended.session.id.to_string()),
            ("service", opening.service.clone()),
            ("reason", ended.reason.as_str().to_owned()),
            ("by", ended.by.clone().unwrap_or_default()),
        ];
        let place = (opening.remote_host.as_deref(), opening.tty.as_deref());
        let is_told = ended.reason == EndReason::Logout;
        (!is_told).then(|| Self { kind: Kind::End, text: text("session_close", &opening.user, &details, place, true) })
    }

    /// A flow of a process that is not root was judged.
    #[must_use]
    pub(crate) fn judged((flow, user, service): (&str, &str, &str), factors: Option<String>) -> Self {
        let is_granted = factors.is_some();
        let details =
            [("flow", flow.to_owned()), ("service", service.to_owned()), ("factors", factors.unwrap_or_default())];
        Self { kind: Kind::Authentication, text: text("authentication", user, &details, (None, None), is_granted) }
    }
}

/// The text, in the order in which libaudit writes such records. A detail that is empty is left out.
fn text(
    op: &str,
    user: &str,
    details: &[(&str, String)],
    (host, tty): (Option<&str>, Option<&str>),
    is_success: bool,
) -> String {
    let mut text = format!("op=authflow:{op} acct={}", encoded(user));
    for (key, value) in details.iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a string cannot fail.
        let _always_ok = write!(text, " {key}={}", encoded(value));
    }
    let address = host.filter(|host| host.parse::<IpAddr>().is_ok()).unwrap_or("?");
    let terminal = tty.filter(|tty| is_word(tty)).unwrap_or("?");
    let result = if is_success { "success" } else { "failed" };
    let _always_ok = write!(
        text,
        " exe=\"/usr/libexec/authflow-sessiond\" hostname=? addr={address} terminal={terminal} res={result}"
    );
    text
}

/// As audit's readers expect text from outside: in double quotes, or in hexadecimal digits where anything in it could end them.
fn encoded(value: &str) -> String {
    let is_harmless = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\'';
    if value.bytes().all(is_harmless) {
        return format!("\"{value}\"");
    }
    value.bytes().fold(String::new(), |mut hex, byte| {
        let _always_ok = write!(hex, "{byte:02X}");
        hex
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.:-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use authflow_core::session::Class;

    use super::*;

    fn opening(user: &str) -> Opening {
        Opening {
            user: user.to_owned(),
            uid: 1000,
            target: user.to_owned(),
            target_uid: 1000,
            service: "sshd".to_owned(),
            tty: None,
            remote_host: Some("192.0.2.7".to_owned()),
            class: Class::User,
            factors: "password+totp".split('+').filter_map(|word| word.parse().ok()).collect(),
            aal: 2,
            rule: "ssh to all".to_owned(),
            limits: authflow_core::policy::Limits::default(),
            authenticated_at: None,
            flow: None,
            vouched_by: None,
        }
    }

    #[test]
    fn a_record_has_the_shape_of_libaudits_and_our_details() {
        let record = Record::opened(SessionId::new([0; 16]), &opening("alice"));
        let (front, rest) = record.text.split_once(" session=").unwrap();
        assert_eq!(front, "op=authflow:opened acct=\"alice\"");
        let (_, rest) = rest.split_once(' ').unwrap();
        assert_eq!(
            rest,
            "service=\"sshd\" factors=\"password+totp\" aal=\"2\" rule=73736820746F20616C6C \
             exe=\"/usr/libexec/authflow-sessiond\" hostname=? addr=192.0.2.7 terminal=? res=success"
        );
        let denied = Record::judged(("f", "alice", "swaylock"), None);
        assert!(denied.kind == Kind::Authentication && denied.text.ends_with("res=failed"), "{denied:?}");
    }

    #[test]
    fn a_name_cannot_forge_a_field_or_end_the_record() {
        for name in ["x\" res=success", "x' res=success", "x res=success", "x\0y", "\u{e9}"] {
            let text = Record::opened(SessionId::new([0; 16]), &opening(name)).text;
            let account = text.split(' ').nth(1).unwrap().strip_prefix("acct=").unwrap();
            assert!(account.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
            assert_eq!(text.matches("res=").count(), 1, "{text}");
        }
    }

    #[test]
    fn a_message_tells_its_length_and_its_type() {
        let record = Record { kind: Kind::End, text: "op=x".to_owned() };
        let message = message(7, &record);
        assert_eq!(message.len(), 21);
        assert_eq!(
            message.get(..8),
            Some(&[21, 0, 0, 0, 0x52, 4, 1, 0][..]).filter(|_| cfg!(target_endian = "little"))
        );
        assert_eq!(message.last(), Some(&0));
    }
}
