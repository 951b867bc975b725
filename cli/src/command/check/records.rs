//! Users' records: whether they can be read, whose they are, and whether anybody has what a rule asks for.

use std::collections::{BTreeMap, BTreeSet};

use authflow_core::{
    account::{Authenticators, BadRecord},
    factor::Factor,
    rule::Rule,
};
use authflow_host::{
    accounts, local_accounts,
    records::{RecordError, Records},
};

use super::{Ground, Place, catalogue::Defect, finding::Finding};

/// What is wrong with users' records. Root alone can look at them.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let context = ground.context;
    if context.require_root("records").is_err() {
        return not_looked_at(ground, "only root can read them");
    }
    let records = Records::trusting(context.paths.clone(), ground.trust);
    let (users, disabled) = match (records.users(), records.disabled_users()) {
        (Ok(users), Ok(disabled)) => (users, disabled),
        (Err(error), _) | (_, Err(error)) => return not_looked_at(ground, &error.to_string()),
    };
    let mut found = Vec::new();
    let mut enrolled = BTreeMap::new();
    for user in &users {
        match records.authenticators(user).and_then(|record| records.state(user).map(|_| record)) {
            Ok(record) => drop(enrolled.insert(user.clone(), record.unwrap_or_default())),
            Err(error) => found.push(unusable(ground, user, &error)),
        }
    }
    found.extend(of_nobody(ground, &users, &disabled));
    // Somebody's record that cannot be read may be what a rule needs.
    if found.iter().all(|finding| finding.defect != Defect::RecordUnusable) {
        found.extend(ground.config.rules.iter().filter_map(|rule| nobody_can_meet(ground, rule, &enrolled)));
    }
    found
}

fn not_looked_at(ground: &Ground<'_>, why: &str) -> Vec<Finding> {
    if ground.config.rules.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(
        Defect::RecordsNotLookedAt,
        Place::none(),
        format!("users' records were not looked at: {why}"),
        "run it as root",
    )]
}

fn unusable(ground: &Ground<'_>, user: &str, error: &RecordError) -> Finding {
    let users = ground.context.paths.users();
    let (place, what) = match error {
        RecordError::Record { path, why: BadRecord::Syntax { line } } => {
            (Place::line(path, *line), "this line is no part of a record".to_owned())
        }
        RecordError::Record { path, why } => (Place::file(path), why.to_string()),
        RecordError::State { path, why } => (Place::file(path), why.to_string()),
        RecordError::BrokenState(path) => (Place::file(path), error.to_string()),
        RecordError::Name(_) | RecordError::File(_) | RecordError::Busy | RecordError::Managed(_) => {
            (Place::file(&users.join(format!("{user}.toml"))), error.to_string())
        }
    };
    let fix = "put it back from a backup, or remove it and enrol the user again (authflow factor add totp)";
    Finding::new(Defect::RecordUnusable, place, format!("{what}, so {user} is denied"), fix)
}

/// What is there for users who are not. An image's users may be made by its first boot, and a directory that is away has none.
fn of_nobody(ground: &Ground<'_>, users: &BTreeSet<String>, disabled: &BTreeSet<String>) -> Vec<Finding> {
    let context = ground.context;
    if context.is_image() || local_accounts::has_directory(&context.paths) {
        return Vec::new();
    }
    let is_nobody = |user: &&String| matches!(accounts::by_name(user), Ok(None));
    let record = |user: &String| {
        Finding::new(
            Defect::RecordOfNobody,
            Place::file(&context.paths.users()),
            format!("there is a record for {user:?}, and no such user"),
            "remove the files that go by that name here, in ../state and in /etc/authflow/users",
        )
    };
    let mark = |user: &String| {
        Finding::new(
            Defect::DisabledNobody,
            Place::file(&context.paths.state()),
            format!("{user:?} is marked as disabled, and there is no such user"),
            format!("authflow user enable {user}, if the name is to be given again"),
        )
    };
    let records = users.iter().filter(is_nobody).map(record);
    records.chain(disabled.iter().filter(is_nobody).map(mark)).collect()
}

/// A rule that takes a code in every method, and that nobody has an authenticator for.
fn nobody_can_meet(ground: &Ground<'_>, rule: &Rule, enrolled: &BTreeMap<String, Authenticators>) -> Option<Finding> {
    let needs_a_code = rule
        .methods
        .iter()
        .all(|method| method.factors().contains(Factor::Totp) || method.factors().contains(Factor::Session));
    if !needs_a_code || rule.enroll.is_some() {
        return None;
    }
    let has_one = |(user, record): (&String, &Authenticators)| {
        !record.totp().is_empty() && rule.is_of(user, &groups(ground, user, rule))
    };
    (!enrolled.iter().any(has_one)).then(|| {
        Finding::new(
            Defect::RuleNobodyCanMeet,
            ground.place_of(rule),
            format!("rule {:?} takes a code, and nobody whom it is for has an authenticator", rule.name),
            "authflow factor add totp --user NAME, or let people enrol in the login (enroll)",
        )
    })
}

/// Those of the rule's groups that the user is in. Where that cannot be told, all of them: nobody is called locked out by mistake.
fn groups(ground: &Ground<'_>, user: &str, rule: &Rule) -> Vec<String> {
    if ground.context.is_image() {
        return rule.groups.clone();
    }
    let account = accounts::by_name(user).ok().flatten();
    let among = account.map(|account| account.groups_among(rule.groups.iter().map(String::as_str)));
    among.and_then(Result::ok).unwrap_or_else(|| rule.groups.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, found};

    const RECORD: &str = "etc/authflow/users/alice.toml";
    const ENROLLED: &str = "version = 1\n\n[[totp]]\nname = \"phone\"\nsecret = \"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\"\n";

    #[test]
    fn a_rule_that_nobody_can_meet_is_told() {
        const MAIN: &str = "rule-nobody-can-meet etc/authflow/authflow.toml";
        assert_eq!(found(TWO_FACTORS, &[], findings), [MAIN]);
        let none = Vec::<String>::new();
        assert_eq!(found(&format!("{TWO_FACTORS}enroll={{mode='required'}}\n"), &[], findings), none);
        assert_eq!(found(&TWO_FACTORS.replace("'totp']]", "'totp'],['publickey']]"), &[], findings), none);
        let enrolled = [(RECORD, ENROLLED)];
        assert_eq!(found(TWO_FACTORS, &enrolled, findings), none);
        assert_eq!(found(&format!("{TWO_FACTORS}user=['bob']\n"), &enrolled, findings), [MAIN]);
        assert_eq!(found(&format!("{TWO_FACTORS}user=['alice']\n"), &enrolled, findings), none);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_told_and_is_no_missing_one() {
        assert_eq!(
            found(TWO_FACTORS, &[(RECORD, "version = 1\n[[totp\n")], findings),
            [format!("record-unusable {RECORD}:2")]
        );
    }
}
