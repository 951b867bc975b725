//! What polkit says about other users' sessions. The subject is the caller's name on the bus, never its pid, which another process may
//! have by the time polkit looks.

use std::{collections::HashMap, time::Duration};

use authflow_bus::MANAGE_ACTION;
use zbus::{Connection, Variant, message::Header};

use super::caller::Caller;

/// Long enough for somebody to type a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether polkit lets the caller manage other users' sessions. Without polkit nobody but root may.
pub(crate) async fn may_manage(connection: &Connection, header: &Header<'_>, caller: &Caller) -> bool {
    let subject = ("system-bus-name", HashMap::from([("name", Variant::from(caller.name.as_str()))]));
    let is_interactive = header.primary().flags().contains(zbus::message::Flags::ALLOW_INTERACTIVE_AUTH);
    let details: HashMap<&str, &str> = HashMap::new();
    let body = (subject, MANAGE_ACTION, details, u32::from(is_interactive), "");
    let call = connection.call_method(
        Some("org.freedesktop.PolicyKit1"),
        "/org/freedesktop/PolicyKit1/Authority",
        Some("org.freedesktop.PolicyKit1.Authority"),
        "CheckAuthorization",
        &body,
    );
    let Ok(Ok(reply)) = tokio::time::timeout(PATIENCE, call).await else { return false };
    let answer = reply.body().deserialize::<(bool, bool, HashMap<String, String>)>();
    answer.is_ok_and(|(is_authorized, _, _)| is_authorized)
}
