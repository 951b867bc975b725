//! What holds for any attempts in any order.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn no_attempt_adds_half_of_what_room_is_kept_for(
        before in state::tests::state(), network in any::<u64>(), which in any::<prop::sample::Index>(),
    ) {
        let rows: Vec<_> = every_path::granted().into_iter().chain(every_path::denied()).collect();
        let (attempt, _, _) = rows.into_iter().nth(which.index(34)).unwrap();
        let address = std::net::Ipv6Addr::from(u128::from(network) << 64 | u128::from(network)).to_string();
        let mut state = before.clone();
        let _either_way = Attempt { remote: Remote::from_rhost(Some(&address)), ..attempt }.run(&mut state);
        let (before, after) = (before.to_text().len(), state.to_text().len());
        prop_assert!(after <= before + state::GROWTH / 2, "{before} -> {after}");
    }

    #[test]
    fn no_order_of_attempts_lets_a_step_in_twice(tries in prop::collection::vec((0_usize..10, 0_u64..10), 1..40)) {
        let (mut state, mut used) = (State::default(), std::collections::BTreeSet::new());
        for (code, now) in tries {
            let answers = [RIGHT, CODES[code]];
            let granted = Attempt { at: step(now), ..attempt(BOTH, &answers) }.run(&mut state).is_ok();
            if granted {
                prop_assert!(used.insert(code), "step {code} passed twice");
                prop_assert!(now.abs_diff(code as u64) <= 1);
            }
        }
    }

    #[test]
    fn nobody_gets_in_without_the_password_and_a_code_of_the_hour(password in ".{0,20}", code in ".{0,12}") {
        prop_assume!(password != RIGHT || !CODES[3..=5].contains(&code.replace(' ', "").as_str()));
        let answers = [password.as_str(), code.as_str()];
        prop_assert!(attempt(BOTH, &answers).run(&mut State::default()).is_err());
    }
}
