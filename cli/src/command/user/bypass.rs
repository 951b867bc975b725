//! `authflow user bypass USER --for 2h --reason TEXT`: a one-time code in place of the authenticator's, for the phone lost at three in
//! the morning. It has an end and a reason, the user is told of it, and `--cancel` withdraws it.

use std::time::Duration;

use authflow_core::{
    news::{Event, Item},
    stand_in::{self, LONGEST_BYPASS},
    time::WallTime,
};
use serde::Serialize;
use zeroize::Zeroizing;

use authflow_host::codes;

use crate::{context::Context, error::Error, journal, output::text::clean, subject::Subject};

/// clap's own line leaves out what is asked for unless something else is.
const USAGE: &str =
    "authflow user bypass --for <DURATION> --reason <TEXT> <USER>\n       authflow user bypass --cancel <USER>";

#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Bypass {
    /// The user
    user: String,
    /// How long the code is good, as 2h; at most 7 days
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration, required_unless_present = "cancel")]
    lifetime: Option<Duration>,
    /// Why: it is logged, and the user reads it
    #[arg(long, value_name = "TEXT", required_unless_present = "cancel")]
    reason: Option<String>,
    /// Withdraw the code that was issued
    #[arg(long, conflicts_with_all = ["lifetime", "reason"])]
    cancel: bool,
}

#[derive(Serialize)]
struct Issued<'a> {
    changed: bool,
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    good_until: Option<String>,
}

impl Bypass {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        let subject = context.subject(Some(&self.user))?;
        match (self.lifetime, self.reason) {
            (Some(lifetime), Some(reason)) => issue(context, &subject, (lifetime, reason)),
            (None, _) | (_, None) => cancel(context, &subject),
        }
    }
}

fn issue(context: &Context, subject: &Subject, (lifetime, reason): (Duration, String)) -> Result<(), Error> {
    if lifetime.is_zero() || lifetime > LONGEST_BYPASS {
        return Err(Error::Usage("--for: expected a duration of at most 7 days, like 2h".to_owned()));
    }
    if reason.trim().is_empty() || reason.len() > 200 || reason.chars().any(char::is_control) {
        return Err(Error::Usage("--reason: expected printable text of at most 200 bytes".to_owned()));
    }
    let (code, digest) = codes::fresh()?;
    let issued = context.now();
    let until = issued.saturating_add(lifetime);
    subject.change_state(|state| {
        let item = Item { at: issued, event: Event::BypassIssued, from: None, detail: reason.clone() };
        state.news.push(item);
        state.bypass = Some(stand_in::Bypass { code: digest, issued, until, reason: reason.clone() });
    })?;
    journal::note(
        context,
        journal::Event::BypassIssued,
        &[("user", subject.name()), ("until", &until.to_string()), ("reason", &reason)],
    );
    let local = context.local();
    let report =
        Issued { changed: true, user: subject.name(), code: Some(&code), good_until: Some(local.rfc3339(until)) };
    Ok(context.output.either(&report, || text(&code, subject, (until, context)))?)
}

fn text(code: &Zeroizing<String>, subject: &Subject, (until, context): (WallTime, &Context)) -> String {
    let (user, until) = (clean(subject.name()), context.local().ahead(until));
    format!(
        "{}\n{user} types this once in place of a verification code, until {until}. It is not shown again.\n",
        code.as_str()
    )
}

fn cancel(context: &Context, subject: &Subject) -> Result<(), Error> {
    let changed = subject.change_state(|state| state.bypass.take().is_some())?;
    if changed {
        journal::note(context, journal::Event::BypassCancelled, &[("user", subject.name())]);
    }
    let report = Issued { changed, user: subject.name(), code: None, good_until: None };
    Ok(context.output.either(&report, || {
        let user = clean(subject.name());
        if changed {
            format!("{user} has no bypass code any more\n")
        } else {
            format!("{user} had none: nothing changed\n")
        }
    })?)
}
