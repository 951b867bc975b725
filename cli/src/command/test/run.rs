//! `authflow test --run`: the flow itself, at this terminal. It is a real attempt: failures count, at login as the console's and else as the
//! service's, and a code is used up. No session comes of it.

use authflow_core::{
    config::Config,
    factor::Factor,
    flow::{Manner, Prompt, Verdict},
    rule::Remote,
    secret::Secret,
};
use authflow_host::{
    accounts,
    clock::SystemClock,
    desk::{Attempt, Conversation, Decision, Desk, DeskError, Refused},
    process,
    records::Records,
};
use serde::Serialize;

use super::Case;
use crate::{context::Context, error::Error, output::text::clean, terminal::Terminal};

#[derive(Serialize)]
struct Report {
    granted: bool,
    reason: Option<String>,
    rule: Option<String>,
    factors: Vec<&'static str>,
    aal: Option<u8>,
}

/// Runs the flow and tells how it ended, and why.
pub(super) fn run(context: &Context, config: &Config, case: &Case) -> Result<(), Error> {
    context.require_root("only root may run a flow and learn why it was denied")?;
    let terminal = Terminal::open().map_err(|_no_tty| Error::NoTerminal("--run asks what a login would be asked"))?;
    let account = accounts::by_name(&case.user).map_err(DeskError::from)?;
    let attempt = Attempt {
        user: &case.user,
        account: account.as_ref(),
        service: &case.service,
        remote: case.remote,
        calling_uid: process::real_uid(),
        proved: case.proved.clone(),
        manner: Manner::default(),
        is_at_console: case.remote == Remote::Console,
    };
    let desk = Desk::new(config, Records::trusting(context.paths.clone(), context.trust()), &SystemClock);
    let verdict = match desk.run(&attempt, &mut Asking(&terminal))? {
        Decision::NotGoverned => {
            return Err(Error::Usage("other modules of the PAM stack decide here: there is no flow to run".to_owned()));
        }
        Decision::Judged(judged) => judged.verdict,
    };
    let report = match verdict {
        Verdict::Granted(receipt) => Report {
            granted: true,
            reason: None,
            rule: Some(receipt.rule().to_owned()),
            factors: receipt.factors().iter().map(Factor::as_str).collect(),
            aal: Some(receipt.factors().aal()),
        },
        Verdict::Denied(denial) => {
            Report { granted: false, reason: Some(denial.to_string()), rule: None, factors: Vec::new(), aal: None }
        }
    };
    context.output.either(&report, || report.text())?;
    if report.granted { Ok(()) } else { Err(Error::WouldBeDenied) }
}

/// Asks at the terminal what an application would ask.
struct Asking<'a>(&'a Terminal);

impl Conversation for Asking<'_> {
    fn ask(&mut self, prompt: Prompt) -> Result<Secret, Refused> {
        self.0.ask_hidden(prompt.text()).map_err(|_ended| Refused)
    }
}

impl Report {
    fn text(&self) -> String {
        match (&self.rule, &self.reason, self.aal) {
            (Some(rule), _, Some(aal)) => {
                format!("granted by rule {}: {} (AAL {aal})\n", clean(rule), self.factors.join("+"))
            }
            (_, reason, _) => format!("denied: {}\n", clean(reason.as_deref().unwrap_or_default())),
        }
    }
}
