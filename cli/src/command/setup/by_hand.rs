//! What is told to everybody when a setup cannot be taken back by itself: nobody may be able to log in then but at the console, and whoever
//! sits there has to learn what to do.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
};

use authflow_host::file;

use super::{ledger::Ledger, programs, rollback};
use crate::{context::Context, error::Error, journal, output::text::clean};

/// For whom it was told since the machine was started; the next tries are silent.
const TOLD: &str = "setup-not-rolled-back";

/// Tells the log, the console and every terminal, once a boot for each setup.
pub(super) fn cry(context: &Context, ledger: &Ledger, why: &Error) {
    let setup = rollback::waiting(ledger).ok().flatten().map(|setup| setup.name);
    let name = setup.as_deref().unwrap_or("unknown");
    let mark = context.paths.run().join(TOLD);
    if fs::read_to_string(&mark).is_ok_and(|told| told == name) {
        return;
    }
    let text = words(ledger, setup.as_deref(), &why.to_string());
    let reason = why.to_string();
    journal::alert(context, journal::Event::SetupNotRolledBack, &[("setup", name), ("reason", &reason)]);
    let _none_there = to_console(&text);
    let _nobody_there = programs::agrees(&["wall", &text]);
    let run = file::ensure_folder(&context.paths.run(), 0o755);
    let _told_again = run.map(|()| fs::write(&mark, name));
}

/// What went wrong, and where whoever reads it finds the files as they were.
fn words(ledger: &Ledger, setup: Option<&str>, why: &str) -> String {
    let copies = setup.map_or_else(|| ledger.folder_of("*").join("before"), |name| ledger.copies_of(name));
    clean(&format!(
        "authflow: a setup that was not confirmed could NOT be rolled back ({why}). It is tried again. By hand: the files as they were are \
         under {}, those that are not there were new; then reload sshd",
        copies.display()
    ))
}

/// A console that takes nothing must not hold up a boot.
fn to_console(text: &str) -> std::io::Result<()> {
    let flags = nix::libc::O_NOCTTY | nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let mut console = OpenOptions::new().write(true).custom_flags(flags).open("/dev/console")?;
    console.write_all(format!("\r\n{text}\r\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use authflow_host::file::Trust;

    use super::*;

    #[test]
    fn whoever_reads_it_finds_the_copies() {
        let ledger = Ledger::new("/var/lib/authflow/setup".into(), Trust::root());
        let told = words(&ledger, Some("2026-11-28T163700Z"), "/etc/pam.d/sshd: read-only\x1b[2J");
        assert!(told.contains("/var/lib/authflow/setup/2026-11-28T163700Z/before, "), "{told}");
        assert!(told.contains("read-only") && !told.contains('\x1b'), "{told}");
        assert!(words(&ledger, None, "x").contains("/var/lib/authflow/setup/*/before, "));
    }
}
