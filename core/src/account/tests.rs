use proptest::prelude::*;

use super::*;

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

fn record() -> Authenticators {
    let mut record = Authenticators::default();
    let secret = totp::secret_from_base32(SECRET).unwrap();
    record.add_totp(TotpKey::new("phone", secret, WallTime::from_micros(1_000_000)).unwrap()).unwrap();
    let code = CodeDigest::of(&Secret::from("0123-4567-89ab-cdef-ghjk-mnpq")).unwrap();
    record.recovery = Some(RecoverySet { made: WallTime::from_micros(2_000_000), codes: [code].into() });
    record
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let text = record().to_text();
    let read = Authenticators::parse_own(&text).unwrap();
    assert_eq!(*read.to_text(), *text);
    assert_eq!(read.factors(), Factors::none().with(Factor::Totp));
}

/// A text that grows moves, and leaves what it was behind.
#[test]
fn the_text_is_made_in_one_piece_whatever_authenticators_are_called() {
    let mut record = record();
    for (name, secret) in [("secret = \"\"", 1), ("a\\\"b", 2)] {
        record.add_totp(TotpKey::new(name, Secret::new(vec![secret; 40]), WallTime::default()).unwrap()).unwrap();
    }
    let text = record.to_text();
    assert_eq!(text.capacity(), text.len());
    let read = Authenticators::parse_own(&text).unwrap();
    let told = |record: &Authenticators| -> Vec<_> {
        record.totp().iter().map(|key| (key.name().to_owned(), key.secret().expose().to_vec())).collect()
    };
    assert_eq!(told(&read), told(&record));
}

#[test]
fn a_record_cut_short_is_an_error_and_not_a_user_with_fewer_factors() {
    let text = record().to_text();
    for end in 0..text.len() {
        assert_eq!(Authenticators::parse_own(&text[..end]).unwrap_err(), BadRecord::Truncated);
    }
    // By hand, the end of the last line does not matter, and all else does.
    for end in 0..text.len() - 1 {
        assert!(Authenticators::parse(&text[..end]).is_err(), "{end}");
    }
    for end in ["", "\n", "\n\n", "\r\n"] {
        assert_eq!(*Authenticators::parse(&format!("{}{end}", text.trim_end())).unwrap().to_text(), *text);
    }
}

#[test]
fn a_hand_written_record_needs_only_name_and_secret() {
    let text = format!("version = 1\n[[totp]]\nname = \"phone\"\nsecret = \"{SECRET}\"\n# end of record\n");
    let read = Authenticators::parse(&text).unwrap();
    assert_eq!((read.totp()[0].digits(), read.totp()[0].period_seconds()), (6, 30));
}

#[test]
fn a_drift_is_kept_and_a_record_without_one_has_none() {
    let with = |drift: &str| {
        let entry = format!("[[totp]]\nname = \"phone\"\nsecret = \"{SECRET}\"\n{drift}");
        Authenticators::parse(&format!("version = 1\n{entry}# end of record\n"))
    };
    let read = with("drift = -20\n").unwrap();
    assert_eq!(read.totp()[0].drift(), -20);
    assert_eq!(Authenticators::parse_own(&read.to_text()).unwrap().totp()[0].drift(), -20);
    let without = with("").unwrap();
    assert_eq!(without.totp()[0].drift(), 0);
    assert!(!without.to_text().contains("drift"), "an older version can read it");
    for far in [-2881, 2881] {
        let refused = with(&format!("drift = {far}\n")).unwrap_err();
        assert_eq!(refused, BadRecord::Totp { number: 1, why: BadKey::Drift });
    }
    assert_eq!(with("drift = 1.5\n").unwrap_err(), BadRecord::Syntax { line: 5 });
}

#[test]
fn one_secret_under_two_names_is_refused_since_a_code_would_pass_twice() {
    let secret = totp::secret_from_base32(SECRET).unwrap();
    let again = TotpKey::new("tablet", secret, WallTime::default()).unwrap();
    assert_eq!(record().add_totp(again), Err(BadRecord::Twice));
}

#[test]
fn an_error_names_the_line_and_shows_no_content() {
    let text = format!("version = 1\n[[totp]]\nname = \"phone\"\nsecret = \"{SECRET}\"\ndigits = \"{SECRET}\"\n");
    let error = Authenticators::parse(&text).unwrap_err();
    assert_eq!(error, BadRecord::Syntax { line: 5 });
    assert!(!error.to_string().contains("GEZD"));
}

#[test]
fn an_initial_password_stays_one_through_text_and_runs_out() {
    let hash = PasswordHash::impossible(crate::password::Cost::default());
    let (set, end) = (WallTime::from_micros(1_000_000), WallTime::from_micros(9_000_000));
    let mut record = Authenticators { password: Some(Password::initial(hash, set, end)), ..record() };
    let read = Authenticators::parse_own(&record.to_text()).unwrap().password.unwrap();
    assert!(read.must_change && !read.is_over(WallTime::from_micros(8_999_999)) && read.is_over(end));
    assert!(
        !read.is_over(set) && read.is_over(WallTime::from_micros(999_999)),
        "no clock that is set back brings it back"
    );
    record.password = Some(Password::chosen(read.hash, set));
    let text = record.to_text();
    assert!(!text.contains("must_change") && !text.contains("expires"), "a password of one's own has no end");
}

#[test]
fn an_end_that_is_no_time_is_an_error_and_not_a_password_without_end() {
    let hash = PasswordHash::impossible(crate::password::Cost::default());
    let text = format!("version = 1\n[password]\nhash = \"{hash}\"\nexpires = \"tomorrow\"\n");
    assert_eq!(Authenticators::parse(&text).unwrap_err(), BadRecord::Time("[password] expires"));
}

#[test]
fn a_bad_hash_is_an_error_and_not_a_user_without_password() {
    let error = Authenticators::parse("version = 1\n[password]\nhash = \"$1$abc$def\"\n").unwrap_err();
    assert!(matches!(error, BadRecord::Password(_)), "{error}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,200}") {
        let _ = Authenticators::parse(&text);
    }
}

#[test]
fn the_record_in_the_manual_is_one() {
    let page = include_str!("../../../docs/man/authflow.toml.5");
    let record = page.split("version = 1\n").nth(1).and_then(|rest| rest.split_once(END)).expect("a record").0;
    let read = Authenticators::parse_own(&format!("version = 1\n{record}{END}")).unwrap();
    assert_eq!(read.totp().first().map(TotpKey::name), Some("phone"));
}
