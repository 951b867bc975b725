//! Users' records: whether they can be read, whose they are, and whether anybody has what a rule asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use authflow_core::{
    account::{Authenticators, BadRecord},
    factor::{Factor, Factors},
    flow::choose,
    rule::{Method, Rule},
};
use authflow_host::{
    accounts,
    file::FileError,
    local_accounts,
    records::{RecordError, Records},
};

use super::{
    Ground, Place,
    catalogue::Defect,
    finding::Finding,
    names, outdated, own,
    owner::{self, OPEN, WRITABLE},
};

/// What is wrong with users' records. Root alone can look at them.
pub(super) fn findings(ground: &Ground<'_>) -> Vec<Finding> {
    let context = ground.context;
    if context.require_root("records").is_err() {
        return not_looked_at(ground, "only root can read them", "run it as root");
    }
    let records = Records::trusting(context.paths.clone(), ground.trust);
    let (users, disabled) = match (records.users(), records.disabled_users()) {
        (Ok(users), Ok(disabled)) => (users, disabled),
        (Err(error), _) | (_, Err(error)) => {
            return not_looked_at(ground, &error.to_string(), "see that it is a folder that root can read");
        }
    };
    let (enrolled, mut found) = read(ground, &records, &users);
    found.extend(outdated::findings(ground, &enrolled));
    found.extend(names::findings(ground, &users, &disabled));
    // Somebody's record that cannot be read may be what a rule needs.
    if found.iter().all(|finding| finding.defect != Defect::RecordUnusable) {
        let of_rule =
            |rule| nobody_can_meet(ground, rule, &enrolled).or_else(|| some_cannot_meet(ground, rule, &enrolled));
        // Who is disabled is meant to stay out: that all whom a rule names do is no defect of it.
        let is_for_the_disabled = |rule: &Rule| {
            rule.groups.is_empty()
                && !rule.users.is_empty()
                && rule.users.iter().all(|user| is_disabled(ground, user) == Some(true))
        };
        found.extend(ground.config.rules.iter().filter(|rule| !is_for_the_disabled(rule)).filter_map(of_rule));
    }
    found
}

/// The names of the rules that nobody can meet. Whose record cannot be used is denied, and meets none.
pub(super) fn rules_for_nobody(ground: &Ground<'_>) -> BTreeSet<String> {
    let records = Records::trusting(ground.context.paths.clone(), ground.trust);
    let Ok(users) = records.users() else { return BTreeSet::new() };
    let (enrolled, _unusable) = read(ground, &records, &users);
    let hopeless = |rule: &&Rule| nobody_can_meet(ground, rule, &enrolled).is_some();
    ground.config.rules.iter().filter(hopeless).map(|rule| rule.name.clone()).collect()
}

/// What everybody has, and the records that cannot be used.
fn read(
    ground: &Ground<'_>,
    records: &Records,
    users: &BTreeSet<String>,
) -> (BTreeMap<String, Authenticators>, Vec<Finding>) {
    let mut enrolled = BTreeMap::new();
    let mut found = Vec::new();
    for user in users {
        match records.authenticators(user).and_then(|record| records.state(user).map(|_| record)) {
            Ok(record) => drop(enrolled.insert(user.clone(), record.unwrap_or_default())),
            Err(error) => found.push(unusable(ground, user, &error)),
        }
    }
    (enrolled, found)
}

/// The command after which what was not trusted is.
fn closing(ground: &Ground<'_>, error: &RecordError) -> Option<String> {
    let RecordError::File(error) = error else { return None };
    let paths = &ground.context.paths;
    let is_shared = [Some(paths.state_home().as_path()), paths.config().parent()].contains(&path_of(error));
    owner::trusting(error, ground.trust, if is_shared { WRITABLE } else { OPEN })
}

fn path_of(error: &FileError) -> Option<&Path> {
    match error {
        FileError::NotTrusted { path, .. } | FileError::Io { path, .. } => Some(path),
        FileError::Missing(path) | FileError::TooLarge(path) | FileError::NotText(path) => Some(path),
    }
}

fn not_looked_at(ground: &Ground<'_>, why: &str, fix: &str) -> Vec<Finding> {
    if ground.config.rules.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(
        Defect::RecordsNotLookedAt,
        Place::none(),
        format!("users' records were not looked at: {why}"),
        fix,
    )]
}

/// A record or a state that cannot be used. Of the two a state alone knows which codes have been used.
fn unusable(ground: &Ground<'_>, user: &str, error: &RecordError) -> Finding {
    let paths = &ground.context.paths;
    let record = paths.users().join(format!("{user}.toml"));
    let (place, what) = match error {
        RecordError::Record { path, why: BadRecord::Syntax { line } } => {
            (Place::line(path, *line), "this line is no part of a record".to_owned())
        }
        RecordError::Record { path, why } => (Place::file(path), why.to_string()),
        RecordError::State { path, why } => (Place::file(path), why.to_string()),
        RecordError::BrokenState(path) => (Place::file(path), error.to_string()),
        RecordError::File(why) => (Place::file(path_of(why).unwrap_or(&record)), error.to_string()),
        RecordError::Name(_) | RecordError::Busy | RecordError::Managed(_) => (Place::file(&record), error.to_string()),
    };
    let is_state = match error {
        RecordError::State { .. } | RecordError::BrokenState(_) => true,
        RecordError::File(why) => path_of(why).is_some_and(|path| path.starts_with(paths.state())),
        RecordError::Record { .. } | RecordError::Name(_) | RecordError::Busy | RecordError::Managed(_) => false,
    };
    let fix = closing(ground, error).unwrap_or_else(|| match is_state {
        true => format!(
            "where a newer version wrote it, install that one again; else wait two minutes, move it away (no older copy in its place: used \
             codes would pass again), and give {user} new recovery codes: authflow factor recovery-codes --user {user}"
        ),
        false => "put it back from a backup, or remove it and enrol the user again (authflow factor add totp)".to_owned(),
    });
    Finding::new(Defect::RecordUnusable, place, format!("{what}, so {user} is denied"), fix)
}

/// A rule that takes a code in every method, and that nobody who may come has an authenticator for.
fn nobody_can_meet(ground: &Ground<'_>, rule: &Rule, enrolled: &BTreeMap<String, Authenticators>) -> Option<Finding> {
    if rule.enroll.is_some() || !rule.methods.iter().all(|method| takes_a_code(rule, method)) {
        return None;
    }
    let has_one = |(user, record): (&String, &Authenticators)| {
        !record.totp().is_empty() && rule.is_of(user, &groups(ground, user, rule)) && may_come(ground, user)
    };
    (!enrolled.iter().any(has_one)).then(|| {
        Finding::new(
            Defect::RuleNobodyCanMeet,
            ground.place_of(rule),
            format!("rule {:?} takes a code, and nobody who may come by it has an authenticator", rule.name),
            "authflow factor add totp --user NAME, or let people enrol in the login (enroll)",
        )
    })
}

/// Whether there is no way by that method without a code: neither now nor in the session that vouches.
fn takes_a_code(rule: &Rule, method: &Method) -> bool {
    let asked_of_session = rule.from_session.as_ref().filter(|_| method.factors().contains(Factor::Session));
    method.factors().contains(Factor::Totp)
        || asked_of_session.is_some_and(|session| session.proved.contains(Factor::Totp))
}

/// Whether there may be an account of that name, and nobody has disabled it.
fn may_come(ground: &Ground<'_>, user: &str) -> bool {
    let (context, paths) = (ground.context, &ground.context.paths);
    // A directory that is away tells of nobody; who was the machine's own is gone all the same.
    let is_told = || !local_accounts::has_directory(paths) || local_accounts::former_names(paths).contains(user);
    let is_gone = !context.is_image() && matches!(accounts::by_name(user), Ok(None)) && is_told();
    // Whose mark cannot be looked at is denied.
    !is_gone && !is_disabled(ground, user).unwrap_or(true)
}

/// Whether somebody has disabled that user; `None` where it cannot be told.
fn is_disabled(ground: &Ground<'_>, user: &str) -> Option<bool> {
    Records::trusting(ground.context.paths.clone(), ground.trust).is_disabled(user).ok()
}

/// Users whom a rule names, and who can meet no method of it whatever they are asked. An image's users may be made by its first boot.
fn some_cannot_meet(ground: &Ground<'_>, rule: &Rule, enrolled: &BTreeMap<String, Authenticators>) -> Option<Finding> {
    // Where every method takes a key and none can be shown, that is told.
    let takes_keys = rule.methods.iter().all(|method| method.factors().contains(Factor::Publickey));
    if ground.context.is_image() || rule.enroll.is_some() || takes_keys && !asks_by_sshd(ground, rule) {
        return None;
    }
    let has_directory = local_accounts::has_directory(&ground.context.paths);
    let most = own::most_users(ground);
    let is_there = |user: &&String| matches!(accounts::by_name(user), Ok(Some(account)) if account.name == **user);
    let may_come = |user: &&String| is_disabled(ground, user) != Some(true);
    let cannot = |user: &&String| {
        own::factors(ground, user).is_some_and(|mut own| {
            // A directory's password is not seen here.
            if has_directory {
                own.insert(Factor::Password);
            }
            let codes = enrolled.get(*user).and_then(|record| record.recovery.as_ref());
            !can_meet(ground, rule, if rule.recovery && codes.is_some() { own.with(Factor::Totp) } else { own })
        })
    };
    let named = rule.users.iter().take(most).filter(is_there).filter(may_come);
    let names: Vec<&str> = named.filter(cannot).map(String::as_str).collect();
    let first = names.first()?;
    Some(Finding::new(
        Defect::RuleUserCannotMeet,
        ground.place_of(rule),
        format!("rule {:?} names {}, who can meet no method of it", rule.name, names.join(", ")),
        format!(
            "authflow factor add totp --user {first}, passwd {first} where there is no password, or let people enrol in the login (enroll)"
        ),
    ))
}

/// Whether somebody with these meets a method: by a key as well where keys count, and by a session that vouches.
fn can_meet(ground: &Ground<'_>, rule: &Rule, own: Factors) -> bool {
    let outside = Factors::none().with(Factor::Session);
    let outside = if asks_by_sshd(ground, rule) { outside.with(Factor::Publickey) } else { outside };
    choose(&rule.methods, &own, &outside).is_some()
}

/// Whether keys count at a service of that rule.
fn asks_by_sshd(ground: &Ground<'_>, rule: &Rule) -> bool {
    rule.services.iter().any(|service| service == "*" || ground.config.is_sshd(service))
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
    const ENROLLED: &str =
        "version = 1\n\n[[totp]]\nname = \"phone\"\nsecret = \"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\"\n# end of record\n";

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
        let disabled = [enrolled[0], ("var/lib/authflow/state/alice.disabled", "by root: \nuid 1777\n")];
        assert_eq!(found(TWO_FACTORS, &disabled, findings).first().map(String::as_str), Some(MAIN));
    }

    #[test]
    fn a_rule_for_users_who_are_all_disabled_is_right() {
        let disabled = ("var/lib/authflow/state/alice.disabled", "by root: \nuid 1777\n");
        let told = |users: &str, files: &[(&str, &str)]| {
            let found = found(&format!("{TWO_FACTORS}user=[{users}]\n"), files, findings);
            found.iter().any(|found| found.starts_with("rule-nobody-can-meet"))
        };
        assert!(!told("'alice'", &[(RECORD, ENROLLED), disabled]), "they are meant to stay out");
        assert!(!told("'alice'", &[disabled]), "whatever they have");
        assert!(told("'alice','bob'", &[(RECORD, ENROLLED), disabled]), "bob is not");
        assert!(told("'alice'", &[]));
    }

    #[test]
    fn a_session_takes_a_code_where_it_must_have_proved_one() {
        let told = |method: &str, proved: &str| {
            let methods = format!("methods=[[{method}]]\nfrom_session={{proved=[{proved}],within='5m'}}");
            let rule = TWO_FACTORS.replace("methods=[['password','totp']]", &methods).replace("'sshd'", "'sudo'");
            found(&rule, &[], findings).len()
        };
        assert_eq!(told("'session'", "'totp'"), 1);
        assert_eq!(told("'session'", "'publickey'"), 0, "a login by a key vouches");
        assert_eq!(told("'session','totp'", "'publickey'"), 1);
        assert_eq!(told("'session'],['totp'", "'publickey'"), 0);
        assert_eq!(told("'session'],['totp'", "'password','totp'"), 1);
    }

    #[test]
    fn a_method_is_met_by_what_somebody_has_and_by_a_key_where_keys_count() {
        let meets = |rules: &str, own: Factors| {
            let is_met = std::cell::Cell::new(false);
            let _ = found(rules, &[], |ground| {
                is_met.set(can_meet(ground, &ground.config.rules[0], own.clone()));
                Vec::new()
            });
            is_met.get()
        };
        let password = || Factors::none().with(Factor::Password);
        assert!(meets(TWO_FACTORS, password().with(Factor::Totp)) && !meets(TWO_FACTORS, password()));
        let or_a_key = TWO_FACTORS.replace("'totp']]", "'totp'],['publickey']]");
        assert!(meets(&or_a_key, Factors::none()) && !meets(&or_a_key.replace("'sshd'", "'login'"), password()));
    }

    #[test]
    fn what_is_to_be_done_is_said_of_the_file_that_it_is_about() {
        const STATE: &str = "var/lib/authflow/state/alice";
        let fixes = |files: &[(&str, &str)], opened: &str| {
            let said = std::cell::RefCell::new(Vec::new());
            let told = found(TWO_FACTORS, files, |ground| {
                let opened = ground.root.join(opened);
                std::fs::set_permissions(opened, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
                let found = findings(ground);
                said.borrow_mut().extend(found.iter().map(|finding| finding.fix.clone()));
                found
            });
            assert!(told.len() == 1 && told[0].starts_with("record-unusable "), "{told:?}");
            said.into_inner().concat()
        };
        let state = fixes(&[(RECORD, ENROLLED), (STATE, "cut")], "etc");
        assert!(state.contains("wait two minutes") && state.contains("recovery-codes --user alice"), "{state}");
        let record = fixes(&[(RECORD, "version = 1\n[[totp\n")], "etc");
        assert!(record.contains("enrol the user again") && !record.contains("two minutes"), "{record}");
        let folder = fixes(&[(RECORD, ENROLLED)], "etc/authflow/users");
        assert!(folder.starts_with("chown root:root ") && folder.ends_with("etc/authflow/users"), "{folder}");
        assert!(folder.contains(" && chmod 0700 "), "{folder}");
    }

    #[test]
    fn a_managed_record_that_is_cut_short_is_no_user_with_fewer_factors() {
        let cut = ENROLLED.replace("# end of record\n", "");
        assert_eq!(found(TWO_FACTORS, &[(RECORD, cut.as_str())], findings), [format!("record-unusable {RECORD}")]);
    }

    #[test]
    fn a_record_that_cannot_be_read_is_told_and_is_no_missing_one() {
        assert_eq!(
            found(TWO_FACTORS, &[(RECORD, "version = 1\n[[totp\n")], findings),
            [format!("record-unusable {RECORD}:2")]
        );
    }
}
