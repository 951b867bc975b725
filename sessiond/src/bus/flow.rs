//! `org.authflow.sessiond1.Flow`: flows for whoever cannot read the records. Answers come in sealed memory files, never in a message.

use std::{collections::BTreeSet, os::fd, sync::Arc};

use authflow_bus::Error;
use authflow_core::{
    flow::Manner,
    stand_in::{CodeDigest, SET_SIZE},
};
use authflow_host::sealed;
use zbus::{Connection, OwnedFd, message::Header};

use super::caller::{Caller, Callers};
use crate::{
    bounded::identify,
    flow::{Flows, Owner, Wish},
};

/// The longest name of a PAM service.
const LONGEST_SERVICE: usize = 64;

/// The object of flows; it stands at the manager's path.
pub(crate) struct FlowObject {
    flows: Flows,
    callers: Arc<Callers>,
}

impl FlowObject {
    pub(super) const fn new(flows: Flows, callers: Arc<Callers>) -> Self {
        Self { flows, callers }
    }
}

#[zbus::interface(name = "org.authflow.sessiond1.Flow")]
impl FlowObject {
    /// Begins a flow of the caller's own user, for a PAM service or, if that is empty, for the session that the caller is in. Gives its id and the prompts.
    async fn begin(
        &self,
        service: &str,
        one_prompt: bool,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(String, Vec<String>), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let service = service_of(service)?;
        let begun = self.flows.begin(owner(&caller)?, service, Manner { one_prompt }).await?;
        Ok((begun.flow, begun.prompts))
    }

    /// Begins the flow that must come before adding an authenticator: by one that is there, or for the first one by the password alone.
    async fn begin_enrolment(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(String, Vec<String>), Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let begun = self.flows.begin_enrolment(owner(&caller)?).await?;
        Ok((begun.flow, begun.prompts))
    }

    /// Answers all prompts at once, each in a sealed memory file. Gives the session that was renewed, or nothing.
    async fn answer(
        &self,
        flow: &str,
        answers: Vec<OwnedFd>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<String, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let secrets =
            answers.into_iter().map(|answer| sealed::unseal(fd::OwnedFd::from(answer))).collect::<Result<_, _>>();
        let secrets = secrets.map_err(|why| Error::InvalidArgument(format!("an answer: {why}")))?;
        let renewed = self.flows.answer((owner(&caller)?, &caller.name), flow, secrets).await?;
        Ok(renewed.map(|id| id.to_string()).unwrap_or_default())
    }

    /// Adds an authenticator of the caller's own, after a flow that proved what must be.
    async fn add_totp(
        &self,
        name: &str,
        secret_and_code: (OwnedFd, OwnedFd),
        recovery: Vec<String>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<bool, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        let unseal = |file| {
            sealed::unseal(fd::OwnedFd::from(file)).map_err(|why| Error::InvalidArgument(format!("a secret: {why}")))
        };
        let (secret, code) = (unseal(secret_and_code.0)?, unseal(secret_and_code.1)?);
        let wish = Wish { name: name.to_owned(), secret, code, recovery: digests(&recovery)? };
        self.flows.add_totp((owner(&caller)?, &caller.name), wish).await
    }

    /// Removes an authenticator of the caller's own, after a flow that proved what must be.
    async fn remove_factor(
        &self,
        name: &str,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<bool, Error> {
        let caller = self.callers.identify(&header, connection).await?;
        self.flows.remove_factor((owner(&caller)?, &caller.name), name).await
    }
}

/// A PAM service, or `None` for the caller's session. A name beyond what stands in `/etc/pam.d` is not looked up at all.
fn service_of(name: &str) -> Result<Option<&str>, Error> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@');
    if name.len() > LONGEST_SERVICE || !name.bytes().all(is_good) {
        return Err(Error::InvalidArgument("expected the name of a PAM service".to_owned()));
    }
    Ok(Some(name).filter(|name| !name.is_empty()))
}

/// The digests of one whole set of recovery codes, or none.
fn digests(words: &[String]) -> Result<BTreeSet<CodeDigest>, Error> {
    if !words.is_empty() && words.len() != SET_SIZE {
        return Err(Error::InvalidArgument(format!("recovery codes: expected none or {SET_SIZE}")));
    }
    let digests: Result<BTreeSet<_>, _> = words.iter().map(|word| word.parse()).collect();
    let is_set = |digests: &BTreeSet<_>| digests.is_empty() || digests.len() == SET_SIZE;
    let wrong = || Error::InvalidArgument(format!("recovery codes: expected none or the digests of {SET_SIZE}"));
    digests.ok().filter(is_set).ok_or_else(wrong)
}

fn owner(caller: &Caller) -> Result<Owner, Error> {
    let gone = |_| Error::InvalidArgument("the caller is gone".to_owned());
    Ok(Owner { uid: caller.uid, process: identify(caller.pid).map_err(gone)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_name_a_pam_service_is_looked_up() {
        assert_eq!(service_of("swaylock").unwrap(), Some("swaylock"));
        assert_eq!(service_of("").unwrap(), None);
        for bad in ["a b", "../x", "a\n", "é", &"x".repeat(65)] {
            assert!(service_of(bad).is_err(), "{bad:?}");
        }
    }
}
