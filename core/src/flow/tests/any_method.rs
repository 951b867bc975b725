//! Whatever a rule's methods are, whatever is proved and enrolled: no order of answers gets anybody in without all factors of one method.

use std::collections::BTreeSet;

use proptest::{collection::btree_set, sample::select};

use super::*;

fn method() -> impl Strategy<Value = BTreeSet<Factor>> {
    btree_set(select(vec![Password, Totp, Publickey, Factor::Session]), 1..4)
}

proptest! {
    #[test]
    fn no_answers_get_anybody_in_without_all_factors_of_one_method(
        methods in prop::collection::vec(method(), 1..4),
        proved in btree_set(select(vec![Password, Publickey, Factor::Session]), 0..3),
        has in btree_set(select(vec![Password, Totp]), 0..3),
        takes_recovery in any::<bool>(),
        typed in prop::collection::vec(select(vec![RIGHT, "wrong", "", CODES[4], CODES[9], RECOVERY]), 2),
    ) {
        let lists: Vec<Vec<Factor>> = methods.iter().map(|method| method.iter().copied().collect()).collect();
        let lists: Vec<&[Factor]> = lists.iter().map(Vec::as_slice).collect();
        let mut holder = Holder { has: has.into_iter().collect(), ..alice() };
        holder.keys.recovery = Some(RecoverySet { made: WallTime::default(), codes: [digest(RECOVERY)].into() });
        let proved: Factors = proved.into_iter().collect();
        let mut tried = Attempt { proved: proved.clone(), holder, ..attempt(&lists, &[]) };
        tried.rule.recovery = takes_recovery;

        // What is true, as the prompts ask for it.
        let mut truly = proved.clone();
        let asked = asked(&tried.rule.methods, &proved);
        let questions: Vec<Factor> = [Password, Totp].into_iter().filter(|factor| asked.contains(*factor)).collect();
        let answers = &typed[..questions.len()];
        for (factor, answer) in questions.iter().zip(answers) {
            let is_code = *answer == CODES[4] || (takes_recovery && *answer == RECOVERY);
            let is_true = if *factor == Password { *answer == RIGHT } else { is_code };
            if is_true {
                truly.insert(*factor);
            }
        }
        let is_enough = tried.rule.methods.iter().any(|method| method.is_satisfied_by(&truly));
        let granted = Attempt { answers, ..tried }.run(&mut State::default());
        if let Ok(receipt) = granted {
            prop_assert!(is_enough, "{proved} and {answers:?} got in with {}", receipt.factors());
            prop_assert!(receipt.factors().iter().all(|factor| factor.is_detail() || truly.contains(factor)));
        }
    }
}

const RECOVERY: &str = "0123-4567-89ab-cdef-ghjk-mnpq";
