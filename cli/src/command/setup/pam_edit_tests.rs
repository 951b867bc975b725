use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::pam_stack;

/// A folder with Debian 12's own stacks, cut down to what counts.
struct Folder(tempfile::TempDir);

const COMMON: [(&str, &str); 5] = [
    (
        "common-auth",
        "auth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\tpam_deny.so\nauth\trequired\tpam_permit.so\n",
    ),
    (
        "common-account",
        "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so\naccount\trequisite\tpam_deny.so\n\
         account\trequired\tpam_permit.so\n",
    ),
    (
        "common-session",
        "session\t[default=1]\tpam_permit.so\nsession\trequisite\tpam_deny.so\nsession\trequired\tpam_permit.so\n\
         session\trequired\tpam_unix.so\nsession\toptional\tpam_systemd.so\n",
    ),
    (
        "common-session-noninteractive",
        "session\t[default=1]\tpam_permit.so\nsession\trequisite\tpam_deny.so\nsession\trequired\tpam_permit.so\n",
    ),
    (
        "common-password",
        "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt\npassword\trequisite\tpam_deny.so\n",
    ),
];

impl Folder {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(this.stacks()).unwrap();
        for (name, text) in COMMON {
            std::fs::write(this.stacks().join(name), text).unwrap();
        }
        this
    }

    fn stacks(&self) -> PathBuf {
        self.0.path().join("etc/pam.d")
    }

    fn add(&self, text: &str, options: &str) -> Result<String, Refusal> {
        add(text, options, &|name| pam_stack::lines(self.0.path(), name))
    }

    /// What libpam would run, without the comments and where each stands.
    fn effect(&self, text: &str) -> Vec<(String, String, String, Vec<String>)> {
        std::fs::write(self.stacks().join("tried"), text).unwrap();
        let mut lines: Vec<_> = pam_stack::lines(self.0.path(), "tried")
            .into_iter()
            .map(|line| (line.phase, line.control, line.module, line.arguments))
            .collect();
        // The phases do not know each other.
        lines.sort_by(|one, other| one.0.cmp(&other.0));
        lines
    }
}

/// Debian's file of that service, as the package of openssh-server, login, util-linux or sudo has it, without its comments.
fn stock(service: &str) -> &'static str {
    match service {
        "sshd" => {
            "@include common-auth\naccount    required     pam_nologin.so\n@include common-account\n\
             session [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so close\n\
             session    required     pam_loginuid.so\nsession    optional     pam_keyinit.so force revoke\n\
             @include common-session\nsession    optional     pam_motd.so  motd=/run/motd.dynamic\n\
             session    optional     pam_motd.so noupdate\nsession    optional     pam_mail.so standard noenv # [1]\n\
             session    required     pam_limits.so\nsession    required     pam_env.so # [1]\n\
             session    required     pam_env.so user_readenv=1 envfile=/etc/default/locale\n\
             session [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so open\n\n\
             @include common-password\n"
        }
        "login" => {
            "auth       optional   pam_faildelay.so  delay=3000000\nauth       requisite  pam_nologin.so\n\
             session [success=ok ignore=ignore module_unknown=ignore default=bad] pam_selinux.so close\n\
             session    required     pam_loginuid.so\nsession    optional   pam_motd.so motd=/run/motd.dynamic\n\
             session    optional   pam_motd.so noupdate\n\
             session [success=ok ignore=ignore module_unknown=ignore default=bad] pam_selinux.so open\n\
             session       required   pam_env.so readenv=1\n\
             session       required   pam_env.so readenv=1 envfile=/etc/default/locale\n@include common-auth\n\
             auth       optional   pam_group.so\nsession    required   pam_limits.so\n\
             session    optional   pam_lastlog.so\nsession    optional   pam_mail.so standard\n\
             session    optional   pam_keyinit.so force revoke\n@include common-account\n@include common-session\n\
             @include common-password\n"
        }
        "su" => {
            "auth       sufficient pam_rootok.so\nsession       required   pam_env.so readenv=1\n\
             session       required   pam_env.so readenv=1 envfile=/etc/default/locale\n\
             session    optional   pam_mail.so nopen\nsession    required   pam_limits.so\n@include common-auth\n\
             @include common-account\n@include common-session\n\n\n"
        }
        "sudo" => {
            "#%PAM-1.0\n\nsession    required   pam_limits.so\n\n@include common-auth\n@include common-account\n\
             @include common-session-noninteractive\n"
        }
        other => panic!("{other}"),
    }
}

fn has_marks(text: &str) -> bool {
    text.contains(MARK)
}

#[test]
fn debian_s_stacks_become_what_the_examples_are() {
    let folder = Folder::new();
    for (service, options, example) in [
        ("sshd", "", include_str!("../../../../conf/pam.d/sshd.example")),
        ("login", " breakglass", include_str!("../../../../conf/pam.d/login.example")),
        ("su", "", include_str!("../../../../conf/pam.d/su.example")),
        ("sudo", "", include_str!("../../../../conf/pam.d/sudo.example")),
    ] {
        let text = folder.add(stock(service), options).unwrap();
        let (mut ours, mut theirs) = (folder.effect(&text), folder.effect(example));
        // The example has Debian's own lines of one phase in another order, and pam_group moved where setup repeats it.
        let is_motd = |line: &(String, String, String, Vec<String>)| {
            service == "login" && (line.0 == "session" && line.2 != OURS || line.2 == "pam_group.so")
        };
        ours.retain(|line| !is_motd(line));
        theirs.retain(|line| !is_motd(line));
        assert_eq!(ours, theirs, "{service}");
        assert!(folder.effect(&text).iter().filter(|line| line.2 == OURS).count() == 4, "{text}");
        assert_eq!(remove(&text), stock(service), "{service}");
    }
}

#[test]
fn nothing_is_put_in_twice() {
    let folder = Folder::new();
    for service in ["sshd", "login", "su", "sudo"] {
        let once = folder.add(stock(service), "").unwrap();
        assert_eq!(folder.add(&once, "").unwrap(), once);
        let example = include_str!("../../../../conf/pam.d/sshd.example");
        assert_eq!(folder.add(example, "").unwrap(), example, "lines put in by hand are enough");
        assert!(has_marks(&once) && foreign(&once).is_empty());
        assert!(!has_marks(example) && foreign(example).len() == 4);
    }
}

#[test]
fn group_lines_that_success_would_leave_out_come_first() {
    let text = Folder::new().add(stock("login"), " breakglass").unwrap();
    let place = |what: &str| text.lines().position(|line| line.contains(what)).unwrap();
    let ours = text.lines().position(|line| line.starts_with("auth") && line.contains(OURS)).unwrap();
    assert!(place("pam_group.so") < ours && ours < place("@include common-auth"), "{text}");
    assert_eq!(text.matches("pam_authflow.so breakglass").count(), 3, "{text}");
}

#[test]
fn a_line_that_lets_people_in_by_itself_does_not_skip_ours() {
    let folder = Folder::new();
    let auth = "auth sufficient pam_wheel.so trust\nauth [success=1 default=ignore] pam_succeed_if.so user in robots\n";
    let text = folder.add(&format!("{auth}{}", stock("sudo")), "").unwrap();
    assert!(text.lines().next().unwrap().contains(OURS), "{text}");
}

#[test]
fn what_keeps_people_out_still_does() {
    let folder = Folder::new();
    let keeping_out = "auth required pam_tally9.so\nauth requisite pam_succeed_if.so user ingroup ssh\n\
        account required pam_access.so\naccount [success=ignore default=bad] pam_list.so\n";
    let text = folder.add(&format!("{keeping_out}{}", stock("sshd")), "").unwrap();
    assert!(text.starts_with(keeping_out), "{text}");
    let behind = format!("{}auth required pam_access.so\n", stock("sudo"));
    assert_eq!(folder.add(&behind, ""), Err(Refusal::LeftOut(8)));
    assert!(text[keeping_out.len()..].starts_with("auth ") && text.contains(OURS), "{text}");
}

#[test]
fn what_keeps_people_out_in_a_shared_stack_is_told_with_its_line() {
    let folder = Folder::new();
    let common = |before: &str| {
        let (_, rest) = COMMON[0];
        std::fs::write(folder.stacks().join("common-auth"), format!("# shared\n{before}\n{rest}")).unwrap();
        folder.add(stock("sshd"), "")
    };
    for (line, module) in [
        ("auth required pam_listfile.so item=user sense=deny file=/etc/deny", "pam_listfile.so"),
        ("auth requisite pam_nologin.so", "pam_nologin.so"),
    ] {
        let why = common(line).unwrap_err();
        assert!(why.to_string().contains(&format!("etc/pam.d/common-auth:2: {module} keeps people out")), "{why}");
    }
    for fine in
        ["", "auth required pam_env.so", "auth required pam_faildelay.so delay=2000000", "auth optional pam_cap.so"]
    {
        assert!(common(fine).is_ok(), "{fine}");
    }
    let moved = format!("auth required pam_listfile.so item=user\n{}", stock("sshd"));
    assert!(folder.add(&moved, "").is_ok());
}

#[test]
fn whoever_pam_faillock_has_locked_is_refused_in_front_of_ours() {
    let folder = Folder::new();
    let common = |lines: &str| std::fs::write(folder.stacks().join("common-auth"), lines).unwrap();
    let unix = "auth [success=2 default=ignore] pam_unix.so nullok\n";
    let rest =
        "auth [default=die] pam_faillock.so authfail deny=3\nauth requisite pam_deny.so\nauth required pam_permit.so\n";
    let (preauth, authsucc) =
        ("auth requisite pam_faillock.so preauth silent deny=3\n", "auth sufficient pam_faillock.so authsucc deny=3\n");
    for (lines, expected) in [
        (format!("{preauth}{unix}{rest}"), "auth       requisite  pam_faillock.so preauth silent deny=3"),
        (format!("auth required pam_faillock.so\n{unix}{rest}"), "auth       required  pam_faillock.so preauth"),
        (format!("{unix}{rest}"), "auth       required  pam_faillock.so preauth deny=3"),
        (format!("{unix}{authsucc}"), "auth       required  pam_faillock.so preauth deny=3"),
    ] {
        common(&lines);
        let text = folder.add(stock("sshd"), "").unwrap();
        let marked = format!("{expected}  {MARK}");
        let mut auth = text.lines().take_while(|line| *line != "@include common-auth");
        assert_eq!(auth.next(), Some(marked.as_str()), "{text}");
        assert!(auth.next().is_some_and(|line| line.contains(OURS)) && auth.next().is_none(), "{text}");
        assert_eq!(remove(&text), stock("sshd"));
    }
    // Where the service's own file has it in front, once is enough.
    let own = format!("{preauth}{}", stock("sshd"));
    assert_eq!(folder.add(&own, "").unwrap().matches(" preauth").count(), 1);
    common(&format!("{unix}{rest}auth required pam_access.so\n"));
    assert!(folder.add(stock("sshd"), "").unwrap_err().to_string().contains("pam_access.so keeps people out"));
}

#[test]
fn ours_stand_in_front_of_what_lets_in_however_libpam_lets_it_be_written() {
    let folder = Folder::new();
    for control in [
        "sufficient",
        "[SUFFICIENT]",
        "[success = done default=ignore]",
        "[success=donedefault=ignore]",
        "success=done",
    ] {
        let stack = format!("auth {control} pam_exec.so /bin/x\n{}", stock("sudo"));
        let added = folder.add(&stack, "").unwrap();
        let place = |what: &str| added.find(what).unwrap();
        assert!(place("pam_authflow.so") < place("pam_exec.so"), "{added}");
    }
}

#[test]
fn a_stack_in_which_ours_have_no_place_is_refused_with_the_reason() {
    let folder = Folder::new();
    let refused = |text: &str| folder.add(text, "").unwrap_err();
    assert_eq!(refused("account required pam_unix.so\n"), Refusal::NoPhase("auth"));
    let jumping = "session [success=1 default=ignore] pam_succeed_if.so quiet\nsession include common-session\n";
    let over = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_loginuid.so\n\
        session [success=1 default=ignore] pam_succeed_if.so x\nsession optional pam_mail.so\n";
    let far = over.replace("pam_succeed_if.so x", "pam_loginuid.so");
    for control in
        ["[success=1 default=ignore]", "[success = 1 default=ignore]", "[success=1default=ignore]", "success=1"]
    {
        let far = far.replace("[success=1 default=ignore]", control);
        assert_eq!(refused(&far), Refusal::Jump(4, "session"), "{control}");
    }
    assert!(folder.add(over, "").is_ok(), "the jump is behind the place");
    let inside =
        format!("auth required pam_unix.so\naccount required pam_unix.so\n{jumping}session optional pam_mail.so\n");
    assert!(folder.add(&inside, "").is_ok(), "the jump lands inside");
    let early = format!("session required pam_env.so user_readenv=1\n{}", stock("sshd"));
    assert_eq!(refused(&early), Refusal::Forgeable(1));
    for end in ["session optional \\", "session optional \\ \n\n# a comment\n"] {
        assert_eq!(refused(&format!("{}{end}", stock("sudo"))), Refusal::Unfinished);
    }
}

#[test]
fn a_machine_without_debian_s_common_password_gets_no_password_line() {
    let folder = Folder::new();
    std::fs::remove_file(folder.stacks().join("common-password")).unwrap();
    let text = folder.add(stock("sudo"), "").unwrap();
    assert_eq!(folder.effect(&text).iter().filter(|line| line.2 == OURS).count(), 3);
}

#[test]
fn where_a_profile_has_ours_in_the_common_stacks_nothing_stands_twice() {
    let folder = Folder::new();
    for (name, text) in COMMON.into_iter().filter(|(name, _)| !name.ends_with("noninteractive")) {
        let phase = name.trim_start_matches("common-");
        std::fs::write(folder.0.path().join(name), format!("{phase} required {OURS}\n{text}")).unwrap();
    }
    for service in ["sshd", "login", "su"] {
        let text = folder.add(stock(service), "").unwrap();
        let ours: Vec<_> = folder.effect(&text).into_iter().filter(|line| line.2 == OURS).map(|line| line.0).collect();
        assert_eq!(ours, ["account", "auth", "password", "session"], "{service}");
    }
}

#[test]
fn what_includes_hold_is_read_from_where_they_are() {
    let lines = |name: &str| match name {
        "mine" => vec![Line {
            file: PathBuf::from("mine"),
            number: 1,
            phase: "auth".into(),
            control: "required".into(),
            module: OURS.into(),
            path: OURS.into(),
            arguments: Vec::new(),
            substacks: Vec::new(),
        }],
        _ => Vec::new(),
    };
    let text = "auth include mine\naccount required pam_unix.so\n";
    let added = add(text, "", &lines).unwrap();
    assert!(!added.lines().any(|line| line.starts_with("auth ") && line.contains(OURS)), "a profile has it: {added}");
}

proptest! {
    #[test]
    fn what_was_put_in_comes_out_to_the_byte(
        rows in prop::collection::vec(
            prop_oneof![
                Just("auth required pam_unix.so".to_owned()),
                Just("@include common-auth".to_owned()),
                Just("account [success=1 default=ignore] pam_unix.so".to_owned()),
                Just("session \\".to_owned()),
                Just("  optional pam_mail.so # \\".to_owned()),
                Just("session include common-session".to_owned()),
                Just("password substack common-password".to_owned()),
                Just(String::new()),
                "[ -~\\r\\t]{0,30}",
            ],
            0..20,
        ),
        newline in any::<bool>(),
    ) {
        let mut text = rows.join("\n");
        if newline {
            text.push('\n');
        }
        prop_assume!(!has_marks(&text));
        if let Ok(added) = Folder::new().add(&text, " breakglass") {
            prop_assert_eq!(remove(&added), text);
        }
    }
}
