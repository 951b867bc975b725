//! Who sshd's settings and the rules are looked at for: somebody of each rule, and for each `Match` somebody of every rule that meets it.

use std::iter;

use authflow_core::{
    factor::Factors,
    rule::{Network, Remote, Request, Rule},
};
use authflow_host::{accounts, local_accounts};

use super::{
    file::{File, Match},
    view,
    whom::{self, Somebody, is_for},
};
use crate::command::check::{Ground, own};

/// A name that nobody has stands for everybody who has no name anywhere.
const ANYBODY: &str = "somebody";

/// No more accounts of this machine are looked at: their groups may be a directory's, which may be slow.
const MOST: usize = 100;

/// The people of a machine, as far as rules and `Match` tell one from another.
pub(super) struct People<'a> {
    service: &'a str,
    rules: &'a [&'a Rule],
    is_image: bool,
    /// Those that rules and `Match` name, as far as a source of names tells of them.
    groups: Vec<String>,
    /// Whether one does of all that the rules name.
    are_groups_known: bool,
    accounts: Vec<Somebody>,
}

impl<'a> People<'a> {
    /// Those of this machine. An image's may be made by its first boot, so that none are known.
    pub(super) fn new(ground: &Ground<'_>, (service, rules): (&'a str, &'a [&'a Rule]), file: &File) -> Self {
        let of_matches = file.matches.iter().flat_map(|found| whom::groups(&found.criteria)).map(str::to_owned);
        let named: Vec<String> = rules.iter().flat_map(|rule| rule.groups.iter().cloned()).chain(of_matches).collect();
        let is_image = ground.context.is_image();
        let groups = if is_image { named } else { known_groups(named) };
        let are_groups_known = rules.iter().flat_map(|rule| &rule.groups).all(|group| groups.contains(group));
        let mut people = Self { service, rules, is_image, groups, are_groups_known, accounts: Vec::new() };
        let names =
            if is_image { Vec::new() } else { local_accounts::names(&ground.context.paths).unwrap_or_default() };
        people.accounts = names.iter().filter_map(|name| people.account(name)).take(MOST).collect();
        people
    }

    /// The account of that name, if anybody logs in by it.
    fn account(&self, name: &str) -> Option<Somebody> {
        let account =
            accounts::by_name(name).ok().flatten().filter(|account| !self.is_image && !account.has_no_shell())?;
        let groups = account.groups_among(self.groups.iter().map(String::as_str)).unwrap_or_default();
        Some(Somebody { user: account.name, groups, ..Somebody::default() })
    }

    /// Whether all who may come are known, and what they have. Where not, somebody has everything.
    pub(super) fn are_known(&self, ground: &Ground<'_>) -> bool {
        let has_directory = local_accounts::has_directory(&ground.context.paths);
        !self.is_image
            && !has_directory
            && self.are_groups_known
            && self.accounts.len() < MOST
            && ground.context.is_root()
    }

    /// The accounts of this machine that somebody logs in by.
    pub(super) fn accounts(&self) -> &[Somebody] {
        &self.accounts
    }

    /// What each of those whom a rule is for can be asked for.
    pub(super) fn owned(&self, ground: &Ground<'_>, rule: &Rule) -> Vec<Factors> {
        let accounts = self.accounts.iter().filter(|one| rule.is_of(&one.user, &one.groups));
        let all: Option<Vec<Factors>> =
            if self.are_known(ground) { accounts.map(|one| own::factors(ground, &one.user)).collect() } else { None };
        all.unwrap_or_else(|| vec![view::askable()])
    }

    /// The one of that name, whether there is such an account or not.
    fn named(&self, name: &str) -> Somebody {
        self.account(name).unwrap_or_else(|| Somebody { user: name.to_owned(), ..Somebody::default() })
    }

    /// The superuser, from anywhere and from wherever a `Match` is about.
    pub(super) fn roots(&self, matches: &[Match]) -> Vec<Somebody> {
        from_everywhere(self.named("root"), matches)
    }

    /// Those whom a rule names, or one of those whom it is for. None whom an earlier rule takes, wherever they come from.
    pub(super) fn of_rule(&self, number: usize, rule: &Rule) -> Vec<Somebody> {
        let address = rule.from.iter().find_map(|from| match from {
            Network::Net(network) => Some(network.network()),
            Network::Unknown | Network::Local => None,
        });
        let supposed = |somebody: Somebody| {
            let mut groups = somebody.groups.clone();
            groups.extend(rule.groups.iter().filter(|group| !somebody.groups.contains(group)).cloned());
            let is_supposed = groups != somebody.groups;
            Somebody { groups, is_supposed, address, ..somebody }
        };
        let is_taken = |somebody: &Somebody| {
            let earlier = self.rules.iter().take(number);
            earlier.filter(|rule| rule.from.is_empty()).any(|rule| rule.is_of(&somebody.user, &somebody.groups))
        };
        if !rule.users.is_empty() {
            return rule.users.iter().map(|user| supposed(self.named(user))).filter(|one| !is_taken(one)).collect();
        }
        let members = self.accounts.iter().filter(|one| !rule.groups.is_empty() && rule.is_of(&one.user, &one.groups));
        let members = members.map(|one| Somebody { address, ..one.clone() });
        let anybody = Somebody { user: ANYBODY.to_owned(), ..Somebody::default() };
        members.chain([supposed(anybody)]).find(|one| !is_taken(one)).into_iter().collect()
    }

    /// For whom a `Match` is: one for each rule that meets it. `of_rules` are those who are known of the rules themselves. Nobody where
    /// none can be made up.
    pub(super) fn of_match(&self, found: &Match, of_rules: &[Somebody]) -> Vec<(Somebody, &'a Rule)> {
        let words = whom::words(&found.criteria);
        let patterns = |keyword: &str| words.iter().find(|(word, _)| word == keyword).map(|(_, patterns)| *patterns);
        // What is for all is seen by those whom the rules are for.
        if words.iter().all(|(keyword, _)| keyword == "all") {
            return Vec::new();
        }
        let candidates = match (patterns("user"), patterns("group")) {
            (None, None) => of_rules.to_vec(),
            (users, groups) => self.who_may_be(users, groups),
        };
        let placed = candidates.iter().map(|one| placed(&found.criteria, one));
        let mut people: Vec<(Somebody, &Rule)> = Vec::new();
        for one in placed.filter(|one| is_for(&found.criteria, one)) {
            // Nobody is supposed where there is somebody.
            if one.is_supposed && !people.is_empty() {
                continue;
            }
            let Some(rule) = self.rule_of(&one) else { continue };
            if !people.iter().any(|(_, known)| known.name == rule.name) {
                people.push((one, rule));
            }
        }
        people
    }

    /// Whoever may be meant by these patterns: those who are named, the accounts that there are, and one by a name like that.
    fn who_may_be(&self, users: Option<&str>, groups: Option<&str>) -> Vec<Somebody> {
        let named = users.into_iter().flat_map(whom::literals).map(|name| self.named(name));
        let anybody = users.map_or_else(|| Some(ANYBODY.to_owned()), whom::a_name);
        let anybody = anybody.map(|user| {
            let groups: Vec<String> = groups.into_iter().flat_map(whom::literals).map(str::to_owned).collect();
            Somebody { is_supposed: !groups.is_empty(), user, groups, ..Somebody::default() }
        });
        named.chain(self.accounts.iter().cloned()).chain(anybody).collect()
    }

    /// The rule by which somebody is let in or not.
    pub(super) fn rule_of(&self, somebody: &Somebody) -> Option<&'a Rule> {
        let remote = somebody.address.map_or(Remote::Unknown, |address| Remote::Address(address.to_canonical()));
        let request = Request { service: self.service, user: &somebody.user, groups: &somebody.groups, remote };
        self.rules.iter().find(|rule| rule.matches(&request)).copied()
    }
}

/// The groups that some source of names tells of. One that a directory knows takes the others along where all are asked for at once and it is
/// away. Root is asked about, who is in none that nobody tells of, as a login has it.
pub(super) fn known_groups(named: Vec<String>) -> Vec<String> {
    let Ok(Some(root)) = accounts::by_uid(0) else { return named };
    let is_known = |group: &String| root.groups_among(iter::once(group.as_str())).is_ok();
    named.into_iter().filter(is_known).collect()
}

/// The same one, from anywhere and from wherever a `Match` is about.
pub(super) fn from_everywhere(one: Somebody, matches: &[Match]) -> Vec<Somebody> {
    let of_match = |found: &Match| Some(placed(&found.criteria, &one)).filter(|one| is_for(&found.criteria, one));
    let mut all = vec![one.clone()];
    for one in matches.iter().filter_map(of_match) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

/// The same one, coming from where criteria are about.
fn placed(criteria: &str, somebody: &Somebody) -> Somebody {
    let words = whom::words(criteria);
    let patterns = |keyword: &str| words.iter().find(|(word, _)| word == keyword).map(|(_, patterns)| *patterns);
    Somebody {
        address: patterns("address").and_then(whom::an_address).or(somebody.address),
        host: patterns("host").and_then(whom::a_name),
        local_address: patterns("localaddress").and_then(whom::an_address),
        local_port: patterns("localport").and_then(whom::a_name).and_then(|port| port.parse().ok()),
        ..somebody.clone()
    }
}
