//! Renewing a session by what was proved inside it, and opening inside it what it vouched for.

use super::*;

fn renewal(factors: &[Factor], seconds: u64) -> Renewal {
    Renewal { uid: 1000, factors: factors.iter().copied().collect(), at: at(seconds) }
}

#[test]
fn who_authenticates_again_inside_a_session_restarts_both_limits() {
    let mut registry = registry([birth(1)]);
    let _warned = registry.review(id(1), QUIET, at(IDLE - WARN));
    let renewed = registry.renew(id(1), &renewal(&[Factor::Password, Factor::Totp], 800)).unwrap();
    assert_eq!(renewed, [Action::Persist(id(1))]);
    let session = registry.find(id(1)).unwrap();
    assert_eq!((session.authenticated, session.opened), (at(800), at(0)));
    assert_eq!(session.proved, BTreeMap::from([(Factor::Password, at(800).boot), (Factor::Totp, at(800).boot)]));
    let Deadlines { idle, lifetime } = deadlines(session);
    assert_eq!((idle, lifetime), (Some(at(800 + IDLE).boot), Some(at(800 + LIFETIME).boot)));
    assert_eq!(registry.next_deadline(), Some(at(800 + IDLE - WARN).boot), "and is warned of anew");
}

#[test]
fn a_session_is_renewed_by_its_owners_whole_proof_alone() {
    let mut registry = registry([birth(1), birth(2)]);
    let whole = renewal(&[Factor::Password, Factor::Totp], 10);
    for (refused, why) in [
        (renewal(&[Factor::Password], 10), NotRenewed::TooLittle),
        (renewal(&[], 10), NotRenewed::TooLittle),
        (renewal(&[Factor::Password, Factor::Totp, Factor::Session], 10), NotRenewed::TooLittle),
        (Renewal { uid: 0, ..whole.clone() }, NotRenewed::OtherUser),
        (renewal(&[Factor::Password, Factor::Totp], 0), NotRenewed::Older),
    ] {
        let before = registry.find(id(1)).cloned();
        assert_eq!(registry.renew(id(1), &refused), Err(why), "{refused:?}");
        assert_eq!(registry.find(id(1)), before.as_ref());
    }
    assert_eq!(registry.renew(id(9), &whole), Err(NotRenewed::NoSuchSession));
    let _ending = registry.revoke(id(1), "root", None, at(5)).unwrap();
    assert_eq!(registry.renew(id(1), &whole), Err(NotRenewed::Ending), "what ends goes on ending");
    let _orphaned = registry.leader_exited(id(2), true, at(5));
    assert_eq!(registry.renew(id(2), &whole), Err(NotRenewed::Ending), "nobody logs in to what has no leader");
}

#[test]
fn a_session_of_two_proofs_of_one_kind_is_not_renewed_by_one() {
    let mut key_and_code = birth(1);
    key_and_code.opening.factors = [Factor::Publickey, Factor::Totp].into_iter().collect();
    key_and_code.opening.aal = 1;
    let mut registry = registry([key_and_code]);
    assert_eq!(registry.renew(id(1), &renewal(&[Factor::Password], 10)), Err(NotRenewed::TooLittle));
    let by_recovery_code = [Factor::Totp, Factor::Recovery];
    assert_eq!(registry.renew(id(1), &renewal(&by_recovery_code, 10)), Err(NotRenewed::TooLittle));
    assert!(registry.renew(id(1), &renewal(&[Factor::Password, Factor::Totp], 10)).is_ok());
}

#[test]
fn another_proof_makes_no_old_code_fresh_and_forgets_none() {
    let mut login = birth(1);
    login.opening.aal = 2;
    login.opening.factors = [Factor::Password, Factor::Totp].into_iter().collect();
    let mut registry = registry([login]);
    let _renewed = registry.renew(id(1), &renewal(&[Factor::Password, Factor::Publickey], 10)).unwrap();
    let proved = [(Factor::Password, at(10)), (Factor::Totp, at(0)), (Factor::Publickey, at(10))];
    assert_eq!(registry.find(id(1)).unwrap().proved, proved.map(|(factor, at)| (factor, at.boot)).into());
}

#[test]
fn a_session_that_the_stack_let_in_is_not_renewed_by_nothing() {
    let mut stack = birth(1);
    stack.opening.aal = 0;
    let mut registry = registry([stack]);
    assert_eq!(registry.renew(id(1), &renewal(&[Factor::Stack], 10)), Err(NotRenewed::TooLittle));
    assert!(registry.renew(id(1), &renewal(&[Factor::Password], 10)).is_ok());
}

#[test]
fn a_flow_inside_a_session_is_worth_something_to_it_and_a_cached_ticket_is_not() {
    let inside = |flow: Option<&str>| {
        let mut sudo = nested(2, 1);
        sudo.opening.factors = [Factor::Password].into_iter().collect();
        sudo.opening.flow = flow.map(str::to_owned);
        let registry = registry([birth(1), sudo]);
        Renewal::around(registry.find(id(2)).unwrap())
    };
    assert_eq!(inside(Some("f")), Some((id(1), renewal(&[Factor::Password], 0))));
    assert_eq!(inside(None), None);
    assert_eq!(Renewal::around(registry([birth(1)]).find(id(1)).unwrap()), None);
}

#[test]
fn what_a_session_vouched_for_opens_inside_that_session_while_it_lives() {
    let vouched_by = |n: u8, parent: u8| {
        let mut sudo = nested(3, parent);
        sudo.opening.vouched_by = Some(id(n));
        sudo
    };
    let inside = |sudo: Birth| registry([birth(1), birth(2)]).open(sudo, at(5)).map(drop);
    assert_eq!(inside(vouched_by(1, 1)), Ok(()));
    assert_eq!(inside(vouched_by(2, 1)), Err(NotOpened::NotVouched), "another session's word");
    assert_eq!(inside(vouched_by(9, 9)), Err(NotOpened::NotVouched), "that is over");
    assert_eq!(inside(Birth { parent: None, ..vouched_by(1, 1) }), Err(NotOpened::NotVouched));
    let mut others = vouched_by(1, 1);
    others.opening.uid = 1001;
    assert_eq!(inside(others), Err(NotOpened::NotVouched));
    let mut ending = registry([birth(1)]);
    let _begun = ending.revoke(id(1), "root", None, at(4)).unwrap();
    assert_eq!(ending.open(vouched_by(1, 1), at(5)), Err(NotOpened::NotVouched));
}
