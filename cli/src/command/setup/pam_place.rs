//! Where our line of each phase belongs in a stack, as the documentation's examples have it. Pure.

use std::path::PathBuf;

use super::pam_edit::Item;
use crate::pam_stack::{
    Line, OURS, as_written,
    control::is_written_as,
    role::{
        FAILLOCK, is_harmless, jump, keeps_out, locks, may_end_or_jump, proves, reads_the_users_file,
        refuses_the_locked,
    },
};

/// Lines that go in front of a row of the text.
#[derive(Debug)]
pub(super) struct Inserted {
    /// The row, counted from 0.
    pub row: usize,
    /// The lines, without the mark.
    pub lines: Vec<String>,
}

/// Why our lines have no place in a stack.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The text ends in the middle of a line.
    #[error("its last line ends in a backslash, so whatever is put behind it would belong to it")]
    Unfinished,
    /// A line jumps over the place.
    #[error("line {0} jumps over the place where authflow's {1} line belongs: put the lines in by hand")]
    Jump(usize, &'static str),
    /// Nothing that authenticates is there.
    #[error("it has no {0} lines, so authflow's has no place in it")]
    NoPhase(&'static str),
    /// A line that keeps people out would not be reached any more.
    #[error(
        "line {0} keeps people out, and authflow's success in front of it would leave it out: move it above what asks for passwords"
    )]
    LeftOut(usize),
    /// The same in a file that is included.
    #[error(
        "{}:{number}: {module} keeps people out, and authflow's success in front of what includes it would leave it out: put it into the service's \
         own file, above what asks for passwords", file.display()
    )]
    IncludedLeftOut {
        /// The file that it stands in.
        file: PathBuf,
        /// Its line, counted from 1.
        number: usize,
        /// Its module.
        module: String,
    },
    /// The user's own file is read too early.
    #[error(
        "line {0} has pam_env read the user's own file before the place where authflow's session line belongs: a user could \
         forge what sshd tells about keys; move it down, or leave user_readenv out"
    )]
    Forgeable(usize),
}

/// What changes the system's passwords on Debian.
pub(super) const COMMON_PASSWORD: &str = "common-password";

/// In front of the first line that could let somebody in. What is optional behind it comes first as well, and so does pam_faillock's refusal of
/// whoever is locked: authflow's success ends the phase, and that would leave it out.
pub(super) fn auth(items: &[Item], options: &str) -> Result<Inserted, Refusal> {
    let place = deciding(items, "auth").ok_or(Refusal::NoPhase("auth"))?;
    let row = row_before(items, place, "auth")?;
    for item in items.iter().skip(place) {
        let is_told = |line: &&Line| !item.is_include || !is_harmless(line);
        let left_out = item.of("auth").filter(is_told).find(|line| keeps_out(line) && !locks(line));
        return match left_out {
            None => continue,
            Some(_) if !item.is_include => Err(Refusal::LeftOut(item.rows.start + 1)),
            Some(Line { file, number, module, .. }) => {
                Err(Refusal::IncludedLeftOut { file: file.clone(), number: *number, module: module.clone() })
            }
        };
    }
    let behind = items.iter().skip(place).filter(|item| !item.is_include).flat_map(|item| item.of("auth"));
    let mut lines: Vec<String> = behind
        .filter(|line| is_written_as(&line.control, "optional") && line.module == "pam_group.so")
        .map(|line| {
            let words = line.arguments.iter().map(|word| as_written(word));
            ["auth       optional   pam_group.so".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
        })
        .collect();
    lines.extend(refusing_the_locked(items, place));
    lines.push(format!("auth       [success=done user_unknown=ignore ignore=ignore default=die]  {OURS}{options}"));
    Ok(Inserted { row, lines })
}

/// pam_faillock's refusal of whoever is locked, where lines of its stand behind the place and none refuses in front of it. What fails at ours
/// is counted by ours.
fn refusing_the_locked(items: &[Item], place: usize) -> Option<String> {
    let mut before = items.iter().take(place).flat_map(|item| item.of("auth"));
    if before.any(refuses_the_locked) {
        return None;
    }
    let behind: Vec<&Line> =
        items.iter().skip(place).flat_map(|item| item.of("auth")).filter(|line| locks(line)).collect();
    let like = behind.iter().find(|line| refuses_the_locked(line)).or(behind.first())?;
    let control = if is_written_as(&like.control, "requisite") { "requisite" } else { "required" };
    let tasks = ["preauth", "authfail", "authsucc"];
    let more = like.arguments.iter().filter(|word| !tasks.contains(&word.as_str())).map(|word| as_written(word));
    let words = ["preauth".to_owned()].into_iter().chain(more).collect::<Vec<_>>().join(" ");
    Some(format!("auth       {control}  {FAILLOCK} {words}"))
}

/// In front of the first line that could end it: pam_unix's own checks still run below.
pub(super) fn account(items: &[Item], options: &str) -> Result<Inserted, Refusal> {
    let place = deciding(items, "account").ok_or(Refusal::NoPhase("account"))?;
    let control = "[success=ok new_authtok_reqd=ok user_unknown=ignore ignore=ignore default=bad]";
    let row = row_before(items, place, "account")?;
    Ok(Inserted { row, lines: vec![format!("account    {control} {OURS}{options}")] })
}

/// Behind pam_loginuid and pam_systemd, so that the session has its audit id and its scope; in front of a pam_env that reads what the
/// user wrote.
pub(super) fn session(items: &[Item], options: &str) -> Result<Inserted, Refusal> {
    let must_be_before = |item: &Item| {
        let named = ["pam_loginuid.so", "pam_systemd.so", "pam_elogind.so"];
        item.of("session").any(|line| item.is_include || named.contains(&line.module.as_str()))
    };
    let last = items.iter().rposition(must_be_before);
    let last = last.or_else(|| items.iter().rposition(|item| item.of("session").next().is_some()));
    let place = last.map_or(items.len(), |last| last + 1);
    let early = items.iter().take(place).flat_map(|item| item.of("session").map(move |line| (item, line)));
    for (item, line) in early {
        if reads_the_users_file(line) {
            return Err(Refusal::Forgeable(item.rows.start + 1));
        }
    }
    let row = row_before(items, place, "session")?;
    Ok(Inserted { row, lines: vec![format!("session    required     {OURS}{options}")] })
}

/// In front of what changes the system's password. Where the stack changes none, that is put at its end as well, which `common` says what
/// is in: a password that must be changed is changed in the login.
pub(super) fn password(items: &[Item], common: &[Line]) -> Result<Inserted, Refusal> {
    let ours = format!("password   [success=done ignore=ignore default=die]  {OURS}");
    let there = items.iter().position(|item| item.of("password").next().is_some());
    let row = row_before(items, there.unwrap_or(items.len()), "password")?;
    let ours = Some(ours).filter(|_| there.is_some() || !common.iter().any(|line| line.module == OURS));
    let rest = there.is_none().then(|| format!("@include {COMMON_PASSWORD}"));
    Ok(Inserted { row, lines: ours.into_iter().chain(rest).collect() })
}

/// The first line that proves something, or that could end the phase in success by itself.
fn deciding(items: &[Item], phase: &str) -> Option<usize> {
    let decides = |line: &Line| {
        // Root asks nobody: su has it so, and the examples leave it there.
        let lets_in = may_end_or_jump(&line.control) && line.module != "pam_rootok.so";
        lets_in || proves(line)
    };
    items.iter().position(|item| item.of(phase).any(decides))
}

/// The first row of that item, if no line of the phase in front of it jumps over it.
fn row_before(items: &[Item], place: usize, phase: &'static str) -> Result<usize, Refusal> {
    let before: Vec<_> =
        items.iter().take(place).flat_map(|item| item.of(phase).map(move |line| (item, line))).collect();
    let behind = items.iter().skip(place).flat_map(|item| item.of(phase)).count();
    for (number, (item, line)) in before.iter().enumerate() {
        // Jumps within a file that is included stay in it, as far as anybody writes them.
        let target = jump(&line.control).map(|over| number + 1 + over);
        if behind > 0 && !item.is_include && target.is_some_and(|target| target > before.len()) {
            return Err(Refusal::Jump(item.rows.start + 1, phase));
        }
    }
    let end = items.last().map_or(0, |item| item.rows.end);
    Ok(items.get(place).map_or(end, |item| item.rows.start))
}
