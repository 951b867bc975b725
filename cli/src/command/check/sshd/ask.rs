//! sshd's own word on its settings, for everybody or for somebody (`sshd -T -C`), and what it says in place of them.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::whom::Somebody;
use crate::command::check::{Place, catalogue::Defect, finding::Finding};

const SSHD: &str = "/usr/sbin/sshd";

/// Stands for anywhere: an address of documents (RFC 5737), which no host has.
const ANYWHERE: &str = "192.0.2.1";

/// A port that nobody calls sshd by. Where a `Match` is about ports, sshd says nothing without one.
const NO_PORT: u16 = 65535;

/// Why sshd has not told its settings.
pub(super) enum Silence {
    /// It is not installed, or not of this machine.
    NotHere,
    /// It said something else.
    Refused(String),
}

/// The settings for everybody, or as they are for somebody.
pub(super) fn ask(whom: Option<&Somebody>) -> Result<String, Silence> {
    if !Path::new(SSHD).exists() {
        return Err(Silence::NotHere);
    }
    let output = Command::new(SSHD).args(["-T", "-C", &words(whom)]).env_clear().stdin(Stdio::null()).output();
    let output = output.map_err(|error| Silence::Refused(error.to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Silence::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// Whether sshd can be asked for that one: a comma would begin another word, and groups that are only supposed are not those it finds.
pub(super) fn can_be_asked_for(somebody: &Somebody) -> bool {
    let is_plain = |text: &str| !text.is_empty() && !text.contains([',', '=']);
    !somebody.is_supposed && is_plain(&somebody.user) && somebody.host.as_deref().is_none_or(is_plain)
}

/// Somebody in sshd's words, or nobody yet. User, host and address go together.
fn words(whom: Option<&Somebody>) -> String {
    let local_address = whom.and_then(|somebody| somebody.local_address);
    let local_address = local_address.map_or_else(|| ANYWHERE.to_owned(), |address| address.to_string());
    let local_port = whom.and_then(|somebody| somebody.local_port).unwrap_or(NO_PORT);
    let called = format!("laddr={local_address},lport={local_port}");
    let Some(somebody) = whom else { return called };
    let address = somebody.address.map_or_else(|| ANYWHERE.to_owned(), |address| address.to_string());
    let host = somebody.host.as_deref().unwrap_or(&address);
    format!("user={},host={host},addr={address},{called}", somebody.user)
}

/// What sshd said instead: an error with a line of its file, or that it cannot tell here and now. `methods` is where
/// AuthenticationMethods is written: of that alone it says no line.
pub(super) fn refused(why: &str, methods: Place) -> Finding {
    let of_methods = |line: &&str| line.contains("AuthenticationMethods cannot be satisfied");
    let placed = why.lines().find_map(|line| error_at(line).map(|place| (place, line)));
    match placed.or_else(|| why.lines().find(of_methods).map(|line| (methods, line))) {
        Some((place, line)) => {
            Finding::new(Defect::SshdConfigBroken, place, line, "correct it; sshd -t says whether it is right")
        }
        None => Finding::new(
            Defect::SshdNotAsked,
            Place::none(),
            format!("sshd -T says: {}", why.lines().next().unwrap_or("nothing")),
            "run it as root, and while sshd runs (\"systemctl start ssh\" where its socket has not started it yet)",
        ),
    }
}

/// `FILE: line N: ..` or `FILE line N: ..`
fn error_at(line: &str) -> Option<Place> {
    let (file, rest) = line.split_once(" line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let file = file.trim_end_matches(':');
    file.starts_with('/').then_some(())?;
    Some(Place::line(Path::new(file), digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_sshds_is_read_with_its_place() {
        for text in ["/etc/ssh/sshd_config: line 12: Bad configuration option: Foo", "/etc/ssh/sshd_config line 12: x"]
        {
            assert_eq!(error_at(text).unwrap().to_string(), "/etc/ssh/sshd_config:12");
            assert_eq!(refused(text, Place::none()).defect, Defect::SshdConfigBroken);
        }
        assert_eq!(refused("sshd: no hostkeys available -- exiting.", Place::none()).defect, Defect::SshdNotAsked);
    }

    #[test]
    fn somebody_is_told_to_sshd_whole() {
        let alice = Somebody { user: "alice".into(), ..Somebody::default() };
        assert_eq!(words(None), "laddr=192.0.2.1,lport=65535");
        assert_eq!(words(Some(&alice)), "user=alice,host=192.0.2.1,addr=192.0.2.1,laddr=192.0.2.1,lport=65535");
        let called = Somebody { local_address: "10.0.0.1".parse().ok(), local_port: Some(2222), ..alice.clone() };
        assert_eq!(words(Some(&called)), "user=alice,host=192.0.2.1,addr=192.0.2.1,laddr=10.0.0.1,lport=2222");
        assert!(can_be_asked_for(&called) && !can_be_asked_for(&Somebody { is_supposed: true, ..alice.clone() }));
        assert!(!can_be_asked_for(&Somebody { user: "a,addr=10.0.0.1".into(), ..alice }));
    }
}
