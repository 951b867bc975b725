//! The part of a flow that enrols an authenticator: shows it, takes the code that confirms it, shows the recovery codes. A person takes
//! minutes for that, so nothing is locked and nothing is written here.

use authflow_core::{
    flow::{Concluded, Confirmation, Denial, Enrolling, page},
    secret::Secret,
    time::Clock,
    totp::TotpKey,
};
use zeroize::Zeroizing;

use crate::{
    codes,
    desk::{DeskError, Screen},
    random,
};

/// What the first authenticator is called.
const NAME: &str = "totp";

/// 160 bits, as RFC 4226 section 4 (R6) recommends.
const SECRET_BYTES: usize = 20;

/// What an enrolment needs to know.
pub(crate) struct Setting<'a> {
    /// What an authenticator app shows above the code.
    pub(crate) issuer: &'a str,
    /// The user's name.
    pub(crate) user: &'a str,
    /// Steps accepted on each side of now.
    pub(crate) skew: u8,
    /// The clock.
    pub(crate) clock: &'a dyn Clock,
}

/// Leads a person through it. What comes of it has yet to be judged and written.
pub(crate) fn ask(
    enrolling: Enrolling,
    setting: &Setting<'_>,
    screen: &mut dyn Screen,
) -> Result<Result<Concluded, Denial>, DeskError> {
    let key = fresh_key(setting)?;
    let account = account(setting.user);
    let mut page = page::with_qr_code(&key, (setting.issuer, &account), enrolling.leave(), screen.background());
    let mut confirm = enrolling.with(key);
    loop {
        let answer = screen.ask(&page)?;
        match confirm.answer(&answer, (setting.skew, setting.clock.now().wall)) {
            Confirmation::Again(again) => {
                page = Zeroizing::new(page::again(again.leave()));
                confirm = *again;
            }
            Confirmation::Concluded(concluded) => return with_recovery_codes(*concluded, setting, screen).map(Ok),
            Confirmation::Denied(denial) => return Ok(Err(denial)),
        }
    }
}

/// Shows recovery codes where they belong to it, and waits for Enter.
fn with_recovery_codes(
    concluded: Concluded,
    setting: &Setting<'_>,
    screen: &mut dyn Screen,
) -> Result<Concluded, DeskError> {
    if !concluded.wants_recovery_codes() {
        return Ok(concluded);
    }
    let (codes, set) = codes::fresh_set(setting.clock.now().wall)?;
    let page = Zeroizing::new(format!("{}Press Enter when they are safe: ", *codes::page(&codes)));
    let _whatever_was_typed = screen.ask(&page)?;
    Ok(concluded.with_recovery_codes(set))
}

fn fresh_key(setting: &Setting<'_>) -> Result<TotpKey, DeskError> {
    let bytes = Zeroizing::new(random::bytes::<SECRET_BYTES>()?);
    let key = TotpKey::new(NAME, Secret::new(bytes.to_vec()), setting.clock.now().wall);
    key.map_err(|bad| DeskError::Kernel(std::io::Error::other(bad)))
}

/// What the app shows below the issuer: the user, and on which machine.
fn account(user: &str) -> String {
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    host.map_or_else(|| user.to_owned(), |host| format!("{user}@{host}"))
}
