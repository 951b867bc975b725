//! Every defect that `authflow check` knows: its id, how bad it is, what it is in one line, and what comes of it. Ids are stable: once
//! given, an id keeps its meaning.

use serde::Serialize;

/// How bad a defect is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Somebody gets in who should not, or is locked out who should not be.
    Error,
    /// Something is probably not meant.
    Warning,
    /// Worth knowing. A machine with notes alone is clean.
    Note,
}

impl Severity {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

macro_rules! defects {
    ($($variant:ident $severity:ident $id:literal $summary:literal $consequence:literal)+) => {
        /// A defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Defect { $(#[doc = $summary] $variant),+ }

        impl Defect {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name.
            pub(crate) const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),+ }
            }

            /// How bad it is.
            pub(crate) const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            /// What it is, in one line.
            pub(crate) const fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary),+ }
            }

            /// What comes of it.
            pub(crate) const fn consequence(self) -> &'static str {
                match self { $(Self::$variant => $consequence),+ }
            }
        }
    };
}

defects! {
    // The configuration's own files.
    ConfigMissing Error "config-missing" "PAM stacks call authflow, and there is no configuration"
        "every login through these stacks is denied"
    ConfigBroken Error "config-broken" "the configuration does not parse, or cannot be trusted"
        "it is not used: the last good one is in force, and without one every governed login is denied"
    ConfigNoLastGood Error "config-no-last-good" "PAM stacks call authflow, and there is no last good configuration"
        "the first slip in the live one denies every login through these stacks"
    ConfigUnreadable Note "config-unreadable" "users cannot read the configuration"
        "what is not root goes by the last good one, and without one no locker unlocks"
    ConfigNotApplied Note "config-not-applied" "the last good configuration says something else than the live one"
        "should the live one break, the older rules are in force again"

    // Rules.
    RuleWeakerMethod Warning "rule-weaker-method" "a later method of a rule is weaker than an earlier one"
        "whoever has no authenticator needs none"
    RuleShadowed Warning "rule-shadowed" "an earlier rule takes every request of a later one"
        "the later rule is never used"
    RuleSessionTooEarly Warning "rule-session-too-early" "a rule for sshd alone takes the factor \"session\""
        "the method never counts there"
    RuleShortLimit Warning "rule-short-limit" "a limit of less than half a minute"
        "people are cut off while they read"
    RuleLockedForGood Warning "rule-locked-for-good" "at_lifetime = \"lock\" where the display manager unlocks as root"
        "no proof opens the screen for good"
    PresetWeaker Warning "preset-weaker" "a setting is weaker than the standard asks"
        "an auditor finds it"
    PresetWeakerWithReason Note "preset-weaker-with-reason" "a setting is weaker than the preset, for a reason"
        "the exception is in force; authflow report lists it"
    PresetNothingWeaker Warning "preset-nothing-weaker" "a reason for being weaker than the preset, where nothing is"
        "a slip made later goes by unnoticed"
    ThrottleLongLock Warning "throttle-long-lock" "a lock that in practice an administrator lifts"
        "whoever is locked stays out until somebody unlocks them"
    RuleGroupMissing Warning "rule-group-missing" "a rule names a group that does not exist"
        "nobody is in it; where its source is away, who could be in it is denied"
    RuleUserMissing Warning "rule-user-missing" "a rule names a user who does not exist"
        "the rule is for nobody, or for whoever is given that name next"
    RuleUserSpelling Error "rule-user-spelling" "a rule names a user by another spelling than the account's own name"
        "the rule is never theirs: another one decides, or they are denied"
    RuleNobodyCanMeet Error "rule-nobody-can-meet" "a rule takes a code, nobody who may come by it has an authenticator, and it lets nobody enrol"
        "everybody whom the rule is for is locked out"
    RuleUserCannotMeet Note "rule-user-cannot-meet" "a rule names a user who has too little for any method of it, and it lets nobody enrol"
        "that user is refused there, but for a bypass code"
    RuleKeyElsewhere Error "rule-key-elsewhere" "every method of a rule takes a key, at a service that is not sshd's"
        "keys count at sshd's services alone, so nobody gets in there"
    RuleNoCatchAll Note "rule-no-catch-all" "every rule for a service is for some users, groups or networks alone"
        "everybody else is denied there"
    RuleWithoutStack Warning "rule-without-stack" "no service that a rule names has a PAM file"
        "the rule is for nothing; a service that is meant goes by /etc/pam.d/other"
    RuleServiceAbsent Note "rule-service-absent" "a rule names, among others, a service that has no PAM file"
        "it is not installed here, or it is misspelt and goes by /etc/pam.d/other"
    RuleNotCalled Error "rule-not-called" "a rule names a service that never calls authflow, by its PAM stack or by sudoers"
        "the rule is not in force: the service lets people in as before"
    RuleSiblingLeft Warning "rule-sibling-left" "a rule is about sudo or su, and none about sudo-i or su-l, which are the same programs"
        "whoever says `sudo -i` or `su -` instead is asked nothing by authflow"
    RuleEndsBackground Error "rule-ends-background" "account = \"enforce\" reaches a service that never asks anybody"
        "cron jobs, user managers, Samba's users or root's su are refused"

    // PAM stacks.
    AuthLineMissing Error "auth-line-missing" "a governed stack has no auth line of authflow"
        "nobody is asked what the rule asks: the other modules decide alone"
    AccountLineMissing Error "account-line-missing" "a governed stack has no account line of authflow"
        "no flow's success becomes usable, so its session is refused; disabled users are not kept out"
    SessionLineMissing Error "session-line-missing" "a governed stack has no session line of authflow"
        "who logs in is in no session: no limit ends it, nobody can revoke it, and the guard does not look again"
    LineSkipped Error "line-skipped" "a module before our line ends the stack with success"
        "whoever satisfies that module is in without the rule"
    LineJumpedOver Error "line-jumped-over" "a module before our line jumps over it"
        "whoever satisfies that module is in without the rule"
    LineLeftOut Warning "line-left-out" "a line that keeps people out stands behind our auth line, whose success ends the stack"
        "whoever satisfies the rule is in without it"
    RefusalIgnored Error "refusal-ignored" "the control of our line lets a refusal pass"
        "who fails the rule gets in by what comes behind it, unless another line of ours refuses"
    OthersRefused Error "others-refused" "the control of our line takes \"this is for others\" for a refusal"
        "where no rule governs, or a rule says \"stack\", nobody gets in; account refuses cron and NOPASSWD"
    LineTwice Warning "line-twice" "a stack calls authflow twice in one phase"
        "in auth the second call asks again, and a code passes only once; in account and session nothing comes of it"
    SessionBeforeLoginuid Warning "session-before-loginuid" "our session line stands before pam_loginuid"
        "the session has no audit id: it vouches for nobody, and what left its terminal is not found"
    SessionBeforeSystemd Warning "session-before-systemd" "our session line stands before pam_systemd"
        "the session is not known by its scope, and ending it leaves processes behind"
    SessionWithoutLoginuid Warning "session-without-loginuid" "sessions are to vouch, and a login's stack has no pam_loginuid"
        "its sessions never vouch, and everything is asked"
    SessionEscapes Error "session-escapes" "a login's stack has neither pam_loginuid nor pam_systemd, and there is no systemd"
        "what leaves its terminal and its parent is not found, and outlives the session"
    SessionUnmarked Warning "session-unmarked" "a login's stack has neither pam_loginuid nor pam_systemd, and systemd runs the machine"
        "it is held together by a scope of the daemon's; what opens while that is away escapes, and logind cannot lock or end it"
    SessionAfterUserEnv Error "session-after-user-env" "pam_env reads the user's own file before our session line"
        "a user can forge what sshd tells about keys"
    PasswordNotVerified Error "password-not-verified" "proved=password, and no module before it verifies a password"
        "a code alone opens the door"
    PasswordNotRequired Error "password-not-required" "proved=password, and a wrong password gets there"
        "a code alone opens the door"
    PasswordLateRefusal Warning "password-late-refusal" "proved=password behind a module that lets the stack go on after a wrong password"
        "the login is refused, but its code is used up"
    PasswordLineUnaware Warning "password-line-unaware" "auth says proved=password, and our password line does not"
        "it takes the directory's password for ours"
    PasswordAskedFirst Warning "password-asked-first" "a module that verifies passwords before our auth line, which does not say proved=password"
        "whoever guesses learns there which password is right, past our throttle, and users are asked twice"
    AskWithoutProved Error "ask-without-proved" "a line with `ask`, and no later line that decides"
        "nobody gets in"
    NewPasswordHides Warning "new-password-hides" "our account line lacks new_authtok_reqd=ok"
        "a password that must be changed hides what later lines refuse"
    PasswordLineMissing Warning "password-line-missing" "a governed stack has no password line of authflow"
        "nobody gets in there by an initial password"
    PasswdUnaware Warning "passwd-unaware" "adopt = true, and passwd changes the system's password"
        "users change a password that no longer counts"
    OptionUnknown Error "option-unknown" "an option on our line that authflow does not know"
        "every phase of the stack fails"
    OtherConfig Note "other-config" "a line of ours reads another configuration file"
        "what is said here about rules does not hold for that service"
    BreakglassRemote Warning "breakglass-remote" "breakglass on the line of a service that is no console login"
        "it is of no use there, and looks as if it opened something"
    OnePromptMissing Warning "one-prompt-missing" "a client with a single field, and no one_prompt"
        "it answers both questions with the same text, so a code never passes"
    IncludeMissing Error "include-missing" "a PAM file includes one that is not there"
        "libpam refuses that phase, and with @include the whole service"
    PamLineBroken Error "pam-line-broken" "a line of a PAM file that libpam cannot read"
        "libpam puts a refusal in its place"
    PamControlUnknown Error "pam-control-unknown" "a control that libpam does not understand"
        "libpam takes every answer of that module for a refusal, so nobody gets in"
    OtherModuleMissing Error "other-module-missing" "a module of somebody else's is not there, and its line cannot do without"
        "libpam puts a refusal in its place: nobody gets in"
    ModuleMisspelt Error "module-misspelt" "a module that is not there, by a name that is almost ours"
        "authflow is not asked there; where the control minds, nobody gets in"
    PamFileWritable Error "pam-file-writable" "somebody else than root can write a PAM file"
        "whoever can write it decides who gets in"
    ModuleMissing Error "module-missing" "PAM stacks call authflow, and the module is not installed"
        "libpam puts a refusal in its place: nobody gets in"
    ModuleWritable Error "module-writable" "somebody else than root can write the module"
        "whoever can write it decides who gets in"

    // sshd.
    SshdConfigBroken Error "sshd-config-broken" "sshd_config has an error"
        "sshd does not start again"
    SshdWithoutPam Error "sshd-without-pam" "UsePAM no beside a rule for sshd"
        "no rule is in force for ssh, and no session is known"
    SshdWithoutQuestions Error "sshd-without-questions" "KbdInteractiveAuthentication no beside a rule that asks"
        "nobody can be asked for a code"
    SshdMethodsUnmet Error "sshd-methods-unmet" "AuthenticationMethods that leave a rule no method"
        "whoever the rule is for cannot log in"
    SshdRootLockedOut Error "sshd-root-locked-out" "root is to log in by ssh, and sshd or a rule asks for what root does not have"
        "root cannot log in by ssh"
    SshdKeyLockedOut Error "sshd-key-locked-out" "an account has a key for ssh, and a rule takes neither that nor what else it has, or sshd does not ask for it"
        "it cannot log in by ssh: a program that does so stops"
    SshdKeysNotLookedAt Note "sshd-keys-not-looked-at" "homes did not tell in time whether there are keys for ssh in them"
        "whether their accounts are locked out by ssh is not known"
    SshdDropInLeft Error "sshd-drop-in-left" "setup's drop-in for sshd is there without our lines, or without a rule"
        "a key alone is not enough, and what sshd asks besides is asked by no rule"
    SetupOnTheWay Error "setup-on-the-way" "rules that setup or a removal puts there for a moment, and nothing is under way"
        "whoever was protected gets in by as little as before authflow"
    SshdKeyUnforeseen Warning "sshd-key-unforeseen" "sshd takes a key alone, and a rule does not"
        "whoever's client offers a key is let in by sshd and refused by the rule, without a question"
    SshdMethodUnforeseen Warning "sshd-method-unforeseen" "sshd takes GSSAPI or host keys, which no rule counts"
        "such a login is refused by the rule, without a question"
    SshdPasswordMethod Note "sshd-password-method" "PasswordAuthentication yes beside a rule of two factors"
        "that method has one prompt, so a client that falls back to it never gives a code"
    SshdEmptyPasswords Error "sshd-empty-passwords" "PermitEmptyPasswords yes"
        "an account without a password is open where a rule says \"stack\""
    SshdAliveCountZero Warning "sshd-alive-count-zero" "ClientAliveCountMax 0, taken for an idle limit"
        "since OpenSSH 8.2 it ends nothing, and dead connections stay"
    SshdAliveNoLimit Note "sshd-alive-no-limit" "a ClientAliveInterval of minutes, which is no idle limit"
        "it ends connections of clients that are gone, never of people who are"
    SshdUserEnvironment Warning "sshd-user-environment" "PermitUserEnvironment yes"
        "users set LD_PRELOAD and the like for forced commands and restricted shells"
    SshdGraceShort Warning "sshd-grace-short" "LoginGraceTime too short to enrol in a login"
        "sshd hangs up while the user scans the code"
    SshdConfigWritable Error "sshd-config-writable" "somebody else than root can write a file of sshd's configuration"
        "whoever can write it decides who gets in"
    SshdServiceUnknown Error "sshd-service-unknown" "sshd's PAM service is not among sshd_services"
        "keys do not count, and the guard does not see them"
    SshdServiceMissing Warning "sshd-service-missing" "sshd_services names a service that has no PAM file"
        "it is probably misspelt, and the one that is meant is not known as sshd's"
    SshdNotAsked Note "sshd-not-asked" "sshd could not be asked for its settings"
        "its file was read instead, which may not be all that counts"

    // sudo.
    SudoTicketHides Warning "sudo-ticket-hides" "sudo's own ticket hides a rule that goes by a fresh login"
        "until it runs out nobody is asked, however old the login is"
    SudoNopasswdEnds Warning "sudo-nopasswd-ends" "NOPASSWD beside a rule with account = \"enforce\""
        "these commands are refused unless the login itself vouches"
    SudoNopasswdUnasked Note "sudo-nopasswd-unasked" "NOPASSWD beside a rule about sudo without account = \"enforce\""
        "these commands ask nobody, whatever the rule says"
    SudoLeavesOut Error "sudo-leaves-out" "sudoers has sudo leave out the account or the session phase"
        "our line there is not run: who is disabled is not refused, or no session is known"
    SudoersNotLookedAt Note "sudoers-not-looked-at" "sudoers was not looked at"
        "whether sudo gets around a rule, by its own ticket or otherwise, is not known"
    SudoersUnread Warning "sudoers-unread" "sudoers cannot be read"
        "whether sudo gets around a rule, by its own ticket or otherwise, is not known"

    // Files and records.
    FolderOpen Error "folder-open" "a folder of authflow's has another owner or mode than it should"
        "secrets can be read or records replaced, or nothing in it is trusted and logins are denied"
    FileOpen Error "file-open" "a file of authflow's has another owner or mode than it should"
        "secrets can be read or records replaced, or the file is not trusted and logins are denied"
    ProgramWritable Error "program-writable" "somebody else than root can write a program, a unit or a bus policy of authflow's"
        "whoever can write it acts as root, or speaks for the daemon"
    RecordUnusable Error "record-unusable" "a user's record cannot be read"
        "the user is denied"
    PasswordOutdated Note "password-outdated" "the system's password was changed after authflow's own was set"
        "the change counts for nothing where a rule asks: authflow's own password goes on"
    RecordOfNobody Warning "record-of-nobody" "a record for a user who does not exist"
        "whoever is given that name next inherits it"
    DisabledNobody Note "disabled-nobody" "the mark of a disabled user who does not exist"
        "whoever is given that name next is kept out"
    DisabledSpelling Error "disabled-spelling" "the mark of a disabled user goes by another spelling than the account's own name"
        "the mark keeps nobody out"
    DisabledRenamed Error "disabled-renamed" "the account of a disabled user has another name now, which is not disabled"
        "who is to be kept out gets in by the new name"
    CommonPasswordsMissing Warning "common-passwords-missing" "the list of common passwords cannot be read"
        "only root can set passwords"
    RecordsNotLookedAt Note "records-not-looked-at" "users' records were not looked at"
        "what is said here is not everything"

    RuleLocalUntold Note "rule-local-untold" "a rule for this machine alone names a service that may be reached from elsewhere"
        "where root runs the service and it tells no terminal of the machine's own, the rule is not for it"
    ServiceTellsNoPlace Note "service-tells-no-place" "a service was seen to tell PAM neither a remote host nor a terminal"
        "all who use it are one source: whoever guesses at a user there locks the user out of it"
    // Clock, bus and daemon.
    ClockNotSynchronised Warning "clock-not-synchronised" "a rule takes codes, and nothing keeps the clock right"
        "when it is half a minute off, no code passes"
    DaemonAway Warning "daemon-away" "the session daemon cannot be reached"
        "sessions have no limits until it is back"
    DaemonAwayDenies Error "daemon-away-denies" "the session daemon cannot be reached, and a rule denies without it"
        "nobody gets in under that rule, but root at a console"
    DaemonOtherVersion Warning "daemon-other-version" "the daemon that runs is not of the installed version"
        "what was changed since is not in force"
    DaemonDegraded Warning "daemon-degraded" "the daemon cannot write its store"
        "sessions are kept in memory and lost with the daemon"
    BusPolicyMissing Error "bus-policy-missing" "the bus has no policy for the daemon"
        "the daemon cannot take its name, and nothing tracks sessions"
    UnitMissing Warning "unit-missing" "systemd runs here and knows no unit of the daemon"
        "nothing starts the daemon"
    DisabledInSession Error "disabled-in-session" "a disabled user has a live session"
        "who is to be kept out is still in"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_defect_as_it_is_told() {
        let document = include_str!("../../../../docs/check.md");
        let row = |defect: &Defect| {
            let severity = defect.severity().as_str();
            format!("| `{}` | {severity} | {} | {} |", defect.id(), defect.summary(), defect.consequence())
        };
        let rows: Vec<_> = Defect::ALL.iter().map(row).collect();
        let told: Vec<_> = document.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(told, rows);
    }

    #[test]
    fn ids_are_kebab_case_and_name_one_defect_each() {
        let ids: BTreeSet<_> = Defect::ALL.iter().map(|defect| defect.id()).collect();
        assert_eq!(ids.len(), Defect::ALL.len());
        for id in ids {
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{id}");
        }
    }
}
