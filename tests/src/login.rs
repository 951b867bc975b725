//! Logins by password and code through the real sshd, as most tests need them.

use serde_json::Value;

use crate::{Authenticator, Machine, Person, wait};

impl Machine {
    /// Somebody who logs in over SSH, and has given both answers.
    pub fn answer(&self, user: &str, password: &str, code: &str) -> Person {
        let mut person = self.ssh(user, &[]);
        answer(&mut person, password, code);
        person
    }

    /// Gives the right password and this code to whatever asks for both.
    pub fn give_answers(&self, person: &mut Person, code: &str) {
        answer(person, self.password(), code);
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

    /// The sessions of that user that have ended, as `authflow history --json` tells them.
    #[track_caller]
    pub fn history(&self, user: &str) -> Vec<Value> {
        let history = self.run(["authflow", "history", "--user", user, "--json"]).json();
        history.as_array().expect("a list").clone()
    }

    /// How many processes run a command line that begins like that.
    #[must_use]
    pub fn count(&self, command: &str) -> usize {
        self.run(["pgrep", "-f", &format!("^{command}")]).stdout.lines().count()
    }

    /// Why the only session of that user that has ended did so. Waits for its end.
    #[track_caller]
    pub fn end_reason(&self, user: &str) -> String {
        let ended = wait::until("the end in the history", || Some(self.history(user)).filter(|all| !all.is_empty()));
        assert_eq!(ended.len(), 1, "{ended:#?}");
        ended[0]["end_reason"].as_str().expect("a word").to_owned()
    }
}

fn answer(person: &mut Person, password: &str, code: &str) {
    // sudo has words of its own for it.
    person.expect("assword");
    person.expect(": ");
    person.type_line(password);
    person.expect("Verification code: ");
    person.type_line(code);
}
