//! The configuration's own files: whether they are there, can be trusted, and parse, and what is in force if not.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use authflow_core::config::Config;
use authflow_host::config::{self, Files, Unusable};

use super::{
    catalogue::Defect,
    finding::{Finding, Place},
    owner::{self, WRITABLE},
};
use crate::{command::setup, context::Context, pam_stack::Stacks};

/// What is in force, and what is wrong with it.
#[derive(Default)]
pub(super) struct InForce {
    /// The configuration; none where a broken one has no last good one beside it.
    pub config: Option<Config>,
    /// The files that it stands in, where they are the live ones.
    pub files: Option<Files>,
    /// What is wrong.
    pub found: Vec<Finding>,
}

/// Reads what is in force.
pub(super) fn read(context: &Context) -> InForce {
    let (paths, trust) = (&context.paths, context.trust());
    let live = config::read_live(paths, trust).and_then(|files| Ok((setup::anew::parse(context, &files)?, files)));
    let unusable = match live {
        Ok((config, files)) => {
            let mut found: Vec<_> =
                no_last_good(context, &config).or_else(|| not_applied(context, &files)).into_iter().collect();
            found.extend(unreadable(context, &files));
            return InForce { config: Some(config), files: Some(files), found };
        }
        Err(unusable) => unusable,
    };
    let last_good = config::load_trusting(paths, trust).ok().map(|loaded| loaded.config);
    let is_missing = matches!(&unusable, Unusable::File(error) if error.is_missing());
    let found = match (is_missing, last_good.is_some()) {
        _ if is_hidden(context, &unusable) => vec![hidden(context, &unusable)],
        (true, false) => missing(context).into_iter().collect(),
        (_, has_last_good) => vec![broken(context, &unusable, has_last_good)],
    };
    let config = last_good.or_else(|| is_missing.then(Config::default));
    InForce { config, files: None, found }
}

/// No configuration at all matters where somebody asks for it.
fn missing(context: &Context) -> Option<Finding> {
    let calling = calling(context)?;
    Some(Finding::new(
        Defect::ConfigMissing,
        Place::file(context.paths.config()),
        format!("it is not there, and the stack of {calling} calls authflow"),
        "put it back (an empty file governs nothing), or take our lines out of /etc/pam.d",
    ))
}

fn broken(context: &Context, unusable: &Unusable, has_last_good: bool) -> Finding {
    let (place, what) = slip(context, unusable);
    let in_force = if has_last_good {
        "the last good one is in force"
    } else {
        "there is no last good one that could be used, so nothing else was looked at"
    };
    let closing = match unusable {
        Unusable::File(error) => owner::trusting(error, context.trust(), WRITABLE),
        Unusable::Config(_) => None,
    };
    // With the drop-ins beside it: it is the main file that is applied, whichever is broken.
    let fix = closing.unwrap_or_else(|| format!("correct it, and then: {}", applying(context)));
    Finding::new(Defect::ConfigBroken, place, format!("{what} ({in_force})"), fix)
}

/// Where something is wrong, and what.
fn slip(context: &Context, unusable: &Unusable) -> (Place, String) {
    match unusable {
        Unusable::Config(error) => (Place::line(error.file.as_ref(), error.line), error.message.clone()),
        Unusable::File(error) => (Place::file(context.paths.config()), error.to_string()),
    }
}

/// A text that was to be in force, and cannot be used.
pub(super) fn unusable(context: &Context, why: &Unusable) -> Finding {
    let (place, what) = slip(context, why);
    Finding::new(Defect::ConfigBroken, place, what, "correct it")
}

/// Whether root would find what the caller may not read.
fn is_hidden(context: &Context, unusable: &Unusable) -> bool {
    !context.is_root() && matches!(unusable, Unusable::File(error) if error.is_denied())
}

fn hidden(context: &Context, why: &Unusable) -> Finding {
    let what = format!("{why}; what is said here goes by the last good configuration, if there is one");
    Finding::new(Defect::ConfigUnreadable, Place::file(context.paths.config()), what, "run it as root")
}

/// Files of the configuration that root alone reads.
fn unreadable(context: &Context, files: &Files) -> Option<Finding> {
    let closed =
        |path: &Path, needed: u32| path.metadata().is_ok_and(|meta| meta.permissions().mode() & needed != needed);
    let main = context.paths.config().parent().into_iter().map(Path::to_owned);
    let folders = main.chain([context.paths.config_drop_ins()]).filter(|folder| closed(folder, 0o005));
    let texts = files.texts().map(|text| PathBuf::from(text.name)).filter(|file| closed(file, 0o004));
    let paths: Vec<String> = folders.chain(texts).map(|path| path.display().to_string()).collect();
    let first = paths.first()?;
    Some(Finding::new(
        Defect::ConfigUnreadable,
        Place::file(Path::new(first)),
        format!("others than root cannot read {}", paths.join(", ")),
        format!("chmod o+rX {} (there are no secrets in it)", paths.join(" ")),
    ))
}

/// Rules that nothing stands behind. Until a setup is confirmed its rules are to go away, and then it writes one.
fn no_last_good(context: &Context, config: &Config) -> Option<Finding> {
    let is_there = config::read_last_good(&context.paths, context.trust()).is_ok();
    if is_there || config.rules.is_empty() || setup::waits(context) {
        return None;
    }
    let calling = calling(context)?;
    let file = context.paths.config();
    Some(Finding::new(
        Defect::ConfigNoLastGood,
        Place::file(file),
        format!(
            "there is no last good configuration beside it that could be used, and the stack of {calling} calls authflow"
        ),
        applying(context),
    ))
}

/// The command that makes the live configuration the one that stays.
fn applying(context: &Context) -> String {
    let root = context.paths.root().display();
    let of_image = if context.is_image() { format!("--root {root} ") } else { String::new() };
    format!("authflow {of_image}config apply {}", context.paths.config().display())
}

/// A service whose stack calls us.
fn calling(context: &Context) -> Option<String> {
    let stacks = Stacks::under(context.paths.root());
    stacks.names().into_iter().find(|name| stacks.of(name).is_some_and(|stack| stack.calls_us()))
}

/// A last good configuration that is not the live one. A setup that waits for its confirmation writes it then.
fn not_applied(context: &Context, files: &Files) -> Option<Finding> {
    let last_good = context.paths.config_last_good();
    let text = std::fs::read_to_string(&last_good).ok()?;
    (text != files.text() && !setup::waits(context)).then(|| {
        Finding::new(
            Defect::ConfigNotApplied,
            Place::file(&last_good),
            format!("it says something else than {}", context.paths.config().display()),
            format!("where the live one is right: {}", applying(context)),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::command::check::fixture::{TWO_FACTORS, told};

    #[test]
    fn what_root_alone_may_read_is_noted_and_is_not_called_broken() {
        let root = tempfile::tempdir().unwrap();
        let main = root.path().join("etc/authflow/authflow.toml");
        fs::create_dir_all(main.parent().unwrap()).unwrap();
        fs::write(&main, "").unwrap();
        let context = Context::new(false, Some(root.path().to_owned()));
        let found = || told(read(&context).found, &format!("{}/", root.path().display()));
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(main.parent().unwrap(), 0o755);
        set(&main, 0o644);
        assert_eq!(found(), Vec::<String>::new());
        set(&main, 0o640);
        assert_eq!(found(), ["config-unreadable etc/authflow/authflow.toml"]);
        set(main.parent().unwrap(), 0o750);
        assert_eq!(found(), ["config-unreadable etc/authflow"]);
    }

    #[test]
    fn rules_without_a_last_good_one_are_told_where_a_stack_comes_to_them() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let context = Context::new(false, Some(root.path().to_owned()));
        let found = || told(read(&context).found, &format!("{}/", root.path().display()));
        const MAIN: &str = "etc/authflow/authflow.toml";
        write(MAIN, TWO_FACTORS);
        assert_eq!(found(), Vec::<String>::new(), "no stack calls us");
        write("etc/pam.d/sshd", "auth required pam_authflow.so\n");
        assert_eq!(found(), [format!("config-no-last-good {MAIN}")]);
        write(MAIN, "");
        assert_eq!(found(), Vec::<String>::new(), "nothing is governed, as a package installs it");
        write(MAIN, TWO_FACTORS);
        write(&format!("{MAIN}.last-good"), TWO_FACTORS);
        assert_eq!(found(), Vec::<String>::new());
        write("var/lib/authflow/setup/pending", r#"{"name":"x","until":{"secs":1,"nanos":0},"live":null}"#);
        fs::remove_file(root.path().join(format!("{MAIN}.last-good"))).unwrap();
        assert_eq!(found(), Vec::<String>::new(), "a setup waits");
        write(&format!("{MAIN}.last-good"), "");
        assert_eq!(found(), Vec::<String>::new(), "and writes the last good one when it is confirmed");
        fs::remove_file(root.path().join("var/lib/authflow/setup/pending")).unwrap();
        assert_eq!(found(), [format!("config-not-applied {MAIN}.last-good")]);
    }
}
