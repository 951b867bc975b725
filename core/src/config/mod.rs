//! `authflow.toml`: the configuration as values that cannot be wrong, and errors that name file, line, column and what was expected.
//! An empty configuration governs no service; it never opens a door.

mod file;
mod lint;
mod place;
pub mod preset;
mod value;

use std::time::Duration;

pub use lint::Warning;
pub use value::written;

use self::preset::Preset;
use crate::{
    password::Cost,
    policy::AccountsPolicy,
    rule::{Request, Rule, SessionPolicy},
    throttle::ThrottlePolicy,
};

/// The system bus, where it is on every Linux that has one.
pub const DEFAULT_BUS_ADDRESS: &str = "unix:path=/run/dbus/system_bus_socket";

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The standard that it is held to.
    pub preset: Option<Preset>,
    /// Why it is weaker than that here and there.
    pub reasons: Reasons,
    /// PAM services that are sshd's: only there `SSH_AUTH_INFO_0` counts.
    pub sshd_services: Vec<String>,
    /// Where the daemon is reached.
    pub bus_address: String,
    /// How long one exchange with the daemon may take as a whole.
    pub bus_timeout: Duration,
    /// Passwords.
    pub password: PasswordPolicy,
    /// Codes.
    pub totp: TotpPolicy,
    /// Failures and locks.
    pub throttle: ThrottlePolicy,
    /// How the accounts of live sessions are watched.
    pub accounts: AccountsPolicy,
    /// How long the daemon keeps what it knows of sessions that are over, and of configurations that were replaced.
    pub history_keep: Duration,
    /// What a rule grants that says nothing else.
    pub session: SessionPolicy,
    /// The rules, in the order in which they are tried.
    pub rules: Vec<Rule>,
}

/// What was written down as `weaker_than_preset`. Never blank. There are few, so they are lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// By the table, as `session`.
    pub tables: Vec<(&'static str, String)>,
    /// By the rule's name.
    pub rules: Vec<(String, String)>,
}

impl Reasons {
    /// Why that table is weaker.
    #[must_use]
    pub fn of_table(&self, table: &str) -> Option<&String> {
        self.tables.iter().find(|(name, _)| *name == table).map(|(_, reason)| reason)
    }

    /// Why that rule is weaker.
    #[must_use]
    pub fn of_rule(&self, rule: &str) -> Option<&String> {
        self.rules.iter().find(|(name, _)| name == rule).map(|(_, reason)| reason)
    }
}

/// The shortest password that is ever taken (NIST SP 800-63B-4 section 3.1.1.2).
pub const SHORTEST_PASSWORD: u32 = 8;

/// Passwords: the cost of new hashes, what a new one must be, and where passwords are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The cost of new hashes.
    pub cost: Cost,
    /// Where a password is looked up; the first that has one decides.
    pub sources: Vec<Source>,
    /// Whether a login with the system's password makes it the record's.
    pub adopt: bool,
    /// How many characters a new one has at least, also beside another factor.
    pub minimum: u32,
}

/// Where passwords are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The user's record.
    Authflow,
    /// The system's own hash, through crypt(3).
    Shadow,
}

/// Codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotpPolicy {
    /// Steps accepted on each side of now.
    pub skew: u8,
    /// What an authenticator app shows above the code.
    pub issuer: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            preset: None,
            reasons: Reasons::default(),
            sshd_services: vec!["sshd".to_owned()],
            bus_address: DEFAULT_BUS_ADDRESS.to_owned(),
            bus_timeout: Duration::from_secs(3),
            password: PasswordPolicy {
                cost: Cost::default(),
                sources: vec![Source::Authflow, Source::Shadow],
                adopt: false,
                minimum: SHORTEST_PASSWORD,
            },
            totp: TotpPolicy { skew: 1, issuer: "authflow".to_owned() },
            throttle: ThrottlePolicy::default(),
            accounts: AccountsPolicy::default(),
            history_keep: Duration::from_secs(400 * 24 * 3600),
            session: SessionPolicy::default(),
            rules: Vec::new(),
        }
    }
}

/// A file's name, for messages, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// The file's name as an administrator knows it.
    pub name: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ConfigError {
    /// The file's name.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in bytes.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
}

impl ConfigError {
    /// The error at byte `offset` of `source`.
    fn at(source: Text<'_>, offset: usize, message: impl Into<String>) -> Self {
        let before = source.text.get(..offset).unwrap_or(source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let key = key_before(before.get(line_start..).unwrap_or_default());
        Self {
            file: source.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.len() - line_start + 1,
            message: key.map_or_else(String::new, |key| format!("{key}: ")) + &message.into(),
        }
    }
}

/// The key whose value begins behind `text`, the front of a line: `session = { idle = ` names `idle`.
fn key_before(text: &str) -> Option<&str> {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let assigned = text.trim_end_matches([' ', '\t', '[', '"', '\'']).strip_suffix('=')?.trim_end();
    let before = assigned.trim_end_matches(is_of_key);
    assigned.get(before.len()..).filter(|key| !key.is_empty())
}

impl Config {
    /// Reads the main file, and the drop-ins, whose rules follow its rules in the order given.
    ///
    /// # Errors
    /// The first thing that is wrong, or weaker than the preset without a reason. A configuration with an error is not used in part.
    pub fn parse(main: Text<'_>, drop_ins: &[Text<'_>]) -> Result<Self, ConfigError> {
        let config = file::parse(main, drop_ins)?;
        let Some(preset) = config.preset else { return Ok(config) };
        let mut weaker = preset::weaker_than(preset, &config);
        weaker.retain(|weaker| weaker.reason.is_none());
        match weaker.as_slice() {
            [] => Ok(config),
            [first, rest @ ..] => Err(place::error(first, rest.len(), (main, drop_ins))),
        }
    }

    /// Reads one file that was judged when it was put in force. It is not held to its preset again: a version of this program that knows
    /// a standard better must not take the last configuration that a machine has.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse_judged(text: Text<'_>) -> Result<Self, ConfigError> {
        file::parse(text, &[])
    }

    /// Whether any rule is about that service. Where none is, authflow keeps out of the way.
    #[must_use]
    pub fn governs(&self, service: &str) -> bool {
        self.rules.iter().any(|rule| rule.governs(service))
    }

    /// The groups that rules about that service name: only whether the user is in one of these is worth a look-up.
    pub fn groups_named_for<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a str> {
        self.rules.iter().filter(|rule| rule.governs(service)).flat_map(|rule| &rule.groups).map(String::as_str)
    }

    /// The rule that decides that request: the first that matches. In a governed service, none means deny.
    #[must_use]
    pub fn rule_for(&self, request: &Request<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(request))
    }

    /// The rule whose questions are put to a login that no rule matches, so that it is asked like others before it is denied: the first for
    /// that service.
    #[must_use]
    pub fn stand_in_for(&self, service: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.governs(service))
    }

    /// Whether the service is one of sshd's.
    #[must_use]
    pub fn is_sshd(&self, service: &str) -> bool {
        self.sshd_services.iter().any(|name| name == service)
    }

    /// What is allowed and yet probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        lint::warnings(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{AtLimit, WhenUnavailable, WithoutTty},
        rule::Remote,
    };

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Text { name: "authflow.toml", text }, &[])
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_configuration_governs_nothing() {
        let config = parse("").unwrap();
        assert_eq!(config, Config::default());
        assert!(!config.governs("sshd"));
    }

    #[test]
    fn every_configuration_in_the_documents_is_one() {
        for (document, number) in [
            (include_str!("../../../README.md"), 1),
            (include_str!("../../../docs/compliance.md"), 3),
            (include_str!("../../../docs/presets.md"), 2),
            (include_str!("../../../docs/moving-from-google-authenticator.md"), 2),
            (include_str!("../../../docs/screen-lockers.md"), 1),
            (include_str!("../../../docs/sshd.md"), 1),
            (include_str!("../../../docs/sudo-and-su.md"), 1),
        ] {
            let blocks = document.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
            let idle = |block| parse(block).unwrap_or_else(|error| panic!("{error}: {block}")).session.limits.idle;
            let is_short = |block| idle(block).is_some_and(|idle| idle <= Duration::from_secs(900));
            assert!(blocks.clone().all(is_short), "{document}");
            assert_eq!(blocks.count(), number);
        }
    }

    #[test]
    fn a_rule_overrides_the_session_defaults_key_by_key() {
        let config = parse(
            r#"
            [session]
            idle = "10m"
            at_idle = "terminate"
            [[rule]]
            name = "robots"
            service = ["sshd"]
            methods = [["publickey"]]
            session = { idle = "none", without_tty = "ignore", when_unavailable = "deny" }
            [[rule]]
            name = "ssh"
            service = ["sshd"]
            methods = [["publickey", "totp"], ["password", "totp"]]
            "#,
        )
        .unwrap();
        let [robots, ssh] = config.rules.as_slice() else { panic!("two rules") };
        assert_eq!(robots.session.limits.idle, None);
        assert_eq!(robots.session.limits.at_idle, AtLimit::Terminate);
        assert_eq!(robots.session.limits.without_tty, WithoutTty::Ignore);
        assert_eq!(robots.session.when_unavailable, WhenUnavailable::Deny);
        assert_eq!(ssh.session.limits.idle, Some(Duration::from_secs(600)));
        assert_eq!(ssh.session.limits.lifetime, Some(Duration::from_secs(12 * 3600)));
    }

    #[test]
    fn a_rule_says_what_a_session_must_have_proved() {
        let config = parse(
            r#"
            [[rule]]
            name = "sudo"
            service = ["sudo"]
            methods = [["session"], ["password", "totp"]]
            from_session = { proved = ["totp", "password"], within = "5m" }
            "#,
        )
        .unwrap();
        let from_session = config.rules[0].from_session.as_ref().unwrap();
        assert_eq!((from_session.proved.to_string().as_str(), from_session.within.as_secs()), ("password+totp", 300));
    }

    #[test]
    fn drop_ins_append_rules_and_nothing_else() {
        let main = Text { name: "authflow.toml", text: "[[rule]]\nname='a'\nservice=['x']\nmethods=[['totp']]\n" };
        let more = Text { name: "50-b.toml", text: "[[rule]]\nname='b'\nservice=['x']\nmethods=[['password']]\n" };
        let config = Config::parse(main, &[more]).unwrap();
        let request = Request { service: "x", user: "u", groups: &[], remote: Remote::Local };
        assert_eq!(config.rule_for(&request).unwrap().name, "a", "first match wins");
        let twice = Config::parse(main, &[main]).unwrap_err();
        assert!(twice.to_string().starts_with("authflow.toml:1:1: the rule name \"a\" is taken"), "{twice}");
        let foreign = Text { name: "60-c.toml", text: "\n[session]\nidle='1m'\n" };
        let error = Config::parse(main, &[foreign]).unwrap_err().to_string();
        assert!(error.starts_with("60-c.toml:2:2: ") && error.contains("`rule`"), "{error}");
    }

    #[test]
    fn errors_name_file_line_column_and_what_is_expected() {
        for (text, expected) in [
            ("[session\n", "authflow.toml:1:9: unclosed table"),
            ("[session]\nidel = '1m'\n", "authflow.toml:2:1: unknown field `idel`, expected one of `idle`"),
            ("[session]\nidle = '0s'\n", "authflow.toml:2:8: idle: \"0s\" is zero"),
            (
                "[session]\nidle = '99999999999999999999h'\n",
                "authflow.toml:2:8: idle: \"99999999999999999999h\" is no duration",
            ),
            ("[session]\nidle = '999999h'\n", "authflow.toml:2:8: idle: \"999999h\" is longer than ten years"),
            ("[session]\nidle = 15\n", "authflow.toml:2:8: idle: "),
            (
                "[session]\nat_idle = 'sleep'\n",
                "authflow.toml:2:11: at_idle: \"sleep\" is not one of: hangup terminate lock",
            ),
            ("[session]\ninhibit_max = 'none'\n", "authflow.toml:2:15: inhibit_max: \"none\" is no duration"),
            ("[password]\nmemory = '1KiB'\n", "authflow.toml:1:1: [password]: memory is 7MiB to 256MiB"),
            ("[password]\nsource = []\n", "authflow.toml:1:1: [password]: source is empty"),
            ("[totp]\nskew = 11\n", "authflow.toml:2:8: skew: 11 is not 0 to 10"),
            (
                "[accounts]\nlocked_password = 'no'\n",
                "authflow.toml:2:19: locked_password: \"no\" is not one of: deactivate ignore",
            ),
            ("[accounts]\nrecheck = '5s'\n", "authflow.toml:1:1: [accounts]: recheck is less than 30s"),
            ("[throttle]\nattempts = 0\n", "authflow.toml:2:12: attempts: 0 is not 1 to 100"),
            ("[[rule]]\nname = 'a'\nmethods = [['totp']]\n", "authflow.toml:1:1: missing field `service`"),
            ("[[rule]]\nname='a'\nservice=[]\nmethods=[['totp']]\n", "authflow.toml:1:1: rule \"a\": service is empty"),
            ("[[rule]]\nname='a'\nservice=['x']\nmethods=[]\n", "authflow.toml:1:1: rule \"a\": methods is empty"),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[[]]\n",
                "authflow.toml:4:10: methods: a method needs at least one factor",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['otp']]\n",
                "authflow.toml:4:11: methods: unknown variant `otp`",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['session']]\n",
                "authflow.toml:1:1: rule \"a\": a method takes \"session\": expected from_session = {",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['totp']]\nfrom_session={proved=['totp'],within='5m'}\n",
                "authflow.toml:5:14: from_session: rule \"a\": no method of the rule takes \"session\"",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['session']]\nfrom_session={proved=[],within='5m'}\n",
                "authflow.toml:5:22: proved: a session that proved nothing",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['session']]\nfrom_session={proved=['stack'],within='5m'}\n",
                "authflow.toml:5:22: proved: stack is nothing that a session has proved",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['session']]\nfrom_session={proved=['totp'],within='0s'}\n",
                "authflow.toml:5:38: within: \"0s\" is zero",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['session']]\nfrom_session={proved=['totp']}\n",
                "authflow.toml:5:14: from_session: missing field `within`",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['password']]\nenroll={mode='optional'}\n",
                "authflow.toml:5:8: enroll: rule \"a\": no method takes \"totp\"",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['password','totp'],['totp']]\nenroll={mode='required'}\n",
                "authflow.toml:5:8: enroll: rule \"a\": a method takes \"totp\" without",
            ),
            ("[session]\ngrace = '301s'\n", "authflow.toml:2:9: grace: \"301s\" is longer than 5m"),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['totp']]\nsession={grace='80000h'}\n",
                "authflow.toml:5:16: grace: \"80000h\" is longer than 5m",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['password','totp']]\nenroll={mode='grace'}\n",
                "authflow.toml:5:8: enroll: a grace has an end",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['password','totp']]\nenroll={mode='required',for='7d'}\n",
                "authflow.toml:5:8: enroll: only the mode \"grace\" has a length",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['password','totp']]\nenroll={mode='ticket'}\nrecovery=false\n",
                "authflow.toml:5:8: enroll: rule \"a\": the mode \"ticket\" asks for a bypass code",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['password','totp']]\nenroll={mode='maybe'}\n",
                "authflow.toml:5:14: mode: unknown variant `maybe`, expected one of `required`, `grace`, `optional`, `ticket`",
            ),
            (
                "[[rule]]\nname='a'\nservice=['x']\nmethods=[['totp']]\nfrom=['host']\n",
                "authflow.toml:5:7: from: \"host\" is no",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{text}\n  gave: {error}");
        }
    }

    #[test]
    fn the_key_of_a_value_is_found_in_a_table_in_an_array_and_inline() {
        for (text, key) in [
            ("idle = ", Some("idle")),
            ("  session = { warn = '1m', at_idle = '", Some("at_idle")),
            ("methods=[['", Some("methods")),
            ("", None),
            ("[session", None),
            ("methods = [['totp'], ['", None),
            ("\u{fc} = ", None),
            ("\u{fc}idle = ", Some("idle")),
        ] {
            assert_eq!(key_before(text), key, "{text}");
        }
    }

    #[test]
    fn a_rule_for_everything_must_be_written_out() {
        let config = parse("[[rule]]\nname='a'\nservice=['*']\nmethods=[['password']]\n").unwrap();
        assert!(config.governs("anything"));
        assert!(!config.rules[0].names("cron"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\PC|\n){0,200}") {
            let _ = parse(&text);
        }
    }
}
