//! What is done to a user's factors goes to the system's log, as what the module and the daemon do goes there.

use authflow_core::outside::add_field;
use authflow_host::process;
use syslog::{Facility, Formatter3164, Logger, LoggerBackend};

use crate::context::Context;
pub(crate) use crate::event::Event;

/// Who does it: the uid that logged in, whatever sudo or su has made of it since.
pub(crate) fn doer(context: &Context) -> u32 {
    process::login_uid(std::process::id()).unwrap_or_else(|| context.caller())
}

/// Writes one line, with who did it. A line that cannot be written is
/// lost; the deed is done. An image has no log.
pub(crate) fn note(context: &Context, event: Event, fields: &[(&str, &str)]) {
    write(context, event, fields, |log, line| log.notice(line));
}

/// The same for what keeps people out until somebody does something.
pub(crate) fn alert(context: &Context, event: Event, fields: &[(&str, &str)]) {
    write(context, event, fields, |log, line| log.alert(line));
}

fn write(
    context: &Context,
    event: Event,
    fields: &[(&str, &str)],
    send: impl FnOnce(&mut Logger<LoggerBackend, Formatter3164>, String) -> syslog::Result<()>,
) {
    if context.is_image() {
        return;
    }
    let by = doer(context);
    let mut line = format!("event={}", event.as_str());
    fields.iter().for_each(|(key, value)| add_field(&mut line, key, value));
    add_field(&mut line, "by", &by.to_string());
    let formatter = Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "authflow".to_owned(),
        pid: std::process::id(),
    };
    if let Ok(mut log) = syslog::unix(formatter) {
        let _lost = send(&mut log, line);
    }
}
