//! What is done to a user's factors goes to the system's log, as what the module and the daemon do goes there.

use authflow_host::process;
use syslog::{Facility, Formatter3164};

pub(crate) use crate::event::Event;
use crate::{context::Context, output::text::clean};

/// Writes one line, with who did it: the uid that logged in, whatever sudo or su has made of it since. A line that cannot be written is
/// lost; the deed is done. An image has no log.
pub(crate) fn note(context: &Context, event: Event, fields: &[(&str, &str)]) {
    if context.is_image() {
        return;
    }
    let by = process::login_uid(std::process::id()).unwrap_or_else(|| context.caller());
    let fields = fields.iter().map(|(key, value)| format!(" {key}={:?}", clean(value))).collect::<String>();
    let formatter = Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "authflow".to_owned(),
        pid: std::process::id(),
    };
    if let Ok(mut log) = syslog::unix(formatter) {
        let _lost = log.notice(format!("event={}{fields} by={by}", event.as_str()));
    }
}
