use std::time::Duration;

use proptest::{prelude::*, sample::select};

use super::{
    demand::{Clause, Demand, Reach},
    *,
};
use crate::{
    config::{ConfigError, Text, written},
    policy::AtLimit,
};

const RULE: &str = "[[rule]]\nname = 'ssh'\nservice = ['sshd']\nmethods = [['password', 'totp']]\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Text { name: "authflow.toml", text }, &[])
}

/// What a file would write that is just enough, or by so much too weak. `None`: nothing weaker can be written.
fn value(demand: Demand, too_weak_by: Option<u32>) -> Option<String> {
    let by = too_weak_by.unwrap_or(0);
    let seconds = Duration::from_secs(by.into());
    let most = |number: u32| Some((number + by).to_string());
    let longest = |length: Duration| Some(format!("'{}'", written(length + seconds)));
    let shortest =
        |length: Duration| Some(format!("'{}'", written(length.saturating_sub(seconds).max(Duration::from_secs(1)))));
    let word =
        |just: &str, weak: Option<&str>| too_weak_by.map_or(Some(just), |_| weak).map(|word| format!("'{word}'"));
    match demand {
        Demand::PasswordMinimum(least) => too_weak_by
            .map_or(Some(least), |by| (least > 8).then(|| least.saturating_sub(by).max(8)))
            .map(|n| n.to_string()),
        // The configuration takes no more than ten.
        Demand::Skew(number) => Some((u32::from(number) + by).min(10).to_string()),
        Demand::Attempts(number) | Demand::UserExtend(number) | Demand::MaxSessions(number) => most(number),
        Demand::Window(length) | Demand::Lock(length) | Demand::HistoryKeep(length) => shortest(length),
        Demand::Idle(length) | Demand::Lifetime(length) | Demand::InhibitMax(length) => longest(length),
        Demand::InputAlone => word("input", Some("input+output")),
        Demand::SomethingWithoutTty => {
            word("io:64KiB", Some(if by.is_multiple_of(2) { "ignore" } else { "io:65535B" }))
        }
        Demand::AtIdle(least) | Demand::AtLifetime(least) => word(
            least.as_str(),
            match least {
                AtLimit::Lock => None,
                AtLimit::Hangup => Some("lock"),
                AtLimit::Terminate => Some(if by.is_multiple_of(2) { "hangup" } else { "lock" }),
            },
        ),
        Demand::TwoKinds => Some(
            too_weak_by
                .map_or("[['password', 'totp']]", |_| "[['publickey', 'totp'], ['password', 'totp']]")
                .to_owned(),
        ),
        Demand::NoDelay => Some(too_weak_by.map_or("{ mode = 'required' }", |_| "{ mode = 'optional' }").to_owned()),
    }
}

/// A file that holds that value, in its table or in a rule, with or without a reason.
fn file(preset: Preset, clause: &Clause, value: &str, in_rule: bool, reason: Option<&str>) -> String {
    let reason = reason.map(|reason| format!("weaker_than_preset = '{reason}'\n")).unwrap_or_default();
    let key = clause.demand.key();
    match key.split_once('.') {
        Some((_session, key)) if in_rule => {
            format!("preset = '{preset}'\n{RULE}session = {{ {key} = {value} }}\n{reason}")
        }
        Some((table, key)) => format!("preset = '{preset}'\n[{table}]\n{key} = {value}\n{reason}{RULE}"),
        None if key == "methods" => {
            format!("preset = '{preset}'\n[[rule]]\nname = 'ssh'\nservice = ['sshd']\nmethods = {value}\n{reason}")
        }
        None => format!("preset = '{preset}'\n{RULE}{key} = {value}\n{reason}"),
    }
}

fn clause() -> impl Strategy<Value = (Preset, Clause)> {
    select(&Preset::ALL[..]).prop_flat_map(|preset| (Just(preset), select(preset.clauses())))
}

proptest! {
    #[test]
    fn just_what_is_asked_is_taken((preset, clause) in clause(), in_rule: bool) {
        let value = value(clause.demand, None).unwrap();
        let in_rule = in_rule && clause.demand.reach() == Reach::Sessions;
        let config = parse(&file(preset, &clause, &value, in_rule, None)).unwrap();
        prop_assert_eq!(weaker_than(preset, &config), []);
    }

    #[test]
    fn whatever_is_looser_is_refused_at_its_place_unless_a_reason_is_given(
        (preset, clause) in clause(), by in 1_u32..80, in_rule: bool, reason in "[a-z ]{0,20}[a-z]",
    ) {
        let in_rule = in_rule && clause.demand.reach() == Reach::Sessions;
        if let Some(value) = value(clause.demand, Some(by)) {
            let error = parse(&file(preset, &clause, &value, in_rule, None)).unwrap_err();
            let key = clause.demand.key().rsplit('.').next().unwrap();
            prop_assert!(error.message.starts_with(&format!("{key}: ")), "{}", error);
            prop_assert!(error.message.contains(clause.place) && error.message.contains("weaker_than_preset"), "{}", error);
            prop_assert!(error.line > 1, "{}", error);

            let config = parse(&file(preset, &clause, &value, in_rule, Some(&reason))).unwrap();
            let weaker = weaker_than(preset, &config);
            prop_assert_eq!(weaker.len(), 1);
            prop_assert_eq!(weaker[0].reason.as_ref(), Some(&reason));
            prop_assert_eq!(weaker[0].rule.is_some(), in_rule || matches!(clause.demand.reach(), Reach::Methods | Reach::Enrolment));
        }
    }

    #[test]
    fn what_nobody_wrote_is_as_strong_as_asked_and_never_looser_than_without_a_preset((preset, clause) in clause()) {
        let (with, without) = (parse(&format!("preset = '{preset}'\n{RULE}")).unwrap(), parse(RULE).unwrap());
        prop_assert_eq!(weaker_than(preset, &with), []);
        let was_met = weaker_than(preset, &without).iter().all(|weaker| weaker.key != clause.demand.key());
        prop_assert!(!was_met || clause.value(&with) == clause.value(&without), "what was strong enough is not touched");
    }

    #[test]
    fn the_configuration_of_another_preset_is_judged_all_the_same((preset, clause) in clause(), chosen in select(&Preset::ALL[..])) {
        if let Some(value) = value(clause.demand, Some(1)) {
            let config = parse(&file(chosen, &clause, &value, false, Some("a reason"))).unwrap();
            prop_assert!(weaker_than(preset, &config).iter().any(|weaker| weaker.key == clause.demand.key()));
        }
    }
}

#[test]
fn the_numbers_of_a_preset_stay_what_they_were() {
    let numbers = |preset: Preset| {
        let short = |clause: &Clause| match clause.demand.reach() {
            Reach::Methods | Reach::Enrolment => clause.demand.key().to_owned(),
            Reach::Machine | Reach::Sessions => format!("{} {}", clause.demand.key(), clause.demand.required()),
        };
        preset.clauses().iter().map(short).collect::<Vec<_>>().join("; ").replace("session.", "").replace('"', "")
    };
    const ACTIVE: &str = "activity input; without_tty idle or at least io:64KiB";
    assert_eq!(
        numbers(Preset::NistAal2),
        format!(
            "password.minimum at least 8; totp.skew at most 1; idle at most 1h; {ACTIVE}; inhibit_max at most 1h; user_extend at most 0; \
             lifetime at most 1d; at_idle terminate; at_lifetime terminate; methods; enroll"
        )
    );
    assert_eq!(
        numbers(Preset::PciDss4),
        format!(
            "password.minimum at least 12; throttle.attempts at most 10; throttle.window at least 15m; throttle.lock at least 30m; \
             history.keep at least 365d; idle at most 15m; {ACTIVE}; inhibit_max at most 15m; user_extend at most 0; methods; enroll"
        )
    );
    assert_eq!(
        numbers(Preset::StigRhel9),
        format!(
            "password.minimum at least 15; throttle.attempts at most 3; throttle.window at least 15m; throttle.lock at least 3650d; \
             idle at most 10m; {ACTIVE}; inhibit_max at most 10m; user_extend at most 0; at_idle hangup or terminate; \
             max_sessions at most 10"
        )
    );
    assert_eq!(
        numbers(Preset::Cis),
        format!(
            "password.minimum at least 14; throttle.attempts at most 5; throttle.window at least 15m; throttle.lock at least 15m; \
             idle at most 15m; {ACTIVE}; inhibit_max at most 15m; user_extend at most 0"
        )
    );
}

#[test]
fn a_way_in_from_elsewhere_needs_both_kinds_and_a_local_one_does_not() {
    for (rule, is_weaker) in [
        ("service = ['sshd']\nmethods = [['password', 'totp']]", false),
        ("service = ['sshd']\nmethods = [['publickey', 'password', 'totp']]", false),
        ("service = ['sshd']\nmethods = [['publickey', 'password']]", false),
        ("service = ['sshd']\nmethods = [['publickey', 'totp']]", true),
        ("service = ['sshd']\nmethods = [['publickey']]\nfrom = ['10.0.0.0/8']", true),
        ("service = ['sshd']\nmethods = [['password', 'totp'], ['password']]", true),
        ("service = ['sshd']\nmethods = [['stack']]", true),
        ("service = ['sshd']\nmethods = [['password']]\nfrom = ['local']", false),
        ("service = ['sshd']\nmethods = [['password']]\nfrom = ['local', 'unknown']", true),
        ("service = ['*']\nmethods = [['password']]", true),
        ("service = ['cockpit']\nmethods = [['password']]", true),
        ("service = ['login', 'su', 'sudo', 'swaylock']\nmethods = [['password']]", false),
        ("service = ['sudo', 'sshd']\nmethods = [['password']]", true),
        (
            "service = ['cockpit']\nmethods = [['session', 'totp']]\nfrom_session = { proved = ['password'], within = '5m' }",
            false,
        ),
        ("service = ['sshd']\nmethods = [['password', 'totp']]\nenroll = { mode = 'grace', for = '7d' }", true),
        ("service = ['sshd']\nmethods = [['password', 'totp']]\nenroll = { mode = 'ticket' }", false),
    ] {
        let config = parse(&format!("[[rule]]\nname = 'a'\n{rule}\n")).unwrap();
        for preset in Preset::ALL {
            let asks = matches!(preset, Preset::NistAal2 | Preset::PciDss4);
            let found = weaker_than(preset, &config).iter().any(|weaker| weaker.rule.is_some());
            assert_eq!(found, is_weaker && asks, "{preset}: {rule}");
        }
    }
}

#[test]
fn nist_takes_codes_of_one_step_on_each_side_and_no_more_without_a_reason() {
    let skew = |skew: u8, more: &str| parse(&format!("preset = 'nist-aal2'\n[totp]\nskew = {skew}\n{more}"));
    assert!(skew(0, "").is_ok() && skew(1, "").is_ok());
    let error = skew(2, "").unwrap_err().to_string();
    assert!(error.starts_with("authflow.toml:3:8: skew: 2 is weaker than nist-aal2 asks: at most 1"), "{error}");
    assert_eq!(skew(10, "weaker_than_preset = 'tokens that drift'").unwrap().totp.skew, 10);
}

#[test]
fn an_error_says_place_value_what_is_asked_and_the_way_out() {
    let main = "preset = 'pci-dss-4'\n\n[session]\nidle = '30m'\n";
    assert_eq!(
        parse(main).unwrap_err().to_string(),
        "authflow.toml:4:8: idle: \"30m\" is weaker than pci-dss-4 asks: at most \"15m\" (PCI DSS 4.0.1 8.2.8); \
         or weaker_than_preset = \"the reason\" in [session]"
    );
    let two = parse(&format!("{main}user_extend = 1\n")).unwrap_err().message;
    assert!(two.ends_with(" in [session] (and 1 more)"), "{two}");
    let main = Text { name: "authflow.toml", text: "preset = 'stig-rhel9'\n" };
    let drop_in = format!("# robots\n{RULE}session = {{ lifetime = 'none', max_sessions = 'none' }}\n");
    assert_eq!(
        Config::parse(main, &[Text { name: "50.toml", text: &drop_in }]).unwrap_err().to_string(),
        "50.toml:6:47: max_sessions: rule \"ssh\": \"none\" is weaker than stig-rhel9 asks: at most 10 \
         (DISA STIG for RHEL 9 V-258069, RHEL-09-412040); or weaker_than_preset = \"the reason\" in the rule"
    );
}

#[test]
fn a_rule_needs_no_reason_for_what_it_takes_over_and_its_own_for_what_it_says() {
    let session = "preset = 'cis'\n[session]\nidle = '1h'\nweaker_than_preset = 'long builds'\n";
    let config = parse(&format!("{session}{RULE}")).unwrap();
    assert_eq!(weaker_than(Preset::Cis, &config).len(), 1);
    assert!(parse(&format!("{session}{RULE}session = {{ idle = '1h' }}\n")).is_ok());
    let error = parse(&format!("{session}{RULE}session = {{ idle = '30m' }}\n")).unwrap_err();
    assert!(error.message.starts_with("idle: rule \"ssh\": \"30m\""), "{error}");
}

#[test]
fn a_reason_says_something_and_stands_in_its_place() {
    for (text, expected) in [
        ("preset = 'iso'\n", "preset: \"iso\" is no preset: expected nist-aal2, pci-dss-4, stig-rhel9 or cis"),
        ("[session]\nweaker_than_preset = ' '\n", "weaker_than_preset: expected the reason"),
        (
            &format!("{RULE}session = {{ idle = '1h', weaker_than_preset = 'x' }}\n"),
            "weaker_than_preset: rule \"ssh\": expected in the rule itself",
        ),
        ("[accounts]\nweaker_than_preset = 'x'\n", "unknown field `weaker_than_preset`"),
    ] {
        let message = parse(text).unwrap_err().message;
        assert!(message.starts_with(expected), "{text}: {message}");
    }
}

#[test]
fn what_was_judged_once_is_read_without_its_preset_judging_again() {
    let text = "preset = 'pci-dss-4'\n[session]\nidle = '30m'\n";
    let config = Config::parse_judged(Text { name: "authflow.toml.last-good", text }).unwrap();
    assert_eq!(config.session.limits.idle, Some(Duration::from_secs(1800)));
    assert_eq!(config.throttle.lock, Duration::from_secs(1800), "what nobody wrote is the preset's all the same");
}
