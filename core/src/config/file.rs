//! The shape of a configuration file, and its way into a [`Config`].

use std::{ops::Range, time::Duration};

use serde::Deserialize;
use serde_spanned::Spanned;

use super::{
    Config, ConfigError, MOST_ATTEMPTS, PasswordPolicy, Reasons, SHORTEST_PASSWORD, Source, Text, TotpPolicy,
    WIDEST_SKEW,
    preset::Preset,
    value::{Allowance, Bound, Count, Grace, Size, Span, Within, Word},
};
use crate::{
    enrolment::Enroll,
    factor::Factor,
    password::Cost,
    policy::{
        AccountsPolicy, ActivityKind, AtLimit, AtLogout, AtMax, Limits, LockedPassword, WhenUnavailable, WithoutTty,
    },
    rule::{AccountMode, FromSession, Method, Network, Rule, SessionPolicy},
    throttle::ThrottlePolicy,
    toml_text,
};

/// A directory is not asked more often.
const SHORTEST_RECHECK: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Main {
    preset: Option<Word<Preset>>,
    sshd_services: Option<Vec<String>>,
    bus_address: Option<String>,
    bus_timeout: Option<Span>,
    password: Option<Spanned<Password>>,
    totp: Option<Totp>,
    throttle: Option<Throttle>,
    accounts: Option<Spanned<Accounts>>,
    history: Option<History>,
    session: Option<Session>,
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropIn {
    #[serde(default)]
    rule: Vec<Spanned<RuleTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Password {
    memory: Option<Size>,
    iterations: Option<u32>,
    source: Option<Vec<Source>>,
    adopt: Option<bool>,
    minimum: Option<Within<{ SHORTEST_PASSWORD as u64 }, 64>>,
    weaker_than_preset: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Totp {
    skew: Option<Within<0, WIDEST_SKEW>>,
    issuer: Option<String>,
    weaker_than_preset: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Throttle {
    attempts: Option<Within<1, MOST_ATTEMPTS>>,
    window: Option<Span>,
    lock: Option<Span>,
    weaker_than_preset: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accounts {
    locked_password: Option<Word<LockedPassword>>,
    recheck: Option<Span>,
    control: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct History {
    keep: Option<Span>,
    weaker_than_preset: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Session {
    idle: Option<Bound>,
    lifetime: Option<Bound>,
    warn: Option<Bound>,
    grace: Option<Grace>,
    at_idle: Option<Word<AtLimit>>,
    at_lifetime: Option<Word<AtLimit>>,
    at_logout: Option<Word<AtLogout>>,
    activity: Option<Word<ActivityKind>>,
    without_tty: Option<Word<WithoutTty>>,
    max_sessions: Option<Count>,
    at_limit: Option<Word<AtMax>>,
    user_extend: Option<u32>,
    inhibit_max: Option<Allowance>,
    when_unavailable: Option<Word<WhenUnavailable>>,
    weaker_than_preset: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    name: String,
    service: Vec<String>,
    #[serde(default)]
    user: Vec<String>,
    #[serde(default)]
    group: Vec<String>,
    #[serde(default)]
    from: Vec<Word<Network>>,
    methods: Vec<Method>,
    from_session: Option<Spanned<FromSession>>,
    account: Option<Word<AccountMode>>,
    recovery: Option<bool>,
    enroll: Option<Spanned<Enroll>>,
    session: Option<Session>,
    weaker_than_preset: Option<Spanned<String>>,
}

pub(super) fn parse(main: Text<'_>, drop_ins: &[Text<'_>]) -> Result<Config, ConfigError> {
    let file: Main = read(main)?;
    let preset = file.preset.as_ref().map(|word| word.0);
    let defaults = defaults(preset);
    let reasons = table_reasons(main, &file)?;
    let session = file.session.unwrap_or_default().over(&defaults.session);
    let mut config = Config {
        preset,
        reasons,
        sshd_services: file.sshd_services.unwrap_or(defaults.sshd_services),
        bus_address: file.bus_address.unwrap_or(defaults.bus_address),
        bus_timeout: file.bus_timeout.map_or(defaults.bus_timeout, |span| span.0),
        password: password(main, file.password, defaults.password)?,
        totp: totp(file.totp, defaults.totp),
        throttle: throttle(file.throttle, defaults.throttle),
        accounts: accounts(main, file.accounts, defaults.accounts)?,
        history_keep: file.history.and_then(|table| table.keep).map_or(defaults.history_keep, |span| span.0),
        session,
        rules: Vec::new(),
    };
    add_rules(&mut config, main, file.rule)?;
    for drop_in in drop_ins {
        add_rules(&mut config, *drop_in, read::<DropIn>(*drop_in)?.rule)?;
    }
    Ok(config)
}

/// What holds where nothing is written.
fn defaults(preset: Option<Preset>) -> Config {
    let mut defaults = Config::default();
    if let Some(preset) = preset {
        preset.tighten(&mut defaults);
    }
    defaults
}

fn table_reasons(source: Text<'_>, file: &Main) -> Result<Reasons, ConfigError> {
    let tables = [
        ("password", file.password.as_ref().and_then(|table| table.get_ref().weaker_than_preset.as_ref())),
        ("totp", file.totp.as_ref().and_then(|table| table.weaker_than_preset.as_ref())),
        ("throttle", file.throttle.as_ref().and_then(|table| table.weaker_than_preset.as_ref())),
        ("history", file.history.as_ref().and_then(|table| table.weaker_than_preset.as_ref())),
        ("session", file.session.as_ref().and_then(|table| table.weaker_than_preset.as_ref())),
    ];
    let mut reasons = Reasons::default();
    for (table, text) in tables {
        if let Some(text) = text {
            reasons.tables.push((table, reason(source, text)?));
        }
    }
    Ok(reasons)
}

/// What is written as the reason: somebody who audits this reads it, so it must say something.
fn reason(source: Text<'_>, text: &Spanned<String>) -> Result<String, ConfigError> {
    if text.get_ref().chars().any(char::is_alphanumeric) {
        Ok(text.get_ref().clone())
    } else {
        Err(ConfigError::at(source, text.span().start, "expected the reason, for whoever audits this"))
    }
}

fn read<T: serde::de::DeserializeOwned>(source: Text<'_>) -> Result<T, ConfigError> {
    toml_text::from_str(source.text).map_err(|error| ConfigError::at(source, error.offset, error.message))
}

fn password(
    source: Text<'_>,
    table: Option<Spanned<Password>>,
    defaults: PasswordPolicy,
) -> Result<PasswordPolicy, ConfigError> {
    let Some(table) = table else { return Ok(defaults) };
    let wrong = |span: Range<usize>, why: String| ConfigError::at(source, span.start, format!("[password]: {why}"));
    let span = table.span();
    let table = table.into_inner();
    let memory_kib = table.memory.map_or(Ok(defaults.cost.memory_kib()), |size| u32::try_from(size.0 / 1024));
    let iterations = table.iterations.unwrap_or(defaults.cost.iterations());
    let cost =
        Cost::new(memory_kib.unwrap_or(u32::MAX), iterations).map_err(|why| wrong(span.clone(), why.to_string()))?;
    let sources = table.source.unwrap_or(defaults.sources);
    if sources.is_empty() {
        return Err(wrong(span, "source is empty: expected \"authflow\", \"shadow\" or both".to_owned()));
    }
    let adopt = table.adopt.unwrap_or(defaults.adopt);
    if adopt && sources != [Source::Authflow, Source::Shadow] {
        let why = "adopt takes the system's passwords over: expected source = [\"authflow\", \"shadow\"] beside it";
        return Err(wrong(span, why.to_owned()));
    }
    let minimum = table.minimum.and_then(|n| u32::try_from(n.0).ok()).unwrap_or(defaults.minimum);
    Ok(PasswordPolicy { cost, sources, adopt, minimum })
}

fn totp(table: Option<Totp>, defaults: TotpPolicy) -> TotpPolicy {
    let Some(table) = table else { return defaults };
    TotpPolicy {
        skew: table.skew.and_then(|n| u8::try_from(n.0).ok()).unwrap_or(defaults.skew),
        issuer: table.issuer.unwrap_or(defaults.issuer),
    }
}

fn throttle(table: Option<Throttle>, defaults: ThrottlePolicy) -> ThrottlePolicy {
    let Some(table) = table else { return defaults };
    ThrottlePolicy {
        attempts: table.attempts.and_then(|n| u32::try_from(n.0).ok()).unwrap_or(defaults.attempts),
        window: table.window.map_or(defaults.window, |span| span.0),
        lock: table.lock.map_or(defaults.lock, |span| span.0),
    }
}

fn accounts(
    source: Text<'_>,
    table: Option<Spanned<Accounts>>,
    defaults: AccountsPolicy,
) -> Result<AccountsPolicy, ConfigError> {
    let Some(table) = table else { return Ok(defaults) };
    let span = table.span();
    let table = table.into_inner();
    let recheck = table.recheck.map_or(defaults.recheck, |span| span.0);
    if recheck < SHORTEST_RECHECK {
        return Err(ConfigError::at(
            source,
            span.start,
            "[accounts]: recheck is less than 30s, and a directory is not asked so often",
        ));
    }
    Ok(AccountsPolicy {
        locked_password: table.locked_password.map_or(defaults.locked_password, |word| word.0),
        recheck,
        control: table.control.or(defaults.control),
    })
}

fn add_rules(config: &mut Config, source: Text<'_>, tables: Vec<Spanned<RuleTable>>) -> Result<(), ConfigError> {
    for table in tables {
        let wrong = |why: String| ConfigError::at(source, table.span().start, why);
        let rule = table.get_ref();
        if config.rules.iter().any(|other| other.name == rule.name) {
            return Err(wrong(format!("the rule name {:?} is taken: each rule needs its own", rule.name)));
        }
        if rule.name.is_empty() || rule.name.chars().any(char::is_control) {
            return Err(wrong("name: expected printable text".to_owned()));
        }
        if rule.service.is_empty() {
            return Err(wrong(format!(
                "rule {:?}: service is empty: expected PAM services, or [\"*\"] for all",
                rule.name
            )));
        }
        if rule.methods.is_empty() {
            return Err(wrong(format!("rule {:?}: methods is empty: expected lists of factors", rule.name)));
        }
        check_from_session(rule).map_err(|(at, why)| {
            let start = at.unwrap_or_else(|| table.span()).start;
            ConfigError::at(source, start, format!("rule {:?}: {why}", rule.name))
        })?;
        check_enroll(rule)
            .map_err(|(at, why)| ConfigError::at(source, at.start, format!("rule {:?}: {why}", rule.name)))?;
        if let Some(reason) = rule.session.as_ref().and_then(|session| session.weaker_than_preset.as_ref()) {
            let why = format!("rule {:?}: expected in the rule itself, outside of its session", rule.name);
            return Err(ConfigError::at(source, reason.span().start, why));
        }
        let rule = table.into_inner();
        if let Some(text) = &rule.weaker_than_preset {
            config.reasons.rules.push((rule.name.clone(), reason(source, text)?));
        }
        config.rules.push(rule.over(&config.session));
    }
    Ok(())
}

/// Whoever enrols a first authenticator must have proved something else, and a ticket must be a code that the rule takes. The place of
/// what is wrong, and why.
fn check_enroll(rule: &RuleTable) -> Result<(), (Range<usize>, &'static str)> {
    let Some(enroll) = &rule.enroll else { return Ok(()) };
    let mut with_totp =
        rule.methods.iter().map(Method::factors).filter(|method| method.contains(Factor::Totp)).peekable();
    if with_totp.peek().is_none() {
        Err((enroll.span(), "no method takes \"totp\", so there is nothing to enrol"))
    } else if with_totp.any(|method| method.iter().all(|factor| matches!(factor, Factor::Totp | Factor::Session))) {
        Err((enroll.span(), "a method takes \"totp\" without password or key: anybody could enrol in the user's name"))
    } else if *enroll.get_ref() == Enroll::Ticket && rule.recovery == Some(false) {
        Err((enroll.span(), "the mode \"ticket\" asks for a bypass code, which recovery = false refuses"))
    } else {
        Ok(())
    }
}

/// What the factor `session` asks for must be said where a method takes it, and nowhere else. The place of what is wrong, if it has
/// one of its own, and why.
fn check_from_session(rule: &RuleTable) -> Result<(), (Option<Range<usize>>, &'static str)> {
    let takes_session = rule.methods.iter().any(|method| method.factors().contains(Factor::Session));
    match &rule.from_session {
        None if takes_session => {
            Err((None, "a method takes \"session\": expected from_session = { proved = [\"totp\"], within = \"5m\" }"))
        }
        Some(unused) if !takes_session => Err((Some(unused.span()), "no method of the rule takes \"session\"")),
        None | Some(_) => Ok(()),
    }
}

impl RuleTable {
    fn over(self, defaults: &SessionPolicy) -> Rule {
        Rule {
            name: self.name,
            services: self.service,
            users: self.user,
            groups: self.group,
            from: self.from.into_iter().map(|word| word.0).collect(),
            methods: self.methods,
            from_session: self.from_session.map(Spanned::into_inner),
            account: self.account.map(|word| word.0).unwrap_or_default(),
            recovery: self.recovery.unwrap_or(true),
            enroll: self.enroll.map(Spanned::into_inner),
            session: self.session.unwrap_or_default().over(defaults),
        }
    }
}

impl Session {
    /// These keys, and `defaults` where none is written.
    fn over(self, defaults: &SessionPolicy) -> SessionPolicy {
        let old = &defaults.limits;
        SessionPolicy {
            limits: Limits {
                idle: self.idle.map_or(old.idle, |bound| bound.0),
                lifetime: self.lifetime.map_or(old.lifetime, |bound| bound.0),
                warn: self.warn.map_or(old.warn, |bound| bound.0.unwrap_or_default()),
                grace: self.grace.map_or(old.grace, |grace| grace.0),
                at_idle: self.at_idle.map_or(old.at_idle, |word| word.0),
                at_lifetime: self.at_lifetime.map_or(old.at_lifetime, |word| word.0),
                at_logout: self.at_logout.map_or(old.at_logout, |word| word.0),
                activity: self.activity.map_or(old.activity, |word| word.0),
                without_tty: self.without_tty.map_or(old.without_tty, |word| word.0),
                max_sessions: self.max_sessions.map_or(old.max_sessions, |count| count.0),
                at_max: self.at_limit.map_or(old.at_max, |word| word.0),
                user_extend: self.user_extend.unwrap_or(old.user_extend),
                inhibit_max: self.inhibit_max.map_or(old.inhibit_max, |most| most.0),
            },
            when_unavailable: self.when_unavailable.map_or(defaults.when_unavailable, |word| word.0),
        }
    }
}
