//! sshd's settings as they are for somebody: for everybody, or for whom a `Match` is.

use std::collections::BTreeMap;

use authflow_core::{
    factor::{Factor, Factors},
    flow::choose,
    rule::Rule,
};

use super::file::{Match, Setting};
use crate::command::check::Place;

/// What holds where nothing is said, of what is looked at here (sshd_config(5)).
const DEFAULTS: [(&str, &str); 15] = [
    ("usepam", "no"),
    ("kbdinteractiveauthentication", "yes"),
    ("passwordauthentication", "yes"),
    ("pubkeyauthentication", "yes"),
    ("gssapiauthentication", "no"),
    ("hostbasedauthentication", "no"),
    ("authenticationmethods", "any"),
    ("permitemptypasswords", "no"),
    ("permituserenvironment", "no"),
    ("logingracetime", "120"),
    ("clientaliveinterval", "0"),
    ("clientalivecountmax", "3"),
    ("pamservicename", "sshd"),
    ("permitrootlogin", "prohibit-password"),
    ("authorizedkeysfile", ".ssh/authorized_keys .ssh/authorized_keys2"),
];

/// Of which sshd says each name in a line of its own.
const LISTS: [&str; 4] = ["allowusers", "denyusers", "allowgroups", "denygroups"];

/// The settings for somebody.
#[derive(Clone, Debug)]
pub(super) struct View {
    values: BTreeMap<String, String>,
    places: BTreeMap<String, Place>,
    main: Place,
    /// Whom it is for; everybody, if nothing.
    criteria: Option<String>,
}

impl View {
    /// What holds for everybody: what sshd itself says, or else what its file says.
    pub(super) fn global(said: Option<&str>, file: &BTreeMap<String, Setting>, main: Place) -> Self {
        let mut values: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(keyword, value)| ((*keyword).to_owned(), (*value).to_owned())).collect();
        match said {
            Some(text) => values.extend(lines(text)),
            None => values.extend(file.iter().map(|(keyword, setting)| (keyword.clone(), setting.value.clone()))),
        }
        let places = file.iter().map(|(keyword, setting)| (keyword.clone(), setting.place.clone())).collect();
        Self { values, places, main, criteria: None }
    }

    /// The same for whom that `Match` is.
    pub(super) fn within(&self, found: &Match) -> Self {
        self.for_whom_all(std::iter::once(found)).told_of(found)
    }

    /// The same, told of as those for whom that `Match` is.
    pub(super) fn told_of(self, found: &Match) -> Self {
        Self { criteria: Some(found.criteria.clone()), ..self }
    }

    /// The same for somebody for whom all of these are: of two that say the same the first counts.
    pub(super) fn for_whom_all<'a>(&self, all: impl DoubleEndedIterator<Item = &'a Match>) -> Self {
        let mut view = self.clone();
        for found in all.rev() {
            for (keyword, Setting { value, place }) in &found.settings {
                view.values.insert(keyword.clone(), value.clone());
                view.places.insert(keyword.clone(), place.clone());
            }
        }
        view
    }

    /// The same in sshd's own words for somebody. What these do not take from where it was read here, they take from one of `all`.
    pub(super) fn in_words_of_sshd<'a>(&self, said: &str, all: impl Iterator<Item = &'a Match> + Clone) -> Self {
        let mut view = self.clone();
        for (keyword, value) in lines(said) {
            let is_it = |setting: &&Setting| setting.value.eq_ignore_ascii_case(&value);
            let differs = !view.value(&keyword).eq_ignore_ascii_case(&value);
            let source = all.clone().filter(|_| differs).find_map(|found| found.settings.get(&keyword).filter(is_it));
            if let Some(setting) = source {
                view.places.insert(keyword.clone(), setting.place.clone());
            }
            view.values.insert(keyword, value);
        }
        view
    }

    /// What is set.
    pub(super) fn value(&self, keyword: &str) -> &str {
        self.values.get(keyword).map_or("", String::as_str)
    }

    /// Whether it is `yes`.
    pub(super) fn is_on(&self, keyword: &str) -> bool {
        self.value(keyword).eq_ignore_ascii_case("yes")
    }

    /// The seconds that it says.
    pub(super) fn seconds(&self, keyword: &str) -> Option<u64> {
        seconds(self.value(keyword))
    }

    /// The files in which an account's own keys are, or the names by which certificates are taken for it, as they are written for all.
    pub(super) fn key_files(&self) -> impl Iterator<Item = &str> {
        let has_ca = !["", "none"].contains(&self.value("trustedusercakeys"));
        let principals = Some(self.value("authorizedprincipalsfile")).filter(|file| has_ca && *file != "none");
        let files = self.value("authorizedkeysfile").split_whitespace().filter(|file| *file != "none");
        files.chain(principals.into_iter().flat_map(str::split_whitespace)).map(|name| name.trim_matches('"'))
    }

    /// Whether there is anything by which a key could be somebody's: files, a command, or a CA of users.
    fn knows_keys(&self) -> bool {
        let is_none = |keyword: &str| ["", "none"].contains(&self.value(keyword));
        !["authorizedkeysfile", "authorizedkeyscommand", "trustedusercakeys"].into_iter().all(is_none)
    }

    /// Who may come and who may not, a line for each name.
    pub(super) fn lists(&self) -> String {
        let names = |keyword: &'static str| self.value(keyword).lines().map(move |name| format!("{keyword} {name}\n"));
        LISTS.into_iter().flat_map(names).collect()
    }

    /// Where it is set; where it is not, the file.
    pub(super) fn place(&self, keyword: &str) -> Place {
        self.places.get(keyword).cloned().unwrap_or_else(|| self.main.clone())
    }

    /// Whom it is for, in words behind a sentence.
    pub(super) fn for_whom(&self) -> String {
        self.criteria.as_ref().map_or_else(String::new, |criteria| format!(" (Match {criteria})"))
    }

    /// The ways in: each a list of methods, all of which sshd takes.
    pub(super) fn ways(&self) -> Vec<Vec<String>> {
        let takes = |method: &str| match method {
            "publickey" => self.is_on("pubkeyauthentication") && self.knows_keys(),
            "keyboard-interactive" => self.is_on("kbdinteractiveauthentication"),
            "password" => self.is_on("passwordauthentication"),
            "gssapi-with-mic" => self.is_on("gssapiauthentication"),
            "hostbased" => self.is_on("hostbasedauthentication"),
            _ => false,
        };
        let written = self.value("authenticationmethods");
        let lists: Vec<Vec<String>> = if written.is_empty() || written.eq_ignore_ascii_case("any") {
            ["publickey", "keyboard-interactive", "password", "gssapi-with-mic", "hostbased"]
                .map(|one| vec![one.to_owned()])
                .to_vec()
        } else {
            let method = |name: &str| name.split(':').next().unwrap_or(name).to_owned();
            written.split_whitespace().map(|list| list.trim_matches('"').split(',').map(method).collect()).collect()
        };
        lists.into_iter().filter(|list| list.iter().all(|method| takes(method))).collect()
    }
}

/// Keywords in lower case and what is set, from the words of `sshd -T`.
fn lines(said: &str) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (keyword, value) in said.lines().filter_map(|line| line.split_once(' ')) {
        let (keyword, value) = (keyword.to_ascii_lowercase(), value.trim().to_owned());
        match values.get_mut(&keyword).filter(|_| LISTS.contains(&keyword.as_str())) {
            Some(names) => *names += &format!("\n{value}"),
            None => drop(values.insert(keyword, value)),
        }
    }
    values
}

/// What a user who has every authenticator can be asked for.
pub(super) fn askable() -> Factors {
    Factors::none().with(Factor::Password).with(Factor::Totp)
}

/// What a user who has every authenticator can prove on that way in.
pub(super) fn provable(way: &[String]) -> (Factors, Factors) {
    let (mut has, mut proved) = (Factors::none(), Factors::none());
    for method in way {
        match method.as_str() {
            "publickey" => proved.insert(Factor::Publickey),
            "keyboard-interactive" => has = has.union(&askable()),
            // It has one prompt.
            "password" => has.insert(Factor::Password),
            _ => {}
        }
    }
    (has, proved)
}

/// Whether a user who has every authenticator gets in by that rule on that way.
pub(super) fn meets(way: &[String], rule: &Rule) -> bool {
    let (has, proved) = provable(way);
    choose(&rule.methods, &has, &proved).is_some()
}

/// `90`, `2m`, `1h30m`.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut digits = String::new();
    for c in text.chars() {
        let unit = match c.to_ascii_lowercase() {
            '0'..='9' => {
                digits.push(c);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(std::mem::take(&mut digits).parse::<u64>().ok()?.checked_mul(unit)?)?;
    }
    if digits.is_empty() { Some(total) } else { total.checked_add(digits.parse().ok()?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_sshd_reads_them() {
        for (text, expected) in
            [("90", Some(90)), ("2m", Some(120)), ("1h30m", Some(5400)), ("0", Some(0)), ("x", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    #[test]
    fn the_names_of_a_list_are_all_kept() {
        let said = "allowgroups ssh users\nusepam yes\nallowgroups ops\ndenyusers eve\n";
        let view = View::global(Some(said), &BTreeMap::new(), Place::none());
        assert_eq!(view.lists(), "denyusers eve\nallowgroups ssh users\nallowgroups ops\n");
    }

    #[test]
    fn where_an_account_s_keys_are_is_read_with_what_certificates_go_by() {
        let files = |said: &str| {
            let view = View::global(Some(said), &BTreeMap::new(), Place::none());
            view.key_files().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(files(""), [".ssh/authorized_keys", ".ssh/authorized_keys2"]);
        let principals = "authorizedkeysfile none\nauthorizedprincipalsfile /etc/ssh/principals/%u\n";
        assert_eq!(files(&format!("{principals}trustedusercakeys none\n")), [""; 0]);
        assert_eq!(files(&format!("{principals}trustedusercakeys /etc/ssh/ca.pub\n")), ["/etc/ssh/principals/%u"]);
    }

    #[test]
    fn ways_in_are_those_of_which_sshd_takes_all() {
        let ways = |said: &str| {
            let view = View::global(Some(said), &BTreeMap::new(), Place::none());
            view.ways().iter().map(|way| way.join("+")).collect::<Vec<_>>()
        };
        assert_eq!(ways("usepam yes\n"), ["publickey", "keyboard-interactive", "password"]);
        let both = "authenticationmethods publickey,keyboard-interactive:pam keyboard-interactive:pam\n";
        assert_eq!(ways(both), ["publickey+keyboard-interactive", "keyboard-interactive"]);
        assert_eq!(ways(&format!("{both}kbdinteractiveauthentication no\n")), Vec::<String>::new());
        // Wherever keys come from they count, and from nowhere they do not.
        let none = "authorizedkeysfile none\nauthorizedkeyscommand none\ntrustedusercakeys none\n";
        assert_eq!(ways(none), ["keyboard-interactive", "password"]);
        for source in ["authorizedkeyscommand /usr/bin/sss_ssh_authorizedkeys", "trustedusercakeys /etc/ssh/ca.pub"] {
            assert!(ways(&format!("{none}{source}\n")).contains(&"publickey".to_owned()), "{source}");
        }
    }
}
