//! One code, many logins at the same moment: exactly one gets in. What is under test is the lock and the order of write and verdict, so
//! every login opens the files itself, as separate sshd processes do.

#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod login;

use std::{sync::Barrier, thread};

use authflow_core::flow::{Denial, Verdict};
use login::{Login, records};

const ROUNDS: usize = 20;
const LOGINS: usize = 50;

#[test]
fn one_code_lets_exactly_one_of_fifty_in() {
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let start = Barrier::new(LOGINS);
        let granted = thread::scope(|scope| {
            let attempt = || {
                let (login, records) = (Login::new(), records(folder.path()));
                start.wait();
                // A login that waited too long for its turn is denied, which is no success either.
                matches!(login.settle(&records), Ok(Verdict::Granted(_)))
            };
            let logins: Vec<_> = (0..LOGINS).map(|_| scope.spawn(attempt)).collect();
            logins.into_iter().map(|login| login.join().unwrap()).filter(|granted| *granted).count()
        });
        assert_eq!(granted, 1, "in round {round}");
    }
}

#[test]
fn a_code_that_was_used_is_used_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let settle = || Login::new().settle(&records(folder.path())).unwrap();
    assert!(matches!(settle(), Verdict::Granted(_)));
    assert!(matches!(settle(), Verdict::Denied(Denial::CodeUsed)));
}
