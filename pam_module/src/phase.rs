//! The entry points that do something, and what they have in common: read the line, run, log, answer.

use pam::constants::PamResultCode;

use crate::{
    account::account,
    args::Options,
    ask_new,
    authenticate::authenticate,
    code::{self, Answer},
    console,
    error::Error,
    event::Event,
    handle::{Handle, UserName},
    log::{Line, Priority},
    login::Place,
    notes::{FlowNote, Notes},
    notice, password, session,
};

/// The entry points that do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `pam_sm_authenticate`
    Authenticate,
    /// `pam_sm_acct_mgmt`
    Account,
    /// `pam_sm_open_session`
    OpenSession,
    /// `pam_sm_close_session`
    CloseSession,
    /// `pam_sm_chauthtok`, the first pass: may it be changed?
    CheckPassword,
    /// `pam_sm_chauthtok`, the second pass
    ChangePassword,
}

impl Phase {
    /// The word for it in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Account => "account",
            Self::OpenSession => "open-session",
            Self::CloseSession => "close-session",
            Self::CheckPassword => "check-password",
            Self::ChangePassword => "change-password",
        }
    }
}

/// Runs a phase with the arguments of the PAM line. The code is all that libpam learns.
pub fn run<'a, H: Handle>(
    phase: Phase,
    pam: &mut H,
    arguments: impl IntoIterator<Item = &'a [u8]>,
    place: &Place,
) -> PamResultCode {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(bad) => return refuse(phase, pam, &bad.into()),
    };
    let answer = match phase {
        Phase::Authenticate => authenticate(pam, &options, place),
        Phase::Account => account(pam, &options, place),
        Phase::OpenSession => session::open(pam, &options, place),
        Phase::CloseSession => session::close(pam, &options, place),
        Phase::CheckPassword => password::check(pam, &options, place),
        Phase::ChangePassword => password::change(pam, &options, place),
    };
    match answer {
        Ok(answer) => {
            if options.debug {
                pam.log(Priority::Debug, &line(Event::Answered, phase, pam).with("answer", format!("{answer:?}")));
            }
            code::of_answer(phase, answer)
        }
        Err(error) => match way_out(phase, pam, &options, &error) {
            Some(answer) => code::of_answer(phase, answer),
            None => refuse(phase, pam, &error),
        },
    }
}

/// What is left to root at a real console when our own files are unusable: where the PAM line says `breakglass` the other modules
/// decide, and a session opens in any case. Never after a wrong answer, never from elsewhere; and never by su and their like, which others than
/// root call: whoever is logged in at a console could hand its terminal to a su of theirs that they run from elsewhere.
fn way_out<H: Handle>(phase: Phase, pam: &mut H, options: &Options, error: &Error) -> Option<Answer> {
    let answer = match phase {
        Phase::Authenticate | Phase::Account if options.breakglass => Answer::NotOurs,
        Phase::OpenSession => Answer::Yes,
        Phase::Authenticate | Phase::Account | Phase::CloseSession | Phase::CheckPassword | Phase::ChangePassword => {
            return None;
        }
    };
    if !error.is_breakage() || !console::is_root_there(&pam.facts(), pam) {
        return None;
    }
    if phase == Phase::Authenticate {
        // The later phases may find our files in order, and must not ask for what no flow could prove.
        let user = pam.user().ok().map(|user| user.as_str().to_owned());
        let _they_decide_by_themselves = pam.keep(Notes { user, flow: FlowNote::BrokenGlass, ..pam.notes() });
    }
    pam.log(Priority::Alert, &line(Event::Breakglass, phase, pam).with("why", error));
    Some(answer)
}

fn refuse<H: Handle>(phase: Phase, pam: &mut H, error: &Error) -> PamResultCode {
    pam.log(error.priority(), &line(Event::Refused, phase, pam).with("reason", error));
    let text = match phase {
        Phase::OpenSession => Some(notice::refusal(error).to_owned()),
        Phase::CheckPassword | Phase::ChangePassword => Some(ask_new::refusal(error)),
        Phase::Authenticate | Phase::Account | Phase::CloseSession => None,
    };
    if let Some(text) = text.filter(|_| !pam.facts().is_silent) {
        pam.tell_refusal(&text);
    }
    code::of_error(phase, error)
}

fn line<H: Handle>(event: Event, phase: Phase, pam: &H) -> Line {
    let facts = pam.facts();
    Line::new(event)
        .with("phase", phase.as_str())
        .with("service", facts.service)
        .with_some("user", facts.user.as_ref().map(UserName::as_str))
        .with_some("rhost", facts.remote_host)
        .with_some("tty", facts.tty)
}
