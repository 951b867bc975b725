//! A configuration that is refused because rules of setup's were written before its preset was chosen: what to do is told beside what is
//! wrong, where setup again mends it. Reads; changes nothing.

use std::path::Path;

use authflow_core::config::{Config, ConfigError, Text, key_offset, preset::weaker_than};
use authflow_host::config::{self, Files};

use super::{rules, service::Service, who::Who};
use crate::{
    context::Context,
    output::{note, text::clean},
};

/// The configuration that these files are; what is wrong with them, and what mends it.
pub(crate) fn parse(context: &Context, files: &Files) -> Result<Config, ConfigError> {
    files.parse().map_err(|error| {
        let has_last_good = context.paths.config_last_good().exists();
        // Setup is for a machine that runs.
        let advice = advice(files, context.paths.config(), has_last_good).filter(|_| !context.is_image());
        let message = advice.map_or_else(|| error.message.clone(), |advice| format!("{}; {advice}", error.message));
        ConfigError { message, ..error }
    })
}

/// Whether the configuration as it stands now is refused, as rules from before a preset was chosen are; then it is said, with what mends it.
pub(super) fn tell_if_refused(context: &Context) -> bool {
    let live = config::read_live(&context.paths, context.trust()).ok();
    let Some(why) = live.and_then(|live| parse(context, &live).err()) else { return false };
    note(&clean(&not_used(&why, context.paths.config_last_good().exists())));
    true
}

fn not_used(why: &ConfigError, has_last_good: bool) -> String {
    let meanwhile = if has_last_good { ", and the last good one goes on" } else { "" };
    format!("the configuration as it stands now is not used{meanwhile}: {why}")
}

/// The command of setup that writes the rule of that name, if it stands as setup wrote it.
pub(crate) fn command_for(files: &Files, rule: &str) -> Option<String> {
    files.texts().find_map(|file| {
        let _is_in_it = key_offset(file.text, Some(rule), "name")?;
        command(file)
    })
}

/// The command that mends it, where all that the preset refuses are rules of setup's: it writes those of other services anew, too.
fn mending(files: &Files) -> Option<String> {
    let config = files.parse_unjudged().ok()?;
    let weaker = weaker_than(config.preset?, &config);
    let refused = weaker.iter().filter(|weaker| weaker.reason.is_none());
    let commands: Option<Vec<String>> = refused.map(|weaker| command_for(files, weaker.rule.as_ref()?)).collect();
    commands?.into_iter().next()
}

fn command(file: Text<'_>) -> Option<String> {
    let is_of = |service: &Service| file.name.ends_with(&format!("/{}", rules::file_name(*service)));
    let service = Service::ALL.into_iter().find(is_of)?;
    let whom = match rules::unchanged(service, file.text)? {
        Who::EverybodyButRoot => Who::Everybody,
        who @ (Who::Users(_) | Who::Everybody) => who,
    };
    Some(format!("authflow setup {service} {whom}"))
}

/// Setup goes by the live file. Of another one it can only know once that is in its place, which shuts nobody out while there is a last
/// good configuration.
fn advice(files: &Files, live: &Path, has_last_good: bool) -> Option<String> {
    let anew = format!("`{}` writes these rules of setup's anew for the preset", mending(files)?);
    let is_live = files.texts().next().is_some_and(|main| Path::new(main.name) == live);
    let live = live.display();
    Some(match (is_live, has_last_good) {
        (true, _) => anew,
        (false, true) => {
            format!("{anew}, once the file is in the place of {live} (the last good configuration goes on meanwhile)")
        }
        (false, false) => format!(
            "{anew}, once the file is in the place of {live}; `authflow config apply {live}` first, so that there is a last good one that \
             goes on meanwhile"
        ),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{super::standard::Standard, *};

    /// What is advised on a machine with this configuration, or with it in another file, and with these drop-ins; what is wrong is another
    /// matter.
    fn told(main: &str, drop_ins: &[(&str, &str)], file: Option<&str>, has_last_good: bool) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        let context = Context::new(false, Some(root.path().to_owned()));
        let (paths, live) = (&context.paths, context.paths.config());
        fs::create_dir_all(paths.config_drop_ins()).unwrap();
        for (name, text) in drop_ins {
            fs::write(paths.config_drop_ins().join(name), text).unwrap();
        }
        let name = file.map_or_else(|| live.display().to_string(), str::to_owned);
        let files = config::candidate(paths, context.trust(), &name, main.to_owned()).unwrap();
        assert!(main.is_empty() || parse(&context, &files).unwrap_err().message.contains("weaker than cis asks"));
        advice(&files, live, has_last_good).map(|advice| advice.replace(&live.display().to_string(), "LIVE"))
    }

    fn plain(service: Service, who: &Who) -> String {
        rules::text(service, who, &Standard::default())
    }

    fn alice() -> Who {
        Who::Users(["alice".to_owned()].into())
    }

    const CIS: &str = "preset = 'cis'\n";

    #[test]
    fn whoever_chose_a_preset_after_a_setup_is_told_to_run_it_again() {
        let (sshd, sudo) = (plain(Service::Sshd, &Who::EverybodyButRoot), plain(Service::Sudo, &alice()));
        let both = [("50-setup-sshd.toml", sshd.as_str()), ("50-setup-sudo.toml", &sudo)];
        assert_eq!(told("", &both, None, true), None);
        let anew =
            |command: &str| format!("`authflow setup {command}` writes these rules of setup's anew for the preset");
        assert_eq!(told(CIS, &both, None, false), Some(anew("sshd --everybody")));
        assert_eq!(told(CIS, &both[1..], None, true), Some(anew("sudo --user alice")));
        let later = anew("sudo --user alice") + ", once the file is in the place of LIVE";
        let goes_on = " (the last good configuration goes on meanwhile)";
        assert_eq!(told(CIS, &both[1..], Some("new.toml"), true), Some(format!("{later}{goes_on}")));
        let without = told(CIS, &both[1..], Some("new.toml"), false).unwrap();
        assert!(without.starts_with(&format!("{later}; `authflow config apply LIVE` first")), "{without}");
    }

    #[test]
    fn what_setup_again_would_not_mend_is_not_said_to_be_mended() {
        let sudo = plain(Service::Sudo, &alice());
        let edited = format!("{sudo}# mine\n");
        let name = "50-setup-sudo.toml";
        let slow = format!("{CIS}[session]\nidle = '30m'\n");
        for (main, name, text) in [(CIS, name, &edited), (CIS, "60-mine.toml", &sudo), (&slow, name, &sudo)] {
            assert_eq!(told(main, &[(name, text)], None, true), None);
        }
    }
}
