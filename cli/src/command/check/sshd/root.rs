//! Whether root, who has a key for ssh, gets in by it: `PermitRootLogin` may count nothing but keys where `AuthenticationMethods` or the
//! rule asks for more.

use std::{
    fs,
    path::{Path, PathBuf},
};

use authflow_core::{
    factor::{Factor, Factors},
    flow::choose,
    rule::Rule,
};
use authflow_host::accounts;

use super::{
    people::known_groups,
    view::{View, provable},
};
use crate::command::check::{Ground, catalogue::Defect, finding::Finding, own};

const ROOT: &str = "root";

/// What keeps root out. `views` are the settings for root, from anywhere and from where a `Match` is about; `rules` those about sshd.
pub(super) fn findings(ground: &Ground<'_>, views: &[View], rules: &[&Rule]) -> Option<Finding> {
    let mut first = None;
    for view in views {
        match of_view(ground, view, rules) {
            Standing::NotMeant => {}
            // Whoever gets in from somewhere is not locked out.
            Standing::GetsIn => return None,
            Standing::LockedOut(finding) => first = first.or(Some(finding)),
        }
    }
    first
}

/// How it stands with root, by some settings.
enum Standing {
    NotMeant,
    GetsIn,
    LockedOut(Finding),
}

fn of_view(ground: &Ground<'_>, view: &View, rules: &[&Rule]) -> Standing {
    let permit = view.value("permitrootlogin").to_ascii_lowercase();
    if permit == "no" || !view.is_on("pubkeyauthentication") {
        return Standing::NotMeant;
    }
    let is_left_alone = |rule: &Rule| rule.methods.iter().all(|method| method.is_stack());
    let is_for_root = |rule: &&&Rule| rule.users.iter().any(|user| user == ROOT) && !is_left_alone(rule);
    let key = key_file(ground, view).map(|path| format!("root has a key ({})", path.display()));
    let named = rules.iter().find(is_for_root).map(|rule| format!("rule {:?} is for root", rule.name));
    let ways: Vec<Vec<String>> = view.ways().into_iter().filter(|way| counts(way, &permit)).collect();
    if ways.is_empty() {
        let Some(meant) = key.or(named) else { return Standing::NotMeant };
        return Standing::LockedOut(Finding::new(
            Defect::SshdRootLockedOut,
            view.place("authenticationmethods"),
            format!(
                "{meant}, nothing but keys counts of root (PermitRootLogin {permit}), and AuthenticationMethods {} asks for more",
                view.value("authenticationmethods")
            ),
            "write \"Match User root\" and below it \"AuthenticationMethods publickey\" at the end of sshd_config, and a rule for root before \
             the others, user = [\"root\"] and methods = [[\"publickey\"]]; or PermitRootLogin no, if root is to stay out",
        ));
    }
    match key.zip(own::factors(ground, ROOT)) {
        Some((key, own)) => by_rules(ground, rules, (&ways, &own), &key),
        None => Standing::NotMeant,
    }
}

/// Whether a rule lets root in by one of these ways.
fn by_rules(ground: &Ground<'_>, rules: &[&Rule], (ways, own): (&[Vec<String>], &Factors), key: &str) -> Standing {
    let named = known_groups(rules.iter().flat_map(|rule| rule.groups.iter().cloned()).collect());
    let account = accounts::by_name(ROOT).ok().flatten();
    let groups = account.and_then(|account| account.groups_among(named.iter().map(String::as_str)).ok());
    let groups = groups.unwrap_or_default();
    let met = rules_met(rules, (ROOT, &groups));
    if met.iter().any(|rule| ways.iter().any(|way| lets_in(way, rule, own))) {
        return Standing::GetsIn;
    }
    let (place, why) = match met.last() {
        Some(rule) => (ground.place_of(rule), format!("rule {:?} asks for more than root has", rule.name)),
        None => (ground.place_of_config(), "no rule is for root".to_owned()),
    };
    Standing::LockedOut(Finding::new(
        Defect::SshdRootLockedOut,
        place,
        format!("{key}, and {why}"),
        "put a rule before the others, user = [\"root\"] and methods = [[\"publickey\"]] (with a code: authflow factor add totp --user root, \
         and PermitRootLogin yes); or write PermitRootLogin no, if root is to stay out",
    ))
}

/// Whether each step of that way counts for root.
fn counts(way: &[String], permit: &str) -> bool {
    let keys: &[&str] = match permit {
        "yes" => return true,
        "forced-commands-only" => &["publickey"],
        _ => &["publickey", "hostbased", "gssapi-with-mic"],
    };
    way.iter().all(|method| keys.contains(&method.as_str()))
}

/// The rules that somebody comes to, from one place or another. Whoever is meant from everywhere comes to no later rule.
pub(super) fn rules_met<'a>(rules: &[&'a Rule], (user, groups): (&str, &[String])) -> Vec<&'a Rule> {
    let mut met = Vec::new();
    for rule in rules.iter().filter(|rule| rule.is_of(user, groups)) {
        met.push(*rule);
        if rule.from.is_empty() {
            break;
        }
    }
    met
}

/// Whether somebody who has that gets in by the rule on that way.
pub(super) fn lets_in(way: &[String], rule: &Rule, own: &Factors) -> bool {
    let (askable, proved) = provable(way);
    let has = |factor: Factor| own.contains(factor) || (rule.enroll.is_some() && factor == Factor::Totp);
    let has: Factors = askable.iter().filter(|factor| has(*factor)).collect();
    choose(&rule.methods, &has, &proved).is_some()
}

/// The first file of root's with a key that opens something.
fn key_file(ground: &Ground<'_>, view: &View) -> Option<PathBuf> {
    let files = view.key_files().map(|name| {
        let name = name.replace("%h", "/root").replace("%u", ROOT).replace("%U", "0").replace("%%", "%");
        Path::new("/root").join(name)
    });
    let mut files = files.map(|path| (ground.root.join(path.strip_prefix("/").unwrap_or(&path)), path));
    files.find(|(there, _)| fs::read_to_string(there).is_ok_and(|text| text.lines().any(opens))).map(|(_, path)| path)
}

/// Whether that line is a key, and not one that only tells whoever uses it to be somebody else, as cloud images have it.
fn opens(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && !line.contains("command=\"echo ")
}

#[cfg(test)]
mod tests {
    use crate::command::check::{
        fixture::{TWO_FACTORS, found},
        sshd,
    };

    const MAIN: &str = "etc/ssh/sshd_config";
    const RULES: &str = "etc/authflow/authflow.toml";
    const BOTH: &str = "UsePAM yes\nPasswordAuthentication no\n\
                        AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam\n";
    const KEY: (&str, &str) = ("root/.ssh/authorized_keys", "# mine\nssh-ed25519 AAAA root@desk\n");

    fn told(rules: &str, config: &str, key: (&str, &str)) -> Vec<String> {
        let told = found(rules, &[(MAIN, config), key], sshd::findings);
        told.into_iter().filter_map(|told| Some(told.strip_prefix("sshd-root-locked-out ")?.to_owned())).collect()
    }

    #[test]
    fn root_with_a_key_alone_is_told_where_nothing_lets_root_in() {
        let none = Vec::<String>::new();
        assert_eq!(told(TWO_FACTORS, BOTH, KEY), [format!("{MAIN}:3")]);
        assert_eq!(told(TWO_FACTORS, BOTH, ("root/.ssh/authorized_keys", "# none\n")), none, "no key");
        let hint = "no-pty,command=\"echo 'Please login as the user debian'\" ssh-ed25519 AAAA x\n";
        assert_eq!(told(TWO_FACTORS, BOTH, ("root/.ssh/authorized_keys", hint)), none, "opens nothing");
        assert_eq!(told(TWO_FACTORS, &format!("{BOTH}PermitRootLogin no\n"), KEY), none, "meant so");
        let for_root = format!("{BOTH}Match User root\nAuthenticationMethods publickey\n");
        assert_eq!(told(TWO_FACTORS, &for_root, KEY), [RULES], "the rule asks for more");
        let rule = "[[rule]]\nname='root'\nservice=['sshd']\nuser=['root']\nmethods=[['publickey']]\n";
        assert_eq!(told(&format!("{rule}{TWO_FACTORS}"), &for_root, KEY), none);
        assert_eq!(told(&format!("{TWO_FACTORS}user=['alice']\n"), &for_root, KEY), [RULES], "no rule is for root");
        let all_but_root = format!("UsePAM yes\nMatch User *,!root\n{}", BOTH.replace("UsePAM yes\n", ""));
        assert_eq!(told(&rule.replace("publickey", "stack"), &all_but_root, KEY), none, "as setup leaves it");
        let managed = format!("{BOTH}Match Address 10.0.0.0/8\nAuthenticationMethods publickey\n");
        assert_eq!(told(&format!("{rule}{TWO_FACTORS}"), &managed, KEY), none, "from somewhere");
        let asked = format!("{}{TWO_FACTORS}", rule.replace("'publickey'", "'password','totp'"));
        let no_key = ("root/.ssh/authorized_keys", "");
        assert_eq!(told(&asked, BOTH, no_key), [format!("{MAIN}:3")], "a rule asks root, and sshd does not let it");
        assert_eq!(told(&rule.replace("publickey", "stack"), BOTH, no_key), none, "as before, when it got in no more");
        assert_eq!(told(TWO_FACTORS, &format!("{BOTH}PubkeyAuthentication no\n"), KEY), none, "no keys at all");
        let elsewhere = ("etc/keys/root", KEY.1);
        assert_eq!(
            told(TWO_FACTORS, &format!("{BOTH}AuthorizedKeysFile /etc/keys/%u\n"), elsewhere),
            [format!("{MAIN}:3")]
        );
    }

    #[test]
    fn root_with_a_code_is_asked_where_sshd_lets_root_be() {
        let yes = format!("{BOTH}PermitRootLogin yes\n");
        assert_eq!(told(TWO_FACTORS, &yes, KEY), [RULES], "no authenticator");
        let enrolling = format!("{TWO_FACTORS}enroll={{mode='required'}}\n");
        assert_eq!(told(&enrolling, &yes, KEY), Vec::<String>::new());
        assert_eq!(told(&enrolling, BOTH, KEY), [format!("{MAIN}:3")], "nothing but keys counts");
    }
}
