//! Every value in force, with the file that it stands in. Pure: the texts are read elsewhere.

use std::time::Duration;

use authflow_core::{
    config::{Config, Source, Text, written},
    enrolment::Enroll,
    policy::Limits,
    rule::{AccountMode, FromSession, Network, Rule, SessionPolicy},
};
use serde::{Serialize, Serializer};

/// A value and where it comes from.
#[derive(Debug, Serialize)]
pub(super) struct Setting {
    /// Its name; the table before the dot is the file's `[table]`.
    pub key: &'static str,
    /// What is in force.
    pub value: Value,
    /// The file, or `default`.
    pub origin: String,
}

/// A rule and where it comes from.
#[derive(Debug, Serialize)]
pub(super) struct RuleSettings {
    /// What it says, the session's values included as far as they differ from `[session]`.
    #[serde(flatten, serialize_with = "as_map")]
    pub values: Vec<(&'static str, Value)>,
    /// The file.
    pub origin: String,
}

/// A value as the file writes it; durations are seconds for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    Duration(Duration),
    /// No limit.
    None,
    /// Nothing, for a key that has no word for it.
    Unset,
    List(Vec<String>),
    Lists(Vec<Vec<String>>),
    Table(Vec<(&'static str, Value)>),
}

const REASONS: [&str; 5] = [
    "password.weaker_than_preset",
    "totp.weaker_than_preset",
    "throttle.weaker_than_preset",
    "history.weaker_than_preset",
    "session.weaker_than_preset",
];

/// What stands where no file says anything.
const DEFAULT: &str = "default";

/// All values but the rules, in the order of the file.
pub(super) fn settings(config: &Config, main: Option<Text<'_>>) -> Vec<Setting> {
    let table = main.and_then(|main| main.text.parse::<toml::Table>().ok()).unwrap_or_default();
    let defaults = all_values(&Config::default());
    let origin = |key: &str, value: &Value| match (main, config.preset) {
        (Some(main), _) if holds(&table, key) => main.name.to_owned(),
        // Nobody wrote it, and yet it is not the default.
        (Some(_), Some(preset)) if !defaults.iter().any(|default| (default.0, &default.1) == (key, value)) => {
            preset.to_string()
        }
        (Some(_) | None, _) => DEFAULT.to_owned(),
    };
    let settings = all_values(config).into_iter();
    settings.map(|(key, value)| Setting { key, origin: origin(key, &value), value }).collect()
}

/// The values of each table, and behind them why they are weaker than the preset.
fn all_values(config: &Config) -> Vec<(&'static str, Value)> {
    let preset = config.preset.map(|preset| ("preset", Value::Text(preset.to_string())));
    let mut all: Vec<_> = preset.into_iter().chain(values(config)).chain(session(&config.session)).collect();
    for key in REASONS {
        let table = key.split_once('.').map_or(key, |(table, _key)| table);
        let last = all.iter().rposition(|(other, _)| other.split_once('.').is_some_and(|(other, _)| other == table));
        if let (Some(reason), Some(last)) = (config.reasons.of_table(table), last) {
            all.insert(last + 1, (key, Value::Text(reason.clone())));
        }
    }
    all
}

/// The rules, in the order in which they are tried.
pub(super) fn rules(config: &Config, files: &[Text<'_>]) -> Vec<RuleSettings> {
    let place = |rule: &Rule| {
        let file = files.iter().find(|file| names_rule(file.text, &rule.name));
        file.map_or_else(|| DEFAULT.to_owned(), |file| file.name.to_owned())
    };
    config.rules.iter().map(|rule| RuleSettings { values: rule_values(rule, config), origin: place(rule) }).collect()
}

fn holds(table: &toml::Table, key: &str) -> bool {
    match key.split_once('.') {
        None => table.contains_key(key),
        Some((outer, inner)) => {
            table.get(outer).and_then(toml::Value::as_table).is_some_and(|table| table.contains_key(inner))
        }
    }
}

fn names_rule(text: &str, name: &str) -> bool {
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    let rules = table.get("rule").and_then(toml::Value::as_array);
    rules.into_iter().flatten().any(|rule| rule.get("name").and_then(toml::Value::as_str) == Some(name))
}

fn values(config: &Config) -> Vec<(&'static str, Value)> {
    let sources = config.password.sources.iter().map(|source| match source {
        Source::Authflow => "authflow".to_owned(),
        Source::Shadow => "shadow".to_owned(),
    });
    vec![
        ("sshd_services", Value::List(config.sshd_services.clone())),
        ("bus_address", Value::Text(config.bus_address.clone())),
        ("bus_timeout", Value::Duration(config.bus_timeout)),
        ("password.memory", Value::Text(format!("{}KiB", config.password.cost.memory_kib()))),
        ("password.iterations", Value::Number(config.password.cost.iterations().into())),
        ("password.source", Value::List(sources.collect())),
        ("password.adopt", Value::Flag(config.password.adopt)),
        ("password.minimum", Value::Number(config.password.minimum.into())),
        ("totp.skew", Value::Number(config.totp.skew.into())),
        ("totp.issuer", Value::Text(config.totp.issuer.clone())),
        ("throttle.attempts", Value::Number(config.throttle.attempts.into())),
        ("throttle.window", Value::Duration(config.throttle.window)),
        ("throttle.lock", Value::Duration(config.throttle.lock)),
        ("accounts.locked_password", Value::Text(config.accounts.locked_password.as_str().to_owned())),
        ("accounts.recheck", Value::Duration(config.accounts.recheck)),
        ("accounts.control", config.accounts.control.clone().map_or(Value::Unset, Value::Text)),
        ("history.keep", Value::Duration(config.history_keep)),
    ]
}

fn session(policy: &SessionPolicy) -> Vec<(&'static str, Value)> {
    let Limits {
        idle,
        lifetime,
        warn,
        grace,
        at_idle,
        at_lifetime,
        at_logout,
        activity,
        without_tty,
        max_sessions,
        at_max,
        user_extend,
        inhibit_max,
    } = &policy.limits;
    let text = |word: &str| Value::Text(word.to_owned());
    vec![
        ("session.idle", limit(*idle)),
        ("session.lifetime", limit(*lifetime)),
        ("session.warn", limit(Some(*warn).filter(|warn| !warn.is_zero()))),
        ("session.grace", Value::Duration(*grace)),
        ("session.at_idle", text(at_idle.as_str())),
        ("session.at_lifetime", text(at_lifetime.as_str())),
        ("session.at_logout", text(at_logout.as_str())),
        ("session.activity", text(activity.as_str())),
        ("session.without_tty", Value::Text(without_tty.to_string())),
        ("session.max_sessions", max_sessions.map_or(Value::None, |most| Value::Number(most.into()))),
        ("session.at_limit", text(at_max.as_str())),
        ("session.user_extend", Value::Number((*user_extend).into())),
        ("session.inhibit_max", allowance(*inhibit_max)),
        ("session.when_unavailable", text(policy.when_unavailable.as_str())),
    ]
}

fn limit(limit: Option<Duration>) -> Value {
    limit.map_or(Value::None, Value::Duration)
}

fn allowance(most: Duration) -> Value {
    if most.is_zero() { Value::Text("0".to_owned()) } else { Value::Duration(most) }
}

fn rule_values(rule: &Rule, config: &Config) -> Vec<(&'static str, Value)> {
    let networks = rule.from.iter().map(|network| match network {
        Network::Net(net) => net.to_string(),
        Network::Unknown => "unknown".to_owned(),
        Network::Local => "local".to_owned(),
    });
    let methods = rule.methods.iter().map(|method| method.factors().iter().map(|factor| factor.to_string()).collect());
    let mut values = vec![("name", Value::Text(rule.name.clone())), ("service", Value::List(rule.services.clone()))];
    for (key, list) in [("user", rule.users.clone()), ("group", rule.groups.clone()), ("from", networks.collect())] {
        if !list.is_empty() {
            values.push((key, Value::List(list)));
        }
    }
    values.push(("methods", Value::Lists(methods.collect())));
    if let Some(FromSession { proved, within }) = &rule.from_session {
        values.push(("from_session.proved", Value::List(proved.iter().map(|factor| factor.to_string()).collect())));
        values.push(("from_session.within", Value::Duration(*within)));
    }
    match rule.account {
        AccountMode::Auto => {}
        AccountMode::Enforce => values.push(("account", Value::Text("enforce".to_owned()))),
    }
    if !rule.recovery {
        values.push(("recovery", Value::Flag(rule.recovery)));
    }
    if let Some(enroll) = rule.enroll {
        let mut table = vec![("mode", Value::Text(enroll.as_str().to_owned()))];
        match enroll {
            Enroll::Grace(length) => table.push(("for", Value::Duration(length))),
            Enroll::Required | Enroll::Optional | Enroll::Ticket => {}
        }
        values.push(("enroll", Value::Table(table)));
    }
    let defaults = session(&config.session);
    values.extend(session(&rule.session).into_iter().filter(|value| !defaults.contains(value)));
    values.extend(config.reasons.of_rule(&rule.name).map(|why| ("weaker_than_preset", Value::Text(why.clone()))));
    values
}

/// As TOML writes it.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |text: &str| toml::Value::from(text).to_string();
        let list = |list: &[String]| format!("[{}]", list.iter().map(|item| text(item)).collect::<Vec<_>>().join(", "));
        match self {
            Self::Text(word) => f.write_str(&text(word)),
            Self::Number(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Duration(length) => write!(f, "\"{}\"", written(*length)),
            Self::None => f.write_str("\"none\""),
            Self::Unset => Ok(()),
            Self::List(items) => f.write_str(&list(items)),
            Self::Lists(lists) => {
                write!(f, "[{}]", lists.iter().map(|items| list(items)).collect::<Vec<_>>().join(", "))
            }
            Self::Table(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| format!("{key} = {value}"));
                write!(f, "{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Duration(length) if length.subsec_nanos() == 0 => serializer.serialize_u64(length.as_secs()),
            Self::Duration(length) => serializer.serialize_f64(length.as_secs_f64()),
            Self::None | Self::Unset => serializer.serialize_none(),
            Self::List(items) => items.serialize(serializer),
            Self::Lists(lists) => lists.serialize(serializer),
            Self::Table(pairs) => as_map(pairs, serializer),
        }
    }
}

fn as_map<S: Serializer>(values: &[(&'static str, Value)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(values.iter().map(|(key, value)| (key, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIN: Text<'_> = Text {
        name: "authflow.toml",
        text: "[session]\nidle = \"90m\"\n[[rule]]\nname = \"a\"\nservice = [\"sshd\"]\nmethods = [[\"totp\"]]\n\
               session = { lifetime = \"none\" }\n",
    };
    const DROP_IN: Text<'_> =
        Text { name: "50-b.toml", text: "[[rule]]\nname = \"b\"\nservice = [\"su\"]\nmethods = [[\"password\"]]\n" };

    fn config() -> Config {
        Config::parse(MAIN, &[DROP_IN]).unwrap()
    }

    #[test]
    fn every_value_says_where_it_comes_from() {
        let settings = settings(&config(), Some(MAIN));
        let find = |key: &str| settings.iter().find(|setting| setting.key == key).unwrap();
        assert_eq!(
            (find("session.idle").value.to_string().as_str(), find("session.idle").origin.as_str()),
            ("\"90m\"", "authflow.toml")
        );
        assert_eq!(find("session.warn").origin, "default");
        assert_eq!(find("bus_timeout").value.to_string(), "\"3s\"");
    }

    #[test]
    fn a_rule_shows_its_own_session_values_and_its_file() {
        let rules = rules(&config(), &[MAIN, DROP_IN]);
        assert_eq!(rules[0].values.last(), Some(&("session.lifetime", Value::None)));
        assert_eq!((rules[0].origin.as_str(), rules[1].origin.as_str()), ("authflow.toml", "50-b.toml"));
        let json = serde_json::to_value(&rules[1]).unwrap();
        assert_eq!(
            (&json["name"], &json["methods"][0][0], &json["origin"]),
            (&"b".into(), &"password".into(), &"50-b.toml".into())
        );
    }

    #[test]
    fn a_rule_shows_how_it_enrols_as_the_file_writes_it() {
        let text =
            "[[rule]]\nname='a'\nservice=['su']\nmethods=[['password','totp']]\nenroll={mode='grace',for='7d'}\n";
        let main = Text { name: "authflow.toml", text };
        let rules = rules(&Config::parse(main, &[]).unwrap(), &[main]);
        let (key, value) = rules[0].values.last().unwrap();
        assert_eq!((*key, value.to_string().as_str()), ("enroll", "{ mode = \"grace\", for = \"7d\" }"));
        assert_eq!(serde_json::to_value(value).unwrap(), serde_json::json!({ "mode": "grace", "for": 604_800 }));
    }

    #[test]
    fn durations_are_written_as_the_file_writes_them_and_as_seconds_for_programs() {
        for (seconds, expected) in
            [(30, "\"30s\""), (900, "\"15m\""), (43_200, "\"12h\""), (86_400, "\"1d\""), (90, "\"90s\"")]
        {
            let value = Value::Duration(Duration::from_secs(seconds));
            assert_eq!(value.to_string(), expected);
            assert_eq!(serde_json::to_value(&value).unwrap(), seconds);
        }
        assert!(serde_json::to_value(Value::None).unwrap().is_null());
    }

    #[test]
    fn what_a_preset_made_of_a_default_says_so_and_reasons_stand_in_their_tables() {
        let text = "preset = 'pci-dss-4'\n[session]\nidle = '20m'\nweaker_than_preset = 'kiosk'\n[[rule]]\nname = 'a'\n\
                    service = ['sshd']\nmethods = [['publickey']]\nweaker_than_preset = 'robots'\n";
        let main = Text { name: "authflow.toml", text };
        let config = Config::parse(main, &[]).unwrap();
        let settings = settings(&config, Some(main));
        let find = |key: &str| {
            let found = settings.iter().find(|setting| setting.key == key).unwrap();
            (found.value.to_string(), found.origin.as_str())
        };
        assert_eq!(find("throttle.lock"), ("\"30m\"".into(), "pci-dss-4"));
        assert_eq!(find("throttle.attempts"), ("5".into(), "default"), "strong enough");
        assert_eq!(settings.last().unwrap().key, "session.weaker_than_preset");
        assert_eq!(find("preset"), ("\"pci-dss-4\"".into(), "authflow.toml"));
        let rules = rules(&config, &[main]);
        assert_eq!(rules[0].values.last(), Some(&("weaker_than_preset", Value::Text("robots".into()))));
    }
}
