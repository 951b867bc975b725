//! Asking ahead: a first line of ours (`ask`) puts all the questions and decides nothing; a module between verifies the password that it
//! finds in PAM; a second line of ours (`proved=password`) takes the code from here. So a wrong password shows after the code like any
//! wrong answer, and uses none up.

use authflow_core::{
    flow::{Denial, Manner, Prompt, password_in},
    secret::Secret,
};
use authflow_host::{
    accounts,
    desk::{Attempt, Conversation as _, DeskError},
    process,
};

use crate::{
    account::Closed,
    args::{FirstPass, Options},
    code::Answer,
    console,
    conversation::Questions,
    error::Error,
    handle::{Handle, UserName},
    login::Login,
    notes::{Ahead, Notes},
};

/// Asks what the flow will need, and keeps it for the lines behind.
///
/// # Errors
/// The conversation ended, the password is empty, or it cannot be told what to ask.
pub fn ask<H: Handle>(login: &mut Login<'_, H>, user: &UserName, options: &Options) -> Result<Answer, Error> {
    // Who cannot be looked up is asked like a stranger here, and denied by the line behind.
    let account = accounts::by_name(user.as_str()).unwrap_or_default();
    let attempt = Attempt {
        user: user.as_str(),
        account: account.as_ref(),
        service: &login.facts.service,
        remote: login.remote(),
        calling_uid: process::real_uid(),
        proved: login.proved_by_sshd(),
        manner: Manner { one_prompt: options.one_prompt },
        is_at_console: console::is_login_there(&login.facts),
    };
    let Some(prompts) = login.desk().prompts(&attempt)? else { return Ok(Answer::NotOurs) };
    let closed = Closed::look(user.as_str(), account.as_ref())?;
    let mut ahead = Ahead { user: user.as_str().to_owned(), closed, code: Secret::default() };
    let mut password = None;
    for prompt in prompts {
        let answer = Questions::new(&mut *login.pam, FirstPass::Ask).ask(prompt).map_err(DeskError::from)?;
        match prompt {
            Prompt::Password => password = Some(answer),
            Prompt::Code => ahead.code = answer,
            Prompt::PasswordAndCode => {
                let (front, code) = split(login, user, &answer)?;
                (password, ahead.code) = (Some(front), code);
            }
        }
    }
    if let Some(password) = password {
        // A module behind us may take an empty password for one, where the account has none.
        if password.is_empty() {
            return Err(Denial::WrongPassword.into());
        }
        if password.matches(&ahead.code) {
            // sshd's `password` method has one string for every question.
            ahead.code = Secret::default();
        }
        login.pam.set_password(&password);
    }
    // What is noted of the flow stays "denied": were the line behind missing, the account phase would refuse.
    let notes = login.pam.notes();
    login.pam.keep(Notes { ahead: Some(ahead), ..notes })?;
    Ok(Answer::Asked)
}

/// The password and the code behind it.
fn split<H: Handle>(login: &Login<'_, H>, user: &UserName, both: &Secret) -> Result<(Secret, Secret), Error> {
    let keys = login.records().authenticators(user.as_str())?.unwrap_or_default();
    let password = password_in(both, &keys);
    let code = both.expose().get(password.expose().len()..).unwrap_or_default();
    let code = Secret::new(code.to_vec());
    Ok((password, code))
}
