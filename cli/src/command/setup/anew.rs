//! A configuration that is refused because rules of setup's were written before its preset was chosen: what to do is told beside what is
//! wrong, where setup again mends it. Reads; changes nothing.

use std::path::Path;

use authflow_core::config::{Config, ConfigError, Text, key_offset, preset::weaker_than};
use authflow_host::config::Files;

use super::{rules, service::Service, who::Who};
use crate::context::Context;

/// The configuration that these files are; what is wrong with them, and what mends it.
pub(crate) fn parse(context: &Context, files: &Files) -> Result<Config, ConfigError> {
    files.parse().map_err(|error| {
        let advice = mending(files).map(|command| advice(context, files, &command));
        let message = advice.map_or_else(|| error.message.clone(), |advice| format!("{}; {advice}", error.message));
        ConfigError { message, ..error }
    })
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
fn advice(context: &Context, files: &Files, command: &str) -> String {
    let live = context.paths.config();
    let is_live = files.texts().next().is_some_and(|main| Path::new(main.name) == live);
    let anew = format!("`{command}` writes these rules of setup's anew for the preset");
    let live = live.display();
    if is_live {
        anew
    } else if context.paths.config_last_good().exists() {
        format!("{anew}, once the file is in the place of {live} (the last good configuration goes on meanwhile)")
    } else {
        format!(
            "{anew}, once the file is in the place of {live}; `authflow config apply {live}` first, so that there is a last good one that goes \
             on meanwhile"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use authflow_host::config;

    use super::{super::standard::Standard, *};

    /// The advice beside what is wrong, on a machine with this configuration and these drop-ins.
    fn told(main: &str, drop_ins: &[(&str, &str)]) -> Option<String> {
        let root = tempfile::tempdir().unwrap();
        let context = Context::new(false, Some(root.path().to_owned()));
        fs::create_dir_all(context.paths.config_drop_ins()).unwrap();
        fs::write(context.paths.config(), main).unwrap();
        for (name, text) in drop_ins {
            fs::write(context.paths.config_drop_ins().join(name), text).unwrap();
        }
        let files = config::read_live(&context.paths, context.trust()).unwrap();
        parse(&context, &files).err().map(|error| error.message)
    }

    #[test]
    fn whoever_chose_a_preset_after_a_setup_is_told_to_run_it_again() {
        let people = Who::Users(["alice".to_owned()].into());
        let text = |service, who| rules::text(service, who, &Standard::default());
        let (sshd, sudo) = (text(Service::Sshd, &Who::EverybodyButRoot), text(Service::Sudo, &people));
        let both = [("50-setup-sshd.toml", sshd.as_str()), ("50-setup-sudo.toml", &sudo)];
        assert_eq!(told("", &both), None);
        let message = told("preset = 'cis'\n", &both).unwrap();
        assert!(message.contains("weaker than cis asks"), "{message}");
        assert!(
            message.ends_with("; `authflow setup sshd --everybody` writes these rules of setup's anew for the preset")
        );
        let message = told("preset = 'cis'\n", &both[1..]).unwrap();
        assert!(message.contains("; `authflow setup sudo --user alice` writes"), "{message}");
    }

    #[test]
    fn what_setup_again_would_not_mend_is_not_said_to_be_mended() {
        let sudo = rules::text(Service::Sudo, &Who::Users(["alice".to_owned()].into()), &Standard::default());
        let edited = format!("{sudo}# mine\n");
        let (name, main) = ("50-setup-sudo.toml", "preset = 'cis'\n");
        let slow = "preset = 'cis'\n[session]\nidle = '30m'\n";
        for (main, name, text) in [(main, name, &edited), (main, "60-mine.toml", &sudo), (slow, name, &sudo)] {
            let message = told(main, &[(name, text)]).unwrap();
            assert!(message.contains("weaker than cis") && !message.contains("authflow setup"), "{message}");
        }
    }
}
