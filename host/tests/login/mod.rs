//! One login of alice with one code, as a value, for the tests that settle it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it must")]

use std::{fs, path::Path, time::Duration};

use authflow_core::{
    account::Authenticators,
    factor::{Factor, Factors},
    flow::{
        Answered, Enrollable, Finding, Flow, FlowId, HashOutcome, Holder, Manner, Standing, Step, Subject, Terms,
        Verdict,
    },
    rule::{AccountMode, Method, Remote, Rule, SessionPolicy},
    secret::Secret,
    throttle::ThrottlePolicy,
    time::WallTime,
    totp::TotpKey,
};
use authflow_host::{
    file::Trust,
    paths::Paths,
    records::{RecordError, Records, Slot},
};

/// RFC 4226 appendix D: the code of step 4.
const CODE: &str = "338314";

/// The records of a machine under `root`, owned by whoever runs the test.
pub(crate) fn records(root: &Path) -> Records {
    fs::create_dir_all(root.join("var/lib")).unwrap();
    Records::trusting(Paths::new(root), Trust::of(nix::unistd::geteuid().as_raw()))
}

/// A login of which only the settling is left.
pub(crate) struct Login {
    answered: Answered,
    holder: Holder,
}

impl Login {
    /// With the right code.
    pub(crate) fn new() -> Self {
        Self { answered: answered(), holder: alice() }
    }

    /// Settles it, at a time within the code's step.
    pub(crate) fn settle(self, records: &Records) -> Result<Verdict, RecordError> {
        // Failures must not lock anybody out here, or the lock would hide a second success.
        let throttle = ThrottlePolicy { attempts: 1000, ..ThrottlePolicy::default() };
        let (terms, now) = (Terms { throttle, skew: 1 }, WallTime::new(Duration::from_secs(120)));
        let Self { answered, holder } = self;
        let judge = |state: &_| answered.judge(HashOutcome::Mismatched, &holder, state, (&terms, now));
        match records.settle(Slot::User("alice"), judge)? {
            Finding::Verdict(verdict) => Ok(verdict),
            Finding::Enrol(_) => panic!("the rule does not enrol"),
        }
    }
}

fn answered() -> Answered {
    let rule = Rule {
        name: "test".into(),
        services: vec!["sshd".into()],
        users: vec![],
        groups: vec![],
        from: vec![],
        methods: vec![Method::new(&[Factor::Totp]).unwrap()],
        from_session: None,
        account: AccountMode::Auto,
        recovery: true,
        enroll: None,
        session: SessionPolicy::default(),
    };
    let subject = Subject {
        user: "alice".into(),
        uid: Some(1000),
        service: "sshd".into(),
        remote: Remote::Local,
        calling_uid: 0,
        is_sshd: true,
    };
    match Flow::begin(FlowId::new([0; 16]), &rule, subject, Factors::none(), Manner::default()) {
        Step::Ask(ask) => match ask.answer(Secret::from(CODE)) {
            Step::Answered(answered) => answered,
            Step::Ask(_) => panic!("one question"),
        },
        Step::Answered(_) => panic!("one question"),
    }
}

/// What alice's codes come from.
pub(crate) fn phone() -> TotpKey {
    TotpKey::new("phone", Secret::from("12345678901234567890"), WallTime::default()).unwrap()
}

fn alice() -> Holder {
    let mut keys = Authenticators::default();
    keys.add_totp(phone()).unwrap();
    Holder { standing: Standing::Good, keys, has: Factors::none().with(Factor::Totp), enrollable: Enrollable::NoScreen }
}
