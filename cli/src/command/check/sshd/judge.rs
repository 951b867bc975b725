//! What sshd's settings make of the rules for it.

use authflow_core::{
    factor::{Factor, Factors},
    flow::{choose, is_left_to_the_stack},
    rule::{Method, Rule},
};

use super::view::{View, meets};
use crate::command::check::{Place, catalogue::Defect, finding::Finding};

/// The method that has as many prompts as are asked.
pub(super) const QUESTIONS: &str = "kbdinteractiveauthentication";

/// A rule, where it stands, and the settings of somebody whom it is for.
pub(super) struct Meeting<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Where it stands.
    pub place: Place,
    /// The settings.
    pub view: View,
    /// Whether password and code are put into one prompt.
    pub one_prompt: bool,
    /// What each of those whom it is for can be asked for.
    pub owned: Vec<Factors>,
}

/// Whether sshd comes to PAM at all.
pub(super) fn without_pam(view: &View) -> Option<Finding> {
    let what = || format!("UsePAM {}", view.value("usepam"));
    (!view.is_on("usepam"))
        .then(|| Finding::new(Defect::SshdWithoutPam, view.place("usepam"), what(), "write UsePAM yes"))
}

/// What is wrong with the settings for everybody, whoever comes.
pub(super) fn for_everybody(view: &View, rules: &[&Rule]) -> Vec<Finding> {
    let mut found = anybodys(view, rules);
    found.extend(grace(view, rules));
    found
}

/// What is wrong for whom that rule is.
pub(super) fn meeting(meeting: &Meeting<'_>) -> Vec<Finding> {
    let Meeting { rule, place, view, one_prompt: is_one, owned } = meeting;
    let mut found: Vec<Finding> =
        unmet(view, &[*rule], place).into_iter().chain(key_alone(view, rule, owned)).collect();
    if !is_one {
        found.extend(one_prompt(view, rule));
    }
    found
}

/// What is wrong with the settings for some: only what no rule at all can do with, since which rule is theirs is not known here.
pub(super) fn for_some(view: &View, rules: &[&Rule], place: &Place) -> Vec<Finding> {
    let mut found = anybodys(view, rules);
    found.extend(unmet(view, rules, place));
    found
}

/// What is wrong whichever rule it is.
pub(super) fn anybodys(view: &View, rules: &[&Rule]) -> Vec<Finding> {
    let on = |defect, keyword: &str, name: &str| {
        let what = format!("{name} {}{}", view.value(keyword), view.for_whom());
        Finding::new(defect, view.place(keyword), what, format!("write {name} no"))
    };
    let mut found: Vec<Finding> = alive(view).into_iter().collect();
    let is_stack = |rule: &&Rule| rule.methods.iter().any(|method| method.is_stack());
    if view.is_on("permitemptypasswords") && rules.iter().any(is_stack) {
        found.push(on(Defect::SshdEmptyPasswords, "permitemptypasswords", "PermitEmptyPasswords"));
    }
    if !["no", ""].contains(&view.value("permituserenvironment")) {
        found.push(on(Defect::SshdUserEnvironment, "permituserenvironment", "PermitUserEnvironment"));
    }
    for (method, keyword, name) in [
        ("gssapi-with-mic", "gssapiauthentication", "GSSAPIAuthentication"),
        ("hostbased", "hostbasedauthentication", "HostbasedAuthentication"),
    ] {
        let way = [method.to_owned()];
        if view.ways().iter().any(|list| *list == way) && rules.iter().any(|rule| !meets(&way, rule)) {
            found.push(on(Defect::SshdMethodUnforeseen, keyword, name));
        }
    }
    found
}

/// What is taken for an idle limit and is none.
fn alive(view: &View) -> Option<Finding> {
    let (interval, count) = (view.seconds("clientaliveinterval")?, view.value("clientalivecountmax"));
    let fix = "idle limits are [session] idle in authflow.toml";
    if interval > 0 && count == "0" {
        let what = format!("ClientAliveCountMax 0{}", view.for_whom());
        let place = view.place("clientalivecountmax");
        return Some(Finding::new(Defect::SshdAliveCountZero, place, what, format!("write 3; {fix}")));
    }
    (interval >= 300).then(|| {
        let what = format!("ClientAliveInterval {interval}{}", view.for_whom());
        Finding::new(Defect::SshdAliveNoLimit, view.place("clientaliveinterval"), what, fix)
    })
}

/// Never for the whole machine: root and whoever has a key alone would be asked for what they do not have.
pub(super) const ASK_BOTH: &str = "in a Match block for those whom the rule is for (`Match User NAME`; where the rule is setup's: `authflow setup sshd` \
    again) write AuthenticationMethods publickey,keyboard-interactive:pam keyboard-interactive:pam, without what the rule does not take";

/// That no way in meets any of these rules. Whether it is for want of questions or for another reason.
fn unmet(view: &View, rules: &[&Rule], place: &Place) -> Option<Finding> {
    let ways = view.ways();
    let is_met = |ways: &[Vec<String>]| rules.iter().any(|rule| ways.iter().any(|way| meets(way, rule)));
    // What only a session proves is no matter of sshd's, and is told otherwise.
    let takes_session = |rule: &&Rule| rule.methods.iter().all(|method| method.factors().contains(Factor::Session));
    if is_met(&ways) || rules.iter().all(takes_session) {
        return None;
    }
    let name = rules.first().map_or("", |rule| rule.name.as_str());
    if !view.is_on(QUESTIONS) {
        return rules.first().map(|rule| without_questions(view, rule, "write KbdInteractiveAuthentication yes"));
    }
    let written = view.value("authenticationmethods");
    let is_any = written.is_empty() || written.eq_ignore_ascii_case("any");
    let (where_, what) = match is_any {
        true => (place.clone(), format!("sshd takes one method at a time{}", view.for_whom())),
        false => (view.place("authenticationmethods"), format!("AuthenticationMethods {written}{}", view.for_whom())),
    };
    Some(Finding::new(
        Defect::SshdMethodsUnmet,
        where_,
        format!("{what} and no method of rule {name:?} can be met"),
        ASK_BOTH,
    ))
}

fn without_questions(view: &View, rule: &Rule, fix: &str) -> Finding {
    let set = format!("KbdInteractiveAuthentication {}{}", view.value(QUESTIONS), view.for_whom());
    let what = format!("{set}, and rule {:?} asks", rule.name);
    Finding::new(Defect::SshdWithoutQuestions, view.place(QUESTIONS), what, fix)
}

/// Whoever's key sshd takes alone, and whose rule wants more.
fn key_alone(view: &View, rule: &Rule, owned: &[Factors]) -> Option<Finding> {
    let key = ["publickey".to_owned()];
    if !view.ways().iter().any(|way| *way == key) {
        return None;
    }
    let told = |what: String, fix: &str| {
        let what = format!("sshd takes a key alone{}, and rule {:?} {what}", view.for_whom(), rule.name);
        Some(Finding::new(Defect::SshdKeyUnforeseen, view.place("authenticationmethods"), what, fix))
    };
    if meets(&key, rule) {
        let earlier = comes_first(rule, owned)?;
        return told(
            format!("has {earlier} before the key, which whoever has that must prove"),
            "put the method with the key alone before it, if a key is enough; or write AuthenticationMethods \
             publickey,keyboard-interactive:pam keyboard-interactive:pam in a Match block for those whom the rule is for",
        );
    }
    let takes_keys = rule.methods.iter().any(|method| method.factors().contains(Factor::Publickey));
    told(
        "does not".to_owned(),
        if takes_keys {
            ASK_BOTH
        } else {
            "write AuthenticationMethods keyboard-interactive:pam, or PubkeyAuthentication no, in a Match block for those whom the rule is for"
        },
    )
}

/// The method that is somebody's, although the key alone would meet a later one: the first within reach is the user's.
fn comes_first<'a>(rule: &'a Rule, owned: &[Factors]) -> Option<&'a Method> {
    let proved = Factors::none().with(Factor::Publickey);
    if is_left_to_the_stack(&rule.methods, &proved) {
        return None;
    }
    let methods = owned.iter().filter_map(|has| choose(&rule.methods, has, &proved));
    methods.into_iter().find(|method| !method.is_satisfied_by(&proved))
}

fn one_prompt(view: &View, rule: &Rule) -> Option<Finding> {
    let (password, both) = (["password".to_owned()], ["keyboard-interactive".to_owned()]);
    let is_taken = view.ways().iter().any(|way| *way == password);
    (is_taken && meets(&both, rule) && !meets(&password, rule)).then(|| {
        // Then it is all that whoever has no key is offered.
        if !view.is_on(QUESTIONS) {
            return without_questions(
                view,
                rule,
                "write KbdInteractiveAuthentication yes, or PasswordAuthentication no if keys are the only way",
            );
        }
        Finding::new(
            Defect::SshdPasswordMethod,
            view.place("passwordauthentication"),
            format!("PasswordAuthentication yes, and rule {:?} asks for two things", rule.name),
            "write PasswordAuthentication no",
        )
    })
}

fn grace(view: &View, rules: &[&Rule]) -> Option<Finding> {
    const ENOUGH: u64 = 120;
    let seconds = view.seconds("logingracetime").filter(|seconds| *seconds > 0 && *seconds < ENOUGH)?;
    let rule = rules.iter().find(|rule| rule.enroll.is_some())?;
    Some(Finding::new(
        Defect::SshdGraceShort,
        view.place("logingracetime"),
        format!("LoginGraceTime {seconds}, and rule {:?} lets people enrol in the login", rule.name),
        format!("write LoginGraceTime {ENOUGH} or more"),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::view::askable, *};
    use crate::command::check::fixture;

    const RULE: &str = "[[rule]]\nname='ssh'\nservice=['sshd']\nmethods=";
    const BOTH: &str = "[['publickey','totp'],['password','totp']]\n";
    const README: &str = "usepam yes\npasswordauthentication no\n\
                          authenticationmethods publickey,keyboard-interactive:pam keyboard-interactive:pam\n";

    fn told(rules: &str, said: &str) -> Vec<String> {
        let config = fixture::config(rules);
        let view = View::global(Some(said), &BTreeMap::new(), Place::none());
        let rules: Vec<&Rule> = config.rules.iter().collect();
        let mut found: Vec<Finding> = without_pam(&view).into_iter().collect();
        if found.is_empty() {
            found.extend(for_everybody(&view, &rules));
            let of = |rule| {
                meeting(&Meeting {
                    rule,
                    place: Place::none(),
                    view: view.clone(),
                    one_prompt: false,
                    owned: vec![askable()],
                })
            };
            found.extend(rules.iter().flat_map(|rule| of(rule)));
        }
        found.iter().map(|found| found.defect.id().to_owned()).collect()
    }

    fn told_of(methods: &str, said: &str) -> Vec<String> {
        told(&format!("{RULE}{methods}"), said)
    }

    #[test]
    fn what_the_readme_says_is_right() {
        assert_eq!(told_of(BOTH, README), Vec::<String>::new());
        let robots = format!("{RULE}[['publickey']]\n").replace("'ssh'", "'robots'");
        assert_eq!(told(&robots, "usepam yes\nauthenticationmethods publickey\n"), Vec::<String>::new());
        assert_eq!(told_of("[['stack']]\n", "usepam yes\nkbdinteractiveauthentication no\n"), Vec::<String>::new());
        assert_eq!(
            told_of("[['password']]\n", "usepam yes\npubkeyauthentication no\nkbdinteractiveauthentication no\n"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_shapes_of_the_document_are_right() {
        for (methods, rule) in [
            ("keyboard-interactive:pam", "[['password','totp']]"),
            ("publickey,keyboard-interactive:pam", "[['publickey','totp']]"),
            (
                "publickey,keyboard-interactive:pam keyboard-interactive:pam",
                "[['publickey','totp'],['password','totp']]",
            ),
            ("publickey", "[['publickey']]"),
            ("any", "[['publickey']]"),
            ("publickey,keyboard-interactive:pam", "[['publickey','password']]"),
        ] {
            let said = format!("usepam yes\nauthenticationmethods {methods}\n");
            assert_eq!(told_of(&format!("{rule}\n"), &said), Vec::<String>::new(), "{methods}");
        }
    }

    #[test]
    fn settings_that_keep_people_out_are_told() {
        for (said, expected) in [
            ("usepam no\n", "sshd-without-pam"),
            (
                "usepam yes\npasswordauthentication no\nkbdinteractiveauthentication no\n",
                "sshd-without-questions sshd-key-unforeseen",
            ),
            ("usepam yes\nauthenticationmethods publickey\n", "sshd-methods-unmet sshd-key-unforeseen"),
            ("usepam yes\npasswordauthentication no\n", "sshd-key-unforeseen"),
            ("usepam yes\npubkeyauthentication no\n", "sshd-password-method"),
            (
                "usepam yes\nkbdinteractiveauthentication no\n",
                "sshd-without-questions sshd-key-unforeseen sshd-without-questions",
            ),
        ] {
            assert_eq!(told_of(BOTH, said).join(" "), expected, "{said}");
        }
        // As Debian's sshd is: whoever has no key is asked for the password alone.
        let stock = "usepam yes\nkbdinteractiveauthentication no\n";
        let or_a_key = "[['publickey'],['password','totp']]\n";
        assert_eq!(told_of(or_a_key, stock), ["sshd-without-questions"]);
        assert_eq!(
            told_of(or_a_key, &format!("{stock}passwordauthentication no\n")),
            Vec::<String>::new(),
            "keys alone"
        );
        let key_and_code = told_of("[['publickey','totp']]\n", "usepam yes\npasswordauthentication no\n");
        assert_eq!(key_and_code, ["sshd-methods-unmet", "sshd-key-unforeseen"], "one method at a time is not enough");
    }

    #[test]
    fn a_key_alone_is_told_where_a_method_that_somebody_has_comes_first() {
        let stock = "usepam yes\nkbdinteractiveauthentication no\n";
        let key_last = "[['password'],['publickey']]\n";
        assert_eq!(told_of(key_last, stock), ["sshd-key-unforeseen"]);
        assert_eq!(told_of("[['publickey'],['password']]\n", stock), Vec::<String>::new(), "the order decides");
        assert_eq!(told_of("[['stack'],['publickey']]\n", stock), Vec::<String>::new(), "left to the stack");
        let asking = "usepam yes\nauthenticationmethods publickey,keyboard-interactive:pam keyboard-interactive:pam\n";
        assert_eq!(told_of(key_last, asking), Vec::<String>::new());
        let config = fixture::config(&format!("{RULE}{key_last}"));
        let view = View::global(Some(stock), &BTreeMap::new(), Place::none());
        let of = |owned| key_alone(&view, &config.rules[0], &[owned]).is_some();
        assert!(of(Factors::none().with(Factor::Password)) && !of(Factors::none()), "nobody has a password");
    }

    #[test]
    fn settings_that_are_not_what_they_seem_are_told() {
        for (line, expected) in [
            ("clientaliveinterval 300\nclientalivecountmax 0\n", "sshd-alive-count-zero"),
            ("clientaliveinterval 900\n", "sshd-alive-no-limit"),
            ("clientaliveinterval 15\n", ""),
            ("permituserenvironment yes\n", "sshd-user-environment"),
            ("permituserenvironment LANG\n", "sshd-user-environment"),
            ("permitemptypasswords yes\n", ""),
            ("logingracetime 30\n", ""),
        ] {
            assert_eq!(told_of(BOTH, &format!("{README}{line}")).join(" "), expected, "{line}");
        }
        assert_eq!(told_of("[['stack']]\n", "usepam yes\npermitemptypasswords yes\n"), ["sshd-empty-passwords"]);
        let enrolling = "[['password','totp']]\nenroll={mode='required'}\n";
        let keyless = "usepam yes\npubkeyauthentication no\npasswordauthentication no\n";
        assert_eq!(told_of(enrolling, &format!("{keyless}logingracetime 30\n")), ["sshd-grace-short"]);
        assert_eq!(told_of(enrolling, &format!("{keyless}logingracetime 0\n")), Vec::<String>::new());
        assert_eq!(told_of(enrolling, &format!("{keyless}gssapiauthentication yes\n")), ["sshd-method-unforeseen"]);
    }
}
