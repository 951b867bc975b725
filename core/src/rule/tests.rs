use super::*;

fn rule() -> Rule {
    Rule {
        name: "test".into(),
        services: vec!["sshd".into()],
        users: vec![],
        groups: vec![],
        from: vec![],
        methods: vec![Method::new(&[Factor::Password]).unwrap()],
        from_session: None,
        account: AccountMode::Auto,
        recovery: true,
        enroll: None,
        session: SessionPolicy::default(),
    }
}

fn request(remote: Remote) -> Request<'static> {
    Request { service: "sshd", user: "alice", groups: &[], remote }
}

#[test]
fn lists_are_or_and_keys_are_and() {
    let groups = ["staff".to_owned()];
    let of_staff = Request { groups: &groups, ..request(Remote::Local) };
    let rule = Rule { users: vec!["bob".into(), "alice".into()], groups: vec!["staff".into()], ..rule() };
    assert!(rule.matches(&of_staff));
    assert_eq!(rule.mismatch(&request(Remote::Local)), Some(Mismatch::Group));
    assert_eq!(rule.mismatch(&Request { service: "login", ..of_staff }), Some(Mismatch::Service));
    assert_eq!(rule.mismatch(&Request { user: "carol", ..of_staff }), Some(Mismatch::User));
}

#[test]
fn a_network_holds_addresses_and_never_names() {
    let rule = Rule { from: vec![Network::Net("10.20.0.0/16".parse().unwrap())], ..rule() };
    assert!(rule.matches(&request(Remote::from_rhost(Some("10.20.3.4")))));
    assert!(rule.matches(&request(Remote::from_rhost(Some("::ffff:10.20.3.4")))), "v4 in v6 clothing");
    for outside in [Some("10.21.0.1"), Some("ten.example.org"), Some(""), None, Some("10.20.3.4.example.org")] {
        assert!(!rule.matches(&request(Remote::from_rhost(outside))), "{outside:?}");
    }
    // Whose they are is a guess at what others route, which is enough to slow somebody down and not to let him in.
    for translated in ["2002:a14:304::1", "64:ff9b::10.20.3.4", "::10.20.3.4"] {
        assert!(!rule.matches(&request(Remote::from_rhost(Some(translated)))), "{translated}");
    }
    let unknown = Rule { from: vec![Network::Unknown], ..rule.clone() };
    let local = Rule { from: vec![Network::Local], ..rule };
    assert!(unknown.matches(&request(Remote::from_rhost(Some("host.example.org")))));
    assert!(!unknown.matches(&request(Remote::Local)));
    assert!(unknown.matches(&request(Remote::Untold)));
    for (place, is_here) in
        [(Remote::Console, true), (Remote::Local, true), (Remote::Untold, false), (Remote::Unknown, false)]
    {
        assert_eq!(local.matches(&request(place)), is_here, "{place:?}");
    }
}

#[test]
fn names_that_no_rule_writes_out_are_counted_as_one() {
    let (named, any) =
        (Rule { services: vec!["smtp".into(), "*".into()], ..rule() }, Rule { services: vec!["*".into()], ..rule() });
    let counted = |rule: &Rule, service| rule.counted_name(service) == ServiceName::new(service);
    assert!(counted(&named, "smtp") && !counted(&any, "smtp"));
    for service in ["made-up", "gdm-made-up"] {
        assert_eq!(named.counted_name(service), ServiceName::of_others());
    }
    assert!(counted(&any, "gdm-password") && counted(&any, "login"), "a screen waits for no made-up name");
}

#[test]
fn a_link_local_address_is_read_without_its_interface() {
    assert_eq!(Remote::from_rhost(Some("fe80::1%eth0")), Remote::Address("fe80::1".parse().unwrap()));
    for odd in ["10.20.3.4%eth0", "::ffff:10.20.3.4%eth0", "2001:db8::1%eth0", "%eth0"] {
        assert_eq!(Remote::from_rhost(Some(odd)), Remote::Unknown, "{odd}");
    }
}

#[test]
fn a_method_is_never_empty_and_stack_stands_alone() {
    assert_eq!(Method::new(&[]), Err(NoMethod::Empty));
    assert_eq!(Method::new(&[Factor::Stack, Factor::Totp]), Err(NoMethod::StackInCompany));
    assert_eq!(Method::new(&[Factor::Totp, Factor::Totp]), Err(NoMethod::Twice(Factor::Totp)));
    assert_eq!(Method::new(&[Factor::SecurityKey]), Err(NoMethod::Detail(Factor::SecurityKey)));
}
