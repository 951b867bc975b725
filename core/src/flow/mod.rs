//! One authentication attempt as a value. Each state is a type named for what it waits for, with one method that consumes it:
//! `Flow::begin -> Ask -> .. -> Answered -> Judgement -> Sealed -> Verdict`. No other order compiles, nothing is decided before all
//! answers are in, and no verdict can be seen before what it depends on is written. Where a rule enrols, the first judgement may come to
//! `Enrolling -> Confirm -> .. -> Concluded`, which is judged once more.

mod answers;
mod enrolling;
#[cfg(test)]
mod enrolling_tests;
pub mod guard;
mod judge;
mod method;
pub mod page;
mod receipt;
#[cfg(test)]
mod tests;
mod verdict;

use std::{fmt, str::FromStr};

pub use answers::{Answered, HashOutcome, password_in};
pub use enrolling::{Concluded, Confirm, Confirmation, Enrolling};
pub(crate) use judge::may_enrol;
pub use judge::{Enrollable, Holder, Standing, Terms};
pub use method::{asked, choose, is_left_to_the_stack};
pub use receipt::{Enrolment, FlowId, RECEIPT_LIFE, Receipt};
pub use verdict::{Denial, Finding, Judgement, Sealed, Verdict, Written};

use crate::{
    factor::{Factor, Factors},
    rule::{Remote, Rule},
    secret::Secret,
};

/// Who the attempt is for, and from where. The user is pinned here: nothing later asks PAM again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user name as given.
    pub user: String,
    /// The uid, if there is such a user.
    pub uid: Option<u32>,
    /// The PAM service.
    pub service: String,
    /// Where from.
    pub remote: Remote,
    /// The real uid of the process that makes the attempt, or [`crate::throttle::NOBODY`] where no account has it.
    pub calling_uid: u32,
    /// Whether the service is sshd's, whose junk answers for users it has refused must not count.
    pub is_sshd: bool,
}

/// How the questions are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// Password and code in one field, for clients that have a single one.
    pub one_prompt: bool,
}

/// What a user is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// The password.
    Password,
    /// A one-time code.
    Code,
    /// The password with the code behind it.
    PasswordAndCode,
}

impl Prompt {
    /// Every prompt.
    pub const ALL: [Self; 3] = [Self::Password, Self::Code, Self::PasswordAndCode];

    /// The word that stands for it on the bus.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "code",
            Self::PasswordAndCode => "password-and-code",
        }
    }

    /// The text, to the letter: sudo's `-p` and automation match on the first one.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Password => "Password: ",
            Self::Code => "Verification code: ",
            Self::PasswordAndCode => "Password and verification code: ",
        }
    }
}

impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A word that names no prompt.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no prompt: expected password, code or password-and-code")]
pub struct UnknownPrompt(pub String);

impl FromStr for Prompt {
    type Err = UnknownPrompt;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|prompt| prompt.as_str() == word).ok_or_else(|| UnknownPrompt(word.to_owned()))
    }
}

/// Where a flow stands: it asks, or all answers are in.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// The next question.
    Ask(Ask),
    /// Nothing left to ask.
    Answered(Answered),
}

/// A flow before its first question.
#[derive(Debug)]
pub struct Flow;

impl Flow {
    /// Begins a flow under `rule`, with what is `proved` already. The questions are those of the first method whose outside factors
    /// are proved, so they are the same for everybody, whatever the user has enrolled.
    pub fn begin(id: FlowId, rule: &Rule, subject: Subject, proved: Factors, manner: Manner) -> Step {
        let asked = asked(&rule.methods, &proved);
        let mut prompts = Vec::new();
        if manner.one_prompt && asked.contains(Factor::Password) && asked.contains(Factor::Totp) {
            prompts.push(Prompt::PasswordAndCode);
        } else {
            // Taken from the end: the password is always asked first.
            if asked.contains(Factor::Totp) {
                prompts.push(Prompt::Code);
            }
            if asked.contains(Factor::Password) {
                prompts.push(Prompt::Password);
            }
        }
        next(prompts, Answered::new(id, rule.clone(), subject, proved))
    }
}

/// A flow that waits for one answer.
#[derive(Debug)]
pub struct Ask {
    prompt: Prompt,
    rest: Vec<Prompt>,
    answered: Answered,
}

impl Step {
    /// What will be asked from here on. Nothing is decided by looking.
    #[must_use]
    pub fn prompts(&self) -> Vec<Prompt> {
        match self {
            Self::Ask(ask) => ask.rest.iter().chain([&ask.prompt]).rev().copied().collect(),
            Self::Answered(_) => Vec::new(),
        }
    }
}

impl Ask {
    /// What to ask.
    #[must_use]
    pub const fn prompt(&self) -> Prompt {
        self.prompt
    }

    /// Takes the answer. It is kept as it is; an empty one proves nothing.
    pub fn answer(self, answer: Secret) -> Step {
        next(self.rest, self.answered.with(self.prompt, answer))
    }
}

fn next(mut prompts: Vec<Prompt>, answered: Answered) -> Step {
    match prompts.pop() {
        Some(prompt) => Step::Ask(Ask { prompt, rest: prompts, answered }),
        None => Step::Answered(answered),
    }
}
