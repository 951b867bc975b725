//! What sshd must be told for a code to be asked, as a drop-in of sshd_config. Pure; running sshd is another file's job.

use super::{
    service::Service,
    whence::Origin,
    who::{Who, header},
};

/// The folder of drop-ins that Debian's sshd_config includes first of all.
pub(super) const FOLDER: &str = "etc/ssh/sshd_config.d";

/// Early in the order of names, since sshd takes the first value that it reads.
pub(super) const FILE: &str = "10-authflow.conf";

/// Key and code, or password and code.
pub(super) const METHODS: &str = "publickey,keyboard-interactive:pam keyboard-interactive:pam";

/// The drop-in.
pub(super) fn text(who: &Who) -> String {
    let pattern = match who {
        Who::Users(users) => Some(users.iter().map(String::as_str).collect::<Vec<_>>().join(",")),
        Who::Everybody => None,
        Who::EverybodyButRoot => Some("*,!root".to_owned()),
    };
    let (block, indent) = pattern.map_or_else(Default::default, |names| (format!("Match User {names}\n"), "    "));
    let body = format!("{block}{indent}KbdInteractiveAuthentication yes\n{indent}AuthenticationMethods {METHODS}\n");
    let service = Service::Sshd;
    format!(
        "{}# Written by that command, which replaces it as long as nobody else changes it. `authflow setup remove {service}` takes it out.\n{body}",
        header(service, who)
    )
}

/// Whether those methods come to the same as ours.
pub(super) fn asks_for_both(methods: &str) -> bool {
    let words = |text: &str| text.replace(":pam", "").split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    words(methods.trim_matches('"')) == words(METHODS)
}

/// Whether the drop-in stands as setup wrote it.
pub(super) fn is_unchanged(there: &str) -> bool {
    super::who::of_header(Service::Sshd, there).is_some_and(|who| text(&who) == there)
}

/// What `sshd -T` says for one login, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings(Vec<String>);

impl Settings {
    /// From the program's own words.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().map(|line| line.trim().to_owned()).collect())
    }

    /// The value of that keyword, in small letters as sshd writes it.
    pub(super) fn value(&self, keyword: &str) -> Option<&str> {
        self.values(keyword).next()
    }

    /// The values of a keyword of which there may be more, a line each.
    pub(super) fn values(&self, keyword: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(move |line| line.strip_prefix(keyword)?.strip_prefix(' '))
    }

    /// Whether a code will be asked of that user from there; else what stands in the way.
    pub(super) fn asks(&self, (user, is_root): (&str, bool), origin: &Origin) -> Result<(), String> {
        let pam = self.value("usepam").unwrap_or("(nothing)");
        if pam != "yes" {
            return Err(format!(
                "sshd does not go by PAM (UsePAM {pam}), and so could ask for no code: write `UsePAM yes` into /etc/ssh/sshd_config, and see \
                 that everybody still gets in by it, before you run this again"
            ));
        }
        let expected = [("kbdinteractiveauthentication", "yes"), ("authenticationmethods", METHODS)];
        for (keyword, expected) in expected {
            let value = self.value(keyword).unwrap_or("(nothing)");
            if value != expected {
                return Err(format!(
                    "sshd would have {keyword} {value} for {user}{origin}, where {expected:?} is needed: a line of its configuration in front of \
                     authflow's says so (sshd takes the first one)"
                ));
            }
        }
        match self.value("permitrootlogin") {
            Some("yes") | None => Ok(()),
            Some(_) if !is_root => Ok(()),
            Some(other) => {
                Err(format!("sshd lets {user}, who is root, in by no method with a code (PermitRootLogin {other})"))
            }
        }
    }
}

/// What a running sshd was started with that goes before its configuration, from the title that it gives itself: another file, or an option
/// that decides what is asked. Of that `sshd -T` says nothing.
pub(super) fn started_with(title: &str) -> Option<String> {
    const DECIDING: [&str; 4] =
        ["usepam", "kbdinteractiveauthentication", "challengeresponseauthentication", "authenticationmethods"];
    let decides = |value: &str| {
        let keyword = value.split('=').next().unwrap_or_default().to_ascii_lowercase();
        DECIDING.contains(&keyword.as_str())
    };
    let file = || other_file(title).map(|file| format!("-f {file}"));
    let option = options(title).find(|(option, value)| *option == "-o" && decides(value));
    option.map(|(option, value)| format!("{option} {value}")).or_else(file)
}

/// The file that a running sshd goes by, from its title, where that is another one than the machine's own.
pub(super) fn other_file(title: &str) -> Option<&str> {
    let file = options(title).find(|(option, _)| *option == "-f");
    file.map(|(_, file)| file).filter(|file| *file != "/etc/ssh/sshd_config")
}

/// The words of a title that can be options, each with what follows: `-fFILE` and `-f FILE`.
fn options(title: &str) -> impl Iterator<Item = (&str, &str)> {
    let words = || title.split('[').next().unwrap_or_default().split_whitespace();
    words().zip(words().skip(1).chain([""])).filter_map(|(word, next)| {
        let (option, value) = (word.get(..2)?, word.get(2..)?);
        Some((option, if value.is_empty() { next } else { value }))
    })
}

/// The configuration with drop-ins from another folder, so that it can be tried. `None` if it includes none from ours.
pub(super) fn with_drop_ins_of(main: &str, folder: &std::path::Path) -> Option<String> {
    let is_match = |line: &&str| line.trim_start().to_ascii_lowercase().starts_with("match");
    let included = |line: &str| included_elsewhere(line, folder);
    let is_early = main.lines().take_while(|line| !is_match(line)).any(|line| included(line).is_some());
    is_early.then(|| {
        let row = |line: &str| included(line).unwrap_or_else(|| line.to_owned());
        main.lines().map(row).collect::<Vec<_>>().join("\n") + "\n"
    })
}

/// A line that includes drop-ins of our folder, by its whole name or by the one that it has beside sshd_config, told of the other folder.
fn included_elsewhere(line: &str, folder: &std::path::Path) -> Option<String> {
    let code = line.split('#').next().unwrap_or_default();
    let mut words = code.split([' ', '\t', '=']).filter(|word| !word.is_empty());
    words.next().filter(|word| word.eq_ignore_ascii_case("include"))?;
    let (whole, beside) = (format!("/{FOLDER}/"), format!("{}/", FOLDER.rsplit('/').next().unwrap_or(FOLDER)));
    let mut is_ours = false;
    let words = words.map(|word| {
        let word = word.trim_matches('"');
        match word.strip_prefix(&whole).or_else(|| word.strip_prefix(&beside)) {
            Some(name) => {
                is_ours = true;
                folder.join(name).display().to_string()
            }
            None => word.to_owned(),
        }
    });
    let words: Vec<String> = words.collect();
    is_ours.then(|| format!("Include {}", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_named_is_asked_otherwise() {
        let who = Who::Users(["alice", "bob"].map(str::to_owned).into());
        let text = text(&who);
        assert!(text.contains(
            "\nMatch User alice,bob\n    KbdInteractiveAuthentication yes\n    AuthenticationMethods publickey,"
        ));
        assert!(is_unchanged(&text) && !is_unchanged(&format!("{text}X11Forwarding no\n")));
        assert!(is_unchanged(&super::text(&Who::EverybodyButRoot)));
    }

    #[test]
    fn a_configuration_that_says_otherwise_first_is_told() {
        let right = format!(
            "usepam yes\nkbdinteractiveauthentication yes\nauthenticationmethods {METHODS}\npermitrootlogin without-password\n"
        );
        let settings = |text: &str| Settings::parse(text);
        assert_eq!(settings(&right).asks(("alice", false), &Origin::here()), Ok(()));
        for root in ["root", "toor"] {
            let why = settings(&right).asks((root, true), &Origin::here()).unwrap_err();
            assert!(why.contains(root) && why.contains("PermitRootLogin without-password"), "{why}");
        }
        let wrong = right.replace("usepam yes", "usepam no");
        assert!(settings(&wrong).asks(("alice", false), &Origin::here()).unwrap_err().contains("(UsePAM no)"));
        assert!(settings("").asks(("alice", false), &Origin::here()).is_err());
    }

    #[test]
    fn what_goes_before_the_configuration_is_seen_in_sshds_title() {
        let of = |arguments: &str| {
            started_with(&format!("sshd: /usr/sbin/sshd {arguments} [listener] 0 of 10-100 startups"))
        };
        for fine in ["-D", "-D -o ListenAddress=127.0.0.1 -p 2222", "-f /etc/ssh/sshd_config", "-D -e"] {
            assert_eq!(of(fine), None, "{fine}");
        }
        assert_eq!(of("-D -f /etc/ssh/other").as_deref(), Some("-f /etc/ssh/other"));
        assert_eq!(of("-f/etc/ssh/other -D").as_deref(), Some("-f /etc/ssh/other"));
        let title = "sshd: /usr/sbin/sshd -D -p 2222 -f /etc/ssh/sshd_config [listener] 0 of 10-100 startups";
        assert_eq!(other_file(title), None);
        assert_eq!(other_file(&title.replace("sshd_config", "other")), Some("/etc/ssh/other"));
        assert_eq!(of("-D -o UsePAM=no").as_deref(), Some("-o UsePAM=no"));
        assert_eq!(of("-oauthenticationmethods publickey").as_deref(), Some("-o authenticationmethods"));
    }

    #[test]
    fn a_copy_of_the_configuration_reads_its_drop_ins_elsewhere() {
        let folder = std::path::Path::new("/tmp/try");
        let tried = with_drop_ins_of("# x\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", folder).unwrap();
        assert_eq!(tried, "# x\nInclude /tmp/try/*.conf\nUsePAM yes\n");
        assert_eq!(with_drop_ins_of("UsePAM yes\n#Include /etc/ssh/sshd_config.d/*.conf\n", folder), None);
        for other in [
            "include sshd_config.d/*.conf # mine",
            "Include \"/etc/ssh/sshd_config.d/*.conf\"",
            "Include=sshd_config.d/*.conf",
        ] {
            assert_eq!(with_drop_ins_of(other, folder).as_deref(), Some("Include /tmp/try/*.conf\n"), "{other}");
        }
        let two = "Include other.conf /etc/ssh/sshd_config.d/*.conf\n";
        assert_eq!(with_drop_ins_of(two, folder).unwrap(), "Include other.conf /tmp/try/*.conf\n");
        assert_eq!(with_drop_ins_of("Include other.conf\n", folder), None);
        let late = "Match User x\nInclude /etc/ssh/sshd_config.d/*.conf\n";
        assert_eq!(with_drop_ins_of(late, folder), None, "only for some");
    }
}
