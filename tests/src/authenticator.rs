//! The app on somebody's phone. Codes come from `oathtool`, never from authflow's own code: both could be wrong alike.

use std::{
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::wait;

const STEP: u64 = 30;

/// An authenticator app that holds one secret.
#[derive(Debug)]
pub struct Authenticator {
    /// The secret in base32, as `authflow factor add totp --secret-stdin` takes it.
    pub secret: String,
    /// A step passes once, so this is the last one that was shown.
    last: u64,
}

impl Authenticator {
    /// An app for `secret`.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), last: 0 }
    }

    /// A code that was not shown before. It is the current one if it can be, else the next, which a skew of one accepts as well;
    /// only a third within a step has to wait.
    pub fn code(&mut self) -> String {
        let step =
            wait::until("the next step of a code", || Some(self.last + 1).filter(|next| *next <= current_step() + 1));
        self.last = step.max(current_step());
        self.code_of(self.last)
    }

    /// A code of so many steps before (or after) now, for tests of the window.
    #[must_use]
    pub fn code_at(&self, steps: i64) -> String {
        self.code_of(current_step().saturating_add_signed(steps))
    }

    /// Six digits that no step near now has.
    #[must_use]
    pub fn wrong_code(&self) -> String {
        let near: Vec<_> = (-3..=3).map(|steps| self.code_at(steps)).collect();
        ["000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777"]
            .into_iter()
            .find(|code| near.iter().all(|other| other != code))
            .expect("eight codes, seven steps")
            .to_owned()
    }

    fn code_of(&self, step: u64) -> String {
        let now = format!("--now=@{}", step * STEP);
        let shown =
            Command::new("oathtool").args(["--totp", "--base32", &now, &self.secret]).output().expect("oathtool runs");
        assert!(shown.status.success(), "oathtool: {}", String::from_utf8_lossy(&shown.stderr));
        String::from_utf8(shown.stdout).expect("digits").trim().to_owned()
    }
}

#[expect(clippy::disallowed_methods, reason = "a phone has a clock of its own")]
fn current_step() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs() / STEP
}
