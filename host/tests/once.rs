//! One code, many logins at the same moment: exactly one gets in. What is under test is the lock and the order of write and verdict, so
//! every login opens the files itself, as separate sshd processes do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must fail")]

use std::{fs, sync::Barrier, thread, time::Duration};

use authflow_core::{
    account::Authenticators,
    factor::{Factor, Factors},
    flow::{Answered, Flow, FlowId, HashOutcome, Holder, Manner, Standing, Step, Subject, Terms, Verdict},
    rule::{AccountMode, Method, Remote, Rule, SessionPolicy},
    secret::Secret,
    throttle::ThrottlePolicy,
    time::WallTime,
    totp::TotpKey,
};
use authflow_host::{
    file::Trust,
    paths::Paths,
    records::{Records, Slot},
};

const ROUNDS: u64 = 20;
const LOGINS: usize = 50;
/// RFC 4226 appendix D: the code of step 4.
const CODE: &str = "338314";

fn answered() -> Answered {
    let rule = Rule {
        name: "test".into(),
        services: vec!["sshd".into()],
        users: vec![],
        groups: vec![],
        from: vec![],
        methods: vec![Method::new(&[Factor::Totp]).unwrap()],
        account: AccountMode::Auto,
        session: SessionPolicy::default(),
    };
    let subject =
        Subject { user: "alice".into(), uid: Some(1000), service: "sshd".into(), remote: Remote::Local, is_sshd: true };
    match Flow::begin(FlowId::new([0; 16]), &rule, subject, Factors::none(), Manner::default()) {
        Step::Ask(ask) => match ask.answer(Secret::from(CODE)) {
            Step::Answered(answered) => answered,
            Step::Ask(_) => panic!("one question"),
        },
        Step::Answered(_) => panic!("one question"),
    }
}

fn alice() -> Holder {
    let mut keys = Authenticators::default();
    let secret = Secret::from("12345678901234567890");
    keys.add_totp(TotpKey::new("phone", secret, WallTime::default()).unwrap()).unwrap();
    Holder { standing: Standing::Good, keys, has: Factors::none().with(Factor::Totp) }
}

#[test]
fn one_code_lets_exactly_one_of_fifty_in() {
    let holder = alice();
    // Failures must not lock anybody out here, or the lock would hide a second success.
    let throttle = ThrottlePolicy { attempts: 1000, ..ThrottlePolicy::default() };
    let (terms, now) = (Terms { throttle, skew: 1 }, WallTime::new(Duration::from_secs(120)));
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("var/lib")).unwrap();
        let start = Barrier::new(LOGINS);
        let granted = thread::scope(|scope| {
            let login = || {
                let trust = Trust::of(nix::unistd::geteuid().as_raw());
                let records = Records::trusting(Paths::new(folder.path()), trust);
                let answered = answered();
                start.wait();
                let judge = |state: &_| answered.judge(HashOutcome::Mismatched, &holder, state, (&terms, now));
                // A login that waited too long for its turn is denied, which is no success either.
                matches!(records.settle(Slot::User("alice"), judge), Ok(Verdict::Granted(_)))
            };
            let logins: Vec<_> = (0..LOGINS).map(|_| scope.spawn(login)).collect();
            logins.into_iter().map(|login| login.join().unwrap()).filter(|granted| *granted).count()
        });
        assert_eq!(granted, 1, "in round {round}");
    }
}
