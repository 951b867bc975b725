//! Exit codes, and what is asked for in a way that makes no sense.

use crate::image::Image;

#[test]
fn usage_errors_are_code_2() {
    let image = Image::new();
    for arguments in [
        &["no-such-command"][..],
        &["revoke"],
        &["revoke", "abc", "--all"],
        &["revoke", "abc", "--including-mine"],
        &["sessions", "--all", "--user", "alice"],
        &["history", "--since", "soon"],
        &["factor", "add", "totp", "--secret-stdin"],
        &["factor", "add", "totp", "--user", "alice", "--name", "password"],
        &["setup"],
        &["setup", "sshd"],
        &["setup", "nfs", "--user", "alice"],
        &["setup", "sshd", "--user", "alice", "--everybody"],
        &["setup", "sshd", "--user", "alice"],
        &["setup", "status"],
    ] {
        let said = image.run(arguments, "");
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.error);
    }
}

#[test]
fn who_names_nobody_to_protect_is_told_both_ways_to() {
    let said = Image::new().run(&["setup", "sshd"], "");
    assert!(said.error.contains("--user") && said.error.contains("--everybody"), "{}", said.error);
}

#[test]
fn help_tells_a_commands_own_options_first_and_what_must_be_said() {
    let help = |arguments: &[&str]| Image::new().run(arguments, "").out;
    let setup = help(&["setup", "--help"]);
    assert!(setup.find("--rollback-after") < setup.find("--json"), "{setup}");
    let bypass = help(&["user", "bypass", "--help"]);
    assert!(bypass.contains("bypass --for <DURATION> --reason <TEXT> <USER>"), "{bypass}");
}

#[test]
fn the_daemon_of_this_machine_knows_no_image() {
    let said = Image::new().run(&["sessions"], "");
    assert_eq!(said.code, 2);
    assert!(said.error.contains("--root"), "{}", said.error);
}

#[test]
fn a_secret_can_be_given_in_no_argument() {
    let image = Image::new();
    assert_eq!(image.run(&["passwd", "--user", "alice", "secret"], "").code, 2);
    assert_eq!(image.run(&["factor", "add", "totp", "--secret", "GEZDGNBVGY3TQOJQ"], "").code, 2);
}
