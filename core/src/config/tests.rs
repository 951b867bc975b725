use super::*;
use crate::{
    policy::{AtLimit, AtLogout, WhenUnavailable, WithoutTty},
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
        (include_str!("../../../docs/compliance.md"), 4),
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
        at_logout = "terminate"
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
    assert_eq!(robots.session.limits.at_logout, AtLogout::Terminate);
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
