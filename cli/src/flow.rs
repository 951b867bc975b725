//! A flow that the daemon runs, for the caller's own user: what to ask, and the answers, each in a sealed memory file; and what the caller
//! may change of its authenticators after that.

use std::{os::fd::AsFd, time::Duration};

use authflow_bus::{self as bus, proxy::FlowProxy};
use authflow_core::{flow::Prompt, secret::Secret, stand_in::RecoverySet, totp::TotpKey};
use authflow_host::sealed;
use zbus::Fd;

use crate::{daemon::Daemon, error::Error};

/// How long a judgement may take: it may wait for its turn, and hashes.
const JUDGING: Duration = Duration::from_secs(10);

/// A flow whose answers the daemon waits for.
#[derive(Debug)]
pub(crate) struct Begun {
    flow: String,
    /// What to ask.
    pub(crate) prompts: Vec<Prompt>,
}

impl Daemon {
    /// Begins the flow that renews the session which the caller is in.
    pub(crate) fn begin_renewal(&self) -> Result<Begun, Error> {
        match self.begin_flow("") {
            Err(Error::NoSession(_)) => Err(Error::InNoSession),
            begun => begun,
        }
    }

    /// Begins a flow by the rules for that PAM service.
    pub(crate) fn begin_flow(&self, service: &str) -> Result<Begun, Error> {
        begun(self.call(async { FlowProxy::new(self.connection()).await?.begin(service, false).await })?)
    }

    /// Begins the flow after which an authenticator may be enrolled.
    pub(crate) fn begin_enrolment(&self) -> Result<Begun, Error> {
        begun(self.call(async { FlowProxy::new(self.connection()).await?.begin_enrolment().await })?)
    }

    /// Gives the answers to all prompts. Tells the id of the session that was renewed, if one was.
    pub(crate) fn answer(&self, begun: &Begun, answers: &[Secret]) -> Result<Option<String>, Error> {
        let sealed = answers.iter().map(sealed::seal).collect::<Result<Vec<_>, _>>()?;
        let descriptors: Vec<Fd<'_>> = sealed.iter().map(|answer| Fd::from(answer.as_fd())).collect();
        let renewed = self.call_within(JUDGING, async {
            let flow: FlowProxy<'_> = FlowProxy::new(self.connection()).await.map_err(bus::Error::ZBus)?;
            flow.answer(&begun.flow, descriptors).await
        })?;
        Ok(Some(renewed).filter(|id| !id.is_empty()))
    }

    /// Adds an authenticator to the caller's own user, confirmed by that code. Tells whether the recovery codes were taken.
    pub(crate) fn add_totp(&self, key: &TotpKey, code: &Secret, recovery: &RecoverySet) -> Result<bool, Error> {
        let (secret, code) = (sealed::seal(key.secret())?, sealed::seal(code)?);
        let digests: Vec<String> = recovery.codes.iter().map(ToString::to_string).collect();
        self.call_within(JUDGING, async {
            let flow: FlowProxy<'_> = FlowProxy::new(self.connection()).await.map_err(bus::Error::ZBus)?;
            flow.add_totp(key.name(), (Fd::from(secret.as_fd()), Fd::from(code.as_fd())), &digests).await
        })
    }

    /// Takes an authenticator of the caller's own user away. Tells whether it was there.
    pub(crate) fn remove_factor(&self, name: &str) -> Result<bool, Error> {
        self.call_within(JUDGING, async {
            let flow: FlowProxy<'_> = FlowProxy::new(self.connection()).await.map_err(bus::Error::ZBus)?;
            flow.remove_factor(name).await
        })
    }
}

fn begun((flow, words): (String, Vec<String>)) -> Result<Begun, Error> {
    let prompts = words.iter().map(|word| word.parse()).collect::<Result<_, _>>();
    let prompts = prompts.map_err(|error| Error::failed("what the daemon asks", &error))?;
    Ok(Begun { flow, prompts })
}
