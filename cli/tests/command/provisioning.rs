//! Records are made without a terminal, and made twice they are unchanged.

use crate::image::{Image, Said};

const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n";
const PASSWORD: &str = "correct horse battery staple\n";

fn set_password(image: &Image, password: &str) -> Said {
    image.run(&["passwd", "--user", "alice", "--stdin", "--json"], password)
}

fn add_totp(image: &Image, name: &str, secret: &str) -> Said {
    let arguments =
        ["factor", "add", "totp", "--user", "alice", "--secret-stdin", "--no-confirm", "--json", "--name", name];
    image.run(&arguments, secret)
}

#[test]
fn a_password_set_twice_is_changed_once() {
    let image = Image::new();
    assert_eq!(set_password(&image, PASSWORD).json()["changed"], true);
    assert_eq!(set_password(&image, PASSWORD).json()["changed"], false);
    assert_eq!(set_password(&image, "another long enough password\n").json()["changed"], true);
}

#[test]
fn a_short_password_is_refused_with_the_reason() {
    let image = Image::new();
    let said = set_password(&image, "fourteen chars\n");
    assert_eq!(said.code, 1);
    assert!(
        said.error.contains("has 14 characters, at least 15 are needed: the user has no second factor"),
        "{}",
        said.error
    );
    add_totp(&image, "phone", SECRET);
    assert_eq!(set_password(&image, "fourteen chars\n").json()["changed"], true);
}

#[test]
fn a_password_that_is_tried_first_is_refused_with_the_reason() {
    let image = Image::new();
    let said = set_password(&image, "qwertyuiopasdfghjkl\n");
    assert_eq!(said.code, 1);
    assert!(said.error.contains("rows of the alphabet or keyboard"), "{}", said.error);
    assert!(set_password(&image, "alice-authflow-2026\n").error.contains("names of the user"));
    assert!(
        set_password(&image, PASSWORD).error.contains("not compared with common passwords"),
        "the image has no list"
    );
    std::fs::create_dir_all(image.path("usr/share/authflow")).unwrap();
    image.write("usr/share/authflow/common-passwords.txt", "marmalade\n");
    let said = set_password(&image, "MarmaladeMarmalade\n");
    assert!(said.code == 1 && said.error.contains("one of those that are tried first"), "{}", said.error);
}

#[test]
fn an_initial_password_is_drawn_shown_once_and_kept_with_its_end() {
    let image = Image::new();
    let said = image.run(&["passwd", "--user", "alice", "--initial", "--for", "2h", "--json"], "").json();
    let password = said["password"].as_str().unwrap();
    assert_eq!((password.len(), said["changed"].as_bool()), (19, Some(true)));
    assert!(said["expires"].is_string());
    let record = std::fs::read_to_string(image.path("var/lib/authflow/users/alice.toml")).unwrap();
    assert!(record.contains("must_change = true") && record.contains("expires = ") && !record.contains(password));
    assert_eq!(set_password(&image, &format!("{password}\n")).json()["changed"], true, "now it is alice's own");
    let record = std::fs::read_to_string(image.path("var/lib/authflow/users/alice.toml")).unwrap();
    assert!(!record.contains("must_change"));
}

#[test]
fn who_has_yet_to_change_an_initial_password_is_listed_with_its_end() {
    let image = Image::new();
    image.run(&["passwd", "--user", "alice", "--initial", "--for", "2h"], "");
    let one = image.run(&["factor", "list", "--user", "alice", "--json"], "").json()["factors"][0].clone();
    assert_eq!((&one["name"], &one["initial"]), (&"password".into(), &true.into()));
    assert!(one["expires_at"].is_string(), "{one}");
    let text = image.run(&["factor", "list", "--user", "alice"], "").out;
    assert!(text.contains("an initial one, to be changed at the next login; good until "), "{text}");
    set_password(&image, PASSWORD);
    let one = image.run(&["factor", "list", "--user", "alice", "--json"], "").json()["factors"][0].clone();
    assert_eq!((&one["initial"], one["expires_at"].is_null()), (&false.into(), true));
}

#[test]
fn everybody_with_a_record_is_listed_and_a_broken_one_hides_nobody() {
    let image = Image::new();
    assert_eq!(image.run(&["factor", "list", "--all"], "").out, "nobody has a record\n");
    set_password(&image, PASSWORD);
    add_totp(&image, "phone", SECRET);
    image.run(&["factor", "recovery-codes", "--user", "alice"], "");
    image.run(&["passwd", "--user", "bob", "--initial"], "");
    std::fs::write(image.path("var/lib/authflow/users/carol.toml"), "version = 1\n").unwrap();
    let all = image.run(&["factor", "list", "--all", "--json"], "").json();
    let all: Vec<_> = all.as_array().unwrap().iter().collect();
    let [alice, bob, carol] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&alice["user"], &alice["password"], &alice["initial"]), (&"alice".into(), &true.into(), &false.into()));
    assert_eq!((&alice["authenticators"], &alice["recovery_codes_left"]), (&1.into(), &10.into()));
    assert_eq!((&bob["user"], &bob["initial"], &bob["authenticators"]), (&"bob".into(), &true.into(), &0.into()));
    assert!(bob["password_expires_at"].is_string() && bob["recovery_codes_left"].is_null(), "{bob}");
    assert!(carol["error"].as_str().unwrap().contains("cut short"), "{carol}");
    let text = image.run(&["factor", "list", "--all"], "").out;
    assert!(text.contains("initial, until ") && text.contains("cut short"), "{text}");
}

#[test]
fn an_initial_password_from_standard_input_is_judged_like_any() {
    let image = Image::new();
    let initial = ["passwd", "--user", "alice", "--initial", "--stdin", "--json"];
    assert_eq!(image.run(&initial, "short\n").code, 1);
    let said = image.run(&initial, PASSWORD).json();
    assert!(said.get("password").is_none(), "whoever gave it knows it");
    assert_eq!(image.run(&["passwd", "--user", "alice", "--for", "2h", "--stdin"], PASSWORD).code, 2);
}

#[test]
fn a_secret_enrolled_twice_is_changed_once() {
    let image = Image::new();
    assert_eq!(add_totp(&image, "phone", SECRET).json()["changed"], true);
    assert_eq!(add_totp(&image, "phone", SECRET).json()["changed"], false);
    let listed = image.run(&["factor", "list", "--user", "alice", "--json"], "").json();
    assert_eq!(listed["factors"][0]["name"], "phone");
    assert_eq!(listed["factors"].as_array().unwrap().len(), 1);
}

#[test]
fn a_name_or_a_secret_that_is_taken_is_refused() {
    let image = Image::new();
    add_totp(&image, "phone", SECRET);
    let other = add_totp(&image, "phone", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n");
    assert_eq!((other.code, other.out.as_str()), (1, ""));
    assert!(other.error.contains("already has an authenticator named \"phone\""), "{}", other.error);
    assert_eq!(add_totp(&image, "tablet", SECRET).code, 1);
}

#[test]
fn what_is_removed_twice_is_changed_once() {
    let image = Image::new();
    add_totp(&image, "phone", SECRET);
    let remove = || image.run(&["factor", "remove", "phone", "--user", "alice", "--yes", "--json"], "");
    assert_eq!(remove().json()["changed"], true);
    let again = remove();
    let said: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(
        (again.code, &said["changed"]),
        (3, &false.into()),
        "a misspelt name must not look like one that is gone"
    );
}

#[test]
fn a_removal_without_a_terminal_needs_yes() {
    let image = Image::new();
    add_totp(&image, "phone", SECRET);
    let said = image.run(&["factor", "remove", "phone", "--user", "alice"], "y\n");
    // Where the tests are run from a terminal there is one to ask at, and nobody there to answer.
    if said.code == 2 {
        assert!(said.error.contains("--yes"), "{}", said.error);
    }
}

#[test]
fn a_secret_made_without_confirmation_is_told_once() {
    let image = Image::new();
    let made = image.run(&["factor", "add", "totp", "--user", "alice", "--no-confirm", "--json"], "").json();
    assert_eq!(made["secret"].as_str().unwrap().len(), 32, "160 bits");
    assert!(made["uri"].as_str().unwrap().starts_with("otpauth://totp/"));
    let listed = image.run(&["factor", "list", "--user", "alice", "--json"], "");
    assert!(!listed.out.contains(made["secret"].as_str().unwrap()));
}

#[test]
fn a_bad_secret_is_refused_and_not_repeated() {
    let said = add_totp(&Image::new(), "phone", "0189 is no base32\n");
    assert_eq!(said.code, 1);
    assert!(said.error.contains("Base32") && !said.error.contains("0189"), "{}", said.error);
}

#[test]
fn unlocking_a_user_who_is_not_locked_changes_nothing() {
    let said = Image::new().run(&["user", "unlock", "alice", "--json"], "");
    assert_eq!(said.json()["changed"], false);
}

#[test]
fn a_hostile_name_stays_in_its_folder() {
    let image = Image::new();
    let said = image.run(&["passwd", "--user", "../../etc/evil", "--stdin"], PASSWORD);
    assert_eq!(said.code, 0, "{}", said.error);
    assert!(!image.path("etc/evil").exists());
    assert!(image.path("var/lib/authflow/users/%2E.%2F..%2Fetc%2Fevil.toml").exists());
}

#[test]
fn a_managed_record_is_not_written() {
    let image = Image::new();
    std::fs::create_dir(image.path("etc/authflow/users")).unwrap();
    image.write("etc/authflow/users/alice.toml", "version = 1\n# end of record\n");
    let said = set_password(&image, PASSWORD);
    assert_eq!(said.code, 4);
    assert!(said.error.contains("alice.toml is managed"), "{}", said.error);
}

#[test]
fn a_user_of_an_image_is_disabled_once_and_enabled_once() {
    let image = Image::new();
    for (word, changed) in [("disable", true), ("disable", false), ("enable", true), ("enable", false)] {
        let said = image.run(&["--json", "user", word, "alice"], "").json();
        assert_eq!(said["changed"], changed, "{word}: {said}");
        assert_eq!(image.path("var/lib/authflow/state/alice.disabled").exists(), word == "disable");
    }
}
