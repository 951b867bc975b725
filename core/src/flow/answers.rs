//! All answers, before anything is decided about them.

use super::{FlowId, Prompt, Subject};
use crate::{
    account::Authenticators,
    factor::Factors,
    rule::Rule,
    secret::Secret,
    stand_in,
    throttle::{Caller, Source},
};

/// What came of hashing the given password. Made outside any lock, since it is what takes the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashOutcome {
    /// The password is the user's.
    Matched,
    /// It is not, there was none, or the user has none.
    Mismatched,
    /// It was the user's, and its time is over: it proves nothing any more.
    Expired,
    /// It was the user's when it was hashed, and the record has another by now: a parallel login renewed the hash, or somebody changed it.
    Replaced,
}

/// All answers are in; nothing is decided yet.
#[derive(Debug)]
pub struct Answered {
    pub(super) id: FlowId,
    pub(super) rule: Rule,
    pub(super) subject: Subject,
    pub(super) proved: Factors,
    password: Option<Secret>,
    code: Option<Secret>,
    both: Option<Secret>,
}

/// What sshd puts in place of the password of a user that it has already refused (`auth-pam.c`): this, then repetitions, cut to the
/// length of what was typed.
const SSHD_JUNK: &[u8] = b"\x08\n\r\x7fINCORRECT";

impl Answered {
    pub(super) const fn new(id: FlowId, rule: Rule, subject: Subject, proved: Factors) -> Self {
        Self { id, rule, subject, proved, password: None, code: None, both: None }
    }

    pub(super) fn with(mut self, prompt: Prompt, answer: Secret) -> Self {
        match prompt {
            Prompt::Password => self.password = Some(answer),
            Prompt::Code => self.code = Some(answer),
            Prompt::PasswordAndCode => self.both = Some(answer),
        }
        self
    }

    /// Who it is about.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The password to hash: what was typed, or the front of what was typed into the one field. `None` if none was asked for.
    #[must_use]
    pub fn password(&self, keys: &Authenticators) -> Option<Secret> {
        match &self.both {
            Some(both) => Some(split(both, keys).0),
            None => self.password.clone(),
        }
    }

    /// The code, if one was given. sshd's `password` method answers every hidden prompt with the same string, so a code that equals the
    /// password is none.
    pub(super) fn code(&self, keys: &Authenticators) -> Option<Secret> {
        let code = match &self.both {
            Some(both) => split(both, keys).1,
            None => self.code.clone(),
        };
        code.filter(|code| !code.is_empty() && !self.has_echo())
    }

    /// Whether the code that was given is the password over again.
    pub(super) fn has_echo(&self) -> bool {
        let echoes = |code: &Secret| self.password.as_ref().is_some_and(|password| password.matches(code));
        self.code.as_ref().is_some_and(|code| !code.is_empty() && echoes(code))
    }

    /// Whether this very answer was given before.
    pub(super) fn was_given(&self, answer: &Secret) -> bool {
        let given = [&self.password, &self.code, &self.both].into_iter().flatten();
        !answer.is_empty() && given.into_iter().any(|given| given.matches(answer))
    }

    /// Who tries, for the throttle.
    pub(super) fn caller(&self) -> Caller {
        let Subject { remote, calling_uid, service, .. } = &self.subject;
        let source = Source::new(*remote, *calling_uid, self.rule.counted_name(service));
        Caller { source, is_root: self.subject.uid == Some(0) }
    }

    /// Whether sshd has refused the user already and only goes through the motions.
    pub(super) fn is_sshd_junk(&self) -> bool {
        let is_junk = |answer: &Secret| {
            let repeated = SSHD_JUNK.iter().chain(SSHD_JUNK.iter().cycle());
            // The first bytes are beyond what a person types; a single one might be a stray key.
            answer.expose().len() >= 4 && answer.expose().iter().zip(repeated).all(|(given, junk)| given == junk)
        };
        self.subject.is_sshd && [&self.password, &self.code, &self.both].into_iter().flatten().any(is_junk)
    }
}

/// The password in what was typed into the one field, the code taken off its end.
#[must_use]
pub fn password_in(both: &Secret, keys: &Authenticators) -> Secret {
    split(both, keys).0
}

/// Splits the one field into password and code: a recovery or bypass code as it was printed, or as many digits from the end as the
/// user's codes have. What does not end so is all password.
fn split(both: &Secret, keys: &Authenticators) -> (Secret, Option<Secret>) {
    let digits = keys.totp().first().map_or(6, |key| usize::from(key.digits()));
    let is_code = |end: &[u8]| end.iter().all(u8::is_ascii_digit);
    cut(both, stand_in::WRITTEN_LENGTH, stand_in::is_written_code)
        .or_else(|| cut(both, digits, is_code))
        .map_or_else(|| (both.clone(), None), |(password, code)| (password, Some(code)))
}

/// The field in two, if its last `length` bytes are a code.
fn cut(both: &Secret, length: usize, is_code: impl FnOnce(&[u8]) -> bool) -> Option<(Secret, Secret)> {
    let bytes = both.expose();
    let (password, code) = bytes.split_at_checked(bytes.len().checked_sub(length)?)?;
    is_code(code).then(|| (Secret::new(password.to_vec()), Secret::new(code.to_vec())))
}
