//! What `authflow check` says of rules and PAM stacks that are wrong, on a machine that is otherwise right: each defect with its id,
//! its file and its line, and nothing else.

mod good;

use good::{Case, each_is_told};

#[test]
fn what_is_wrong_with_rules_and_stacks_is_told_with_its_line() {
    let Some(plan) = good::plan() else { return };
    let machine = plan.start();
    let _ = machine.enroll("alice");
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "the shipped examples");
    let kept = ["/etc/pam.d", "/etc/authflow"];
    each_is_told(&machine, &kept, STACKS);
    each_is_told(&machine, &kept, OPTIONS);
    each_is_told(&machine, &kept, RULES);
    let module = machine.shell("ls /usr/lib/*/security/pam_authflow.so").success();
    each_is_told(&machine, &[module.trim()], MODULE);
    machine.write("/root/new.toml", &rules_by_hand());
    let _ = machine.run(["authflow", "config", "apply", "/root/new.toml"]).success();
    assert_eq!(good::check(&machine), (Vec::new(), Some(0)), "the rules of docs/setup.md");
}

/// The rules that docs/setup.md has its reader write.
fn rules_by_hand() -> String {
    let document = include_str!("../../docs/setup.md");
    let rules = document.split("cat >> new.toml <<'EOF'\n").nth(1).and_then(|rest| rest.split("   EOF\n").next());
    rules.expect("rules between the lines of a shell").to_owned()
}

const STACKS: &[Case] = &[
    Case {
        breakage: "sed -i '/^session.*pam_authflow/d' /etc/pam.d/sshd",
        told: &["session-line-missing /etc/pam.d/sshd"],
    },
    Case {
        breakage: "sed -i '/^account.*pam_authflow/d' /etc/pam.d/sshd",
        told: &["account-line-missing /etc/pam.d/sshd"],
    },
    Case { breakage: "sed -i '/^auth.*pam_authflow/d' /etc/pam.d/sudo", told: &["auth-line-missing /etc/pam.d/sudo"] },
    Case {
        breakage: "sed -i '/^auth.*pam_authflow/i auth sufficient pam_permit.so' /etc/pam.d/sshd",
        told: &["line-skipped /etc/pam.d/sshd: pam_permit"],
    },
    Case {
        breakage: "echo 'auth sufficient pam_permit.so' > /etc/pam.d/mine; sed -i '/^auth.*pam_authflow/i auth include mine' /etc/pam.d/sshd",
        told: &["line-skipped /etc/pam.d/mine: pam_permit"],
    },
    Case {
        breakage: "line=$(grep '^auth.*pam_authflow' /etc/pam.d/sshd); sed -i -e '/^auth.*pam_authflow/d' -e \"s/^@include common-auth/&\\n$line/\" /etc/pam.d/sshd",
        told: &["password-asked-first /etc/pam.d/common-auth: pam_unix"],
    },
    Case {
        breakage: "line=$(grep '^auth.*pam_authflow' /etc/pam.d/sudo); sed -i -e '/^auth.*pam_authflow/d' -e \"s/^@include common-auth/auth substack common-auth\\n$line/\" /etc/pam.d/sudo",
        told: &["password-asked-first /etc/pam.d/common-auth: pam_unix"],
    },
    Case {
        breakage: "sed -i '/^auth.*pam_authflow/i auth [success=1 default=ignore] pam_unix.so' /etc/pam.d/login",
        told: &["line-jumped-over /etc/pam.d/login: success=1"],
    },
    Case {
        breakage: "sed -i '/^account.*pam_authflow/i account sufficient pam_localuser.so' /etc/pam.d/sshd",
        told: &["line-skipped /etc/pam.d/sshd: pam_localuser"],
    },
    Case {
        breakage: "sed -i 's/^auth.*pam_authflow.so/auth optional pam_authflow.so/' /etc/pam.d/sshd",
        told: &["refusal-ignored /etc/pam.d/sshd: auth optional"],
    },
    Case {
        breakage: "sed -i 's/^auth.*pam_authflow.so/auth sufficient pam_authflow.so/' /etc/pam.d/sudo",
        told: &["refusal-ignored /etc/pam.d/sudo: auth sufficient"],
    },
    Case {
        breakage: "sed -i 's/^account.*pam_authflow.so/account [success=ok new_authtok_reqd=ok default=ignore] pam_authflow.so/' /etc/pam.d/sshd",
        told: &["refusal-ignored /etc/pam.d/sshd: default=ignore] pam_authflow"],
    },
    Case {
        breakage: "sed -i 's/^session.*pam_authflow.so/session optional pam_authflow.so/' /etc/pam.d/su",
        told: &["refusal-ignored /etc/pam.d/su: session optional pam_authflow"],
    },
    Case {
        breakage: "sed -i 's/^account.*pam_authflow.so/account [success=ok new_authtok_reqd=ok default=bad] pam_authflow.so/' /etc/pam.d/sudo",
        told: &["others-refused /etc/pam.d/sudo: default=bad"],
    },
    Case {
        breakage: "echo 'account required pam_authflow.so' >> /etc/pam.d/sshd",
        told: &["line-twice /etc/pam.d/sshd: account required pam_authflow"],
    },
    Case {
        breakage: "sed -i '/pam_loginuid/d' /etc/pam.d/sshd; echo 'session required pam_loginuid.so' >> /etc/pam.d/sshd",
        told: &["session-before-loginuid /etc/pam.d/sshd: pam_authflow"],
    },
    Case {
        breakage: "echo 'session optional pam_systemd.so' >> /etc/pam.d/login",
        told: &["session-before-systemd /etc/pam.d/login: pam_authflow"],
    },
    Case {
        breakage: "sed -i 's/^session.*pam_loginuid.*/session optional pam_systemd.so/' /etc/pam.d/login",
        told: &["session-without-loginuid /etc/pam.d/login: pam_authflow"],
    },
    Case {
        breakage: "sed -i '/pam_loginuid/d' /etc/pam.d/login; sed -i '/pam_systemd/d' /etc/pam.d/common-session",
        told: &["session-escapes /etc/pam.d/login: pam_authflow"],
    },
    Case {
        breakage: "sed -i '1i session optional pam_env.so user_readenv=1' /etc/pam.d/sshd",
        told: &["session-after-user-env /etc/pam.d/sshd: user_readenv=1"],
    },
    Case { breakage: "echo '@include gone' >> /etc/pam.d/sshd", told: &["include-missing /etc/pam.d/sshd: gone"] },
    Case {
        breakage: "sed -i 's/^account.*pam_authflow.*/@include gone/' /etc/pam.d/sshd",
        told: &["include-missing /etc/pam.d/sshd: gone"],
    },
    Case {
        breakage: "echo 'sesion required pam_permit.so' >> /etc/pam.d/sshd",
        told: &["pam-line-broken /etc/pam.d/sshd: sesion"],
    },
    Case {
        breakage: "sed -i 's/^auth.*pam_authflow.so/auth requried pam_authflow.so/' /etc/pam.d/sshd",
        told: &["pam-control-unknown /etc/pam.d/sshd: requried"],
    },
    Case {
        breakage: "echo 'account [sucess=ok default=ignore] pam_permit.so' >> /etc/pam.d/sudo",
        told: &["pam-control-unknown /etc/pam.d/sudo: sucess=ok"],
    },
    Case {
        breakage: "echo 'account required pam_gone.so' >> /etc/pam.d/sshd; echo 'session optional pam_gone.so' >> /etc/pam.d/sshd",
        told: &["other-module-missing /etc/pam.d/sshd: account required pam_gone"],
    },
    Case {
        breakage: "sed -i '/^auth/s/pam_authflow.so/pam_authflw.so/' /etc/pam.d/sudo",
        told: &["module-misspelt /etc/pam.d/sudo: pam_authflw"],
    },
    Case {
        breakage: "sed -i 's/pam_authflow.so/pam_authflow/' /etc/pam.d/vlock",
        told: &["module-misspelt /etc/pam.d/vlock: auth", "module-misspelt /etc/pam.d/vlock: account"],
    },
    Case { breakage: "chmod 0775 /etc/pam.d", told: &["pam-file-writable /etc/pam.d"] },
    Case { breakage: "chmod 0666 /etc/pam.d/sshd", told: &["pam-file-writable /etc/pam.d/sshd"] },
    Case { breakage: "chown bob /etc/pam.d/common-auth", told: &["pam-file-writable /etc/pam.d/common-auth"] },
];

const OPTIONS: &[Case] = &[
    Case {
        breakage: "sed -i -E '/^(auth|password)/s/pam_authflow.so/& proved=password/' /etc/pam.d/sshd",
        told: &["password-not-verified /etc/pam.d/sshd: proved=password"],
    },
    Case {
        breakage: "sed -i -E -e '/^(auth|password)/s/pam_authflow.so/& proved=password/' -e '/^auth.*authflow/i auth optional pam_unix.so' /etc/pam.d/sshd",
        told: &["password-not-required /etc/pam.d/sshd: proved=password"],
    },
    Case {
        breakage: "sed -i -E -e '/^(auth|password)/s/pam_authflow.so/& proved=password/' -e '/^auth.*authflow/i auth required pam_unix.so' /etc/pam.d/sshd",
        told: &["password-late-refusal /etc/pam.d/sshd: proved=password"],
    },
    Case {
        breakage: "sed -i -E -e '/^auth/s/pam_authflow.so/& proved=password/' -e '/^auth.*authflow/i auth requisite pam_unix.so' /etc/pam.d/sshd",
        told: &["password-line-unaware /etc/pam.d/sshd: password"],
    },
    Case {
        breakage: "sed -i '/^auth/s/pam_authflow.so/& ask/' /etc/pam.d/sshd",
        told: &["ask-without-proved /etc/pam.d/sshd: pam_authflow.so ask"],
    },
    Case {
        breakage: "sed -i 's/new_authtok_reqd=ok //' /etc/pam.d/sshd",
        told: &["new-password-hides /etc/pam.d/sshd: account"],
    },
    Case {
        breakage: "sed -i '/^password.*pam_authflow/d' /etc/pam.d/login",
        told: &["password-line-missing /etc/pam.d/login"],
    },
    Case {
        breakage: "sed -i -e '/^password/d' -e '/common-password/d' /etc/pam.d/su",
        told: &["password-line-missing /etc/pam.d/su"],
    },
    Case {
        breakage: "sed -i '1i password = { adopt = true }' /etc/authflow/authflow.toml; sed -i '/pam_authflow/d' /etc/pam.d/passwd",
        told: &["passwd-unaware /etc/pam.d/passwd"],
    },
    Case {
        breakage: "sed -i '/^auth/s/pam_authflow.so/& nullok/' /etc/pam.d/sshd",
        told: &["option-unknown /etc/pam.d/sshd: nullok"],
    },
    Case {
        breakage: "sed -i '/^auth/s/pam_authflow.so/& config=\\/srv\\/other.toml/' /etc/pam.d/sshd",
        told: &["other-config /etc/pam.d/sshd: other.toml"],
    },
    Case {
        breakage: "sed -i '/^account/s/pam_authflow.so/& breakglass/' /etc/pam.d/sshd",
        told: &["breakglass-remote /etc/pam.d/sshd: breakglass"],
    },
    Case {
        breakage: "cp /etc/pam.d/vlock /etc/pam.d/swaylock; sed -i 's/\"vlock\"/&, \"swaylock\"/' /etc/authflow/authflow.toml",
        told: &["one-prompt-missing /etc/pam.d/swaylock: auth"],
    },
];

const RULES: &[Case] = &[
    Case {
        breakage: "echo '[[rule' >> /etc/authflow/authflow.toml",
        told: &["config-broken /etc/authflow/authflow.toml: [[rule"],
    },
    Case { breakage: "chmod 0777 /etc/authflow", told: &["config-broken /etc/authflow/authflow.toml"] },
    Case { breakage: "chmod 0666 /etc/authflow/authflow.toml", told: &["config-broken /etc/authflow/authflow.toml"] },
    Case {
        breakage: "rm /etc/authflow/authflow.toml /etc/authflow/authflow.toml.last-good",
        told: &["config-missing /etc/authflow/authflow.toml"],
    },
    Case { breakage: "rm /etc/authflow/authflow.toml", told: &["config-broken /etc/authflow/authflow.toml"] },
    Case {
        breakage: "rm /etc/authflow/authflow.toml.last-good",
        told: &["config-no-last-good /etc/authflow/authflow.toml"],
    },
    Case {
        breakage: "echo '[[rule' > /etc/authflow/authflow.toml.last-good",
        told: &["config-no-last-good /etc/authflow/authflow.toml"],
    },
    Case {
        breakage: "rm /etc/authflow/authflow.toml.last-good; authflow config apply /etc/authflow/authflow.toml",
        told: &[],
    },
    Case {
        breakage: "cp /etc/authflow/authflow.toml /root/new; echo >> /root/new; authflow config apply /root/new; sed -i '1i # by hand' /etc/authflow/authflow.toml",
        told: &["config-not-applied /etc/authflow/authflow.toml.last-good"],
    },
    Case {
        breakage: "sed -i '0,/\"totp\"\\]\\]/s//\"totp\"], [\"password\"]]/' /etc/authflow/authflow.toml",
        told: &["rule-weaker-method /etc/authflow/authflow.toml: \"ssh\""],
    },
    Case {
        breakage: "printf '[[rule]]\\nname = \"late\"\\nservice = [\"sshd\"]\\nmethods = [[\"stack\"]]\\n' > /etc/authflow/authflow.toml.d/late.toml",
        told: &["rule-shadowed /etc/authflow/authflow.toml.d/late.toml: late"],
    },
    Case {
        breakage: "sed -i '/\"ssh\"/a from_session = { proved = [\"totp\"], within = \"5m\" }' /etc/authflow/authflow.toml; sed -i '0,/methods = \\[/s//&[\"session\"], /' /etc/authflow/authflow.toml",
        told: &["rule-session-too-early /etc/authflow/authflow.toml: \"ssh\""],
    },
    Case {
        breakage: "sed -i '/\"console\"/a session = { idle = \"5s\" }' /etc/authflow/authflow.toml",
        told: &["rule-short-limit /etc/authflow/authflow.toml: \"console\""],
    },
    Case {
        breakage: "cp /etc/pam.d/login /etc/pam.d/gdm-password; sed -i -e 's/\\[\"login\"/&, \"gdm-password\"/' -e '/\"console\"/a session = { at_lifetime = \"lock\" }' /etc/authflow/authflow.toml",
        told: &["rule-locked-for-good /etc/authflow/authflow.toml: \"console\""],
    },
    Case {
        breakage: "sed -i '1i [[rule]]\\nname = \"gone\"\\nservice = [\"sshd\"]\\ngroup = [\"no-such-group\"]\\nmethods = [[\"stack\"]]' /etc/authflow/authflow.toml",
        told: &["rule-group-missing /etc/authflow/authflow.toml: \"gone\""],
    },
    Case {
        breakage: "sed -i '1i [[rule]]\\nname = \"gone\"\\nservice = [\"sshd\"]\\nuser = [\"ghost\"]\\nmethods = [[\"stack\"]]' /etc/authflow/authflow.toml",
        told: &["rule-user-missing /etc/authflow/authflow.toml: \"gone\""],
    },
    Case {
        breakage: "sed -i '1i [[rule]]\\nname = \"bobs\"\\nservice = [\"login\"]\\nuser = [\"bob\"]\\nmethods = [[\"password\", \"totp\"]]' /etc/authflow/authflow.toml",
        told: &["rule-nobody-can-meet /etc/authflow/authflow.toml: \"bobs\""],
    },
    Case {
        breakage: "sed -i '1i [[rule]]\\nname = \"both\"\\nservice = [\"login\"]\\nuser = [\"alice\", \"bob\"]\\nmethods = [[\"password\", \"totp\"]]' /etc/authflow/authflow.toml",
        told: &["rule-user-cannot-meet /etc/authflow/authflow.toml: \"both\""],
    },
    Case {
        breakage: "sed -i '1i [[rule]]\\nname = \"keys\"\\nservice = [\"login\"]\\nuser = [\"bob\"]\\nmethods = [[\"publickey\"]]' /etc/authflow/authflow.toml",
        told: &["rule-key-elsewhere /etc/authflow/authflow.toml: \"keys\""],
    },
    Case {
        breakage: "cp /etc/pam.d/su /etc/pam.d/door; sed -i '1i [[rule]]\\nname = \"door\"\\nservice = [\"door\"]\\nuser = [\"alice\"]\\nmethods = [[\"password\"]]' /etc/authflow/authflow.toml",
        told: &["rule-no-catch-all /etc/authflow/authflow.toml: \"door\""],
    },
    Case {
        breakage: "sed -i 's/\\[\"login\"/&, \"kdm\"/' /etc/authflow/authflow.toml",
        told: &["rule-service-absent /etc/authflow/authflow.toml: \"console\""],
    },
    Case {
        breakage: "sed -i '1i [[rule]]\\nname = \"slip\"\\nservice = [\"ssdh\"]\\nmethods = [[\"password\"]]' /etc/authflow/authflow.toml",
        told: &["rule-without-stack /etc/authflow/authflow.toml: \"slip\""],
    },
    Case {
        breakage: "sed -i 's/\\[\"login\"/&, \"chsh\"/' /etc/authflow/authflow.toml",
        told: &["rule-not-called /etc/pam.d/chsh"],
    },
    Case {
        breakage: "sed -i -e 's/, \"sudo-i\"//' -e 's/, \"su-l\"//' /etc/authflow/authflow.toml",
        told: &[
            "rule-sibling-left /etc/authflow/authflow.toml: \"sudo\"",
            "rule-sibling-left /etc/authflow/authflow.toml: \"su\"",
        ],
    },
    Case {
        breakage: "grep '^account.*authflow' /etc/pam.d/sshd > /etc/pam.d/cron; printf '[[rule]]\\nname = \"all\"\\nservice = [\"*\"]\\nmethods = [[\"password\", \"totp\"]]\\naccount = \"enforce\"\\n' >> /etc/authflow/authflow.toml",
        told: &["rule-ends-background /etc/pam.d/cron: account"],
    },
];

const MODULE: &[Case] = &[
    Case { breakage: "rm /usr/lib/*/security/pam_authflow.so", told: &["module-missing"] },
    Case { breakage: "chmod 0777 /usr/lib/*/security/pam_authflow.so", told: &["module-writable *"] },
];
