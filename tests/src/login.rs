//! Logins by password and code through the real sshd, as most tests need them.

use serde_json::Value;

use crate::{Authenticator, Machine, Person};

impl Machine {
    /// Somebody who logs in over SSH, and has given both answers.
    pub fn answer(&self, user: &str, password: &str, code: &str) -> Person {
        let mut person = self.ssh(user, &[]);
        person.expect("Password: ");
        person.type_line(password);
        person.expect("Verification code: ");
        person.type_line(code);
        person
    }

    /// A user with the right answers, at the shell's prompt.
    pub fn log_in(&self, user: &str, phone: &mut Authenticator) -> Person {
        self.log_in_by(user, &phone.code())
    }

    /// The same, with that code.
    pub fn log_in_by(&self, user: &str, code: &str) -> Person {
        let mut person = self.answer(user, self.password(), code);
        person.expect("$ ");
        person
    }

    /// Somebody who logs in over SSH with those answers, and is not let in.
    #[track_caller]
    pub fn is_refused(&self, user: &str, password: &str, code: &str) {
        let mut person = self.answer(user, password, code);
        person.expect("Permission denied");
        assert_eq!(person.end().code(), Some(255));
    }

    /// The live sessions, as `authflow sessions --json` tells them.
    #[track_caller]
    pub fn sessions(&self) -> Vec<Value> {
        self.run(["authflow", "sessions", "--json"]).json().as_array().expect("a list").clone()
    }
}
