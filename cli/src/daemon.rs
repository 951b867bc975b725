//! Stub until the contract crate is there.
use crate::{error::Error, session::Session};
use authflow_core::config::Config;
pub(crate) struct Daemon;
pub(crate) struct Changes;
impl Changes {
    pub(crate) fn next(&mut self) -> Result<(), Error> {
        Ok(())
    }
}
impl Daemon {
    pub(crate) fn connect(config: &Config) -> Result<Self, Error> {
        Err(Error::Unreachable { address: config.bus_address.clone(), why: "stub".into() })
    }
    pub(crate) fn sessions(&self) -> Result<Vec<Session>, Error> {
        Ok(vec![])
    }
    pub(crate) fn session(&self, p: &str) -> Result<Session, Error> {
        Err(Error::NoSession(p.into()))
    }
    pub(crate) fn own_session(&self) -> Result<Session, Error> {
        Err(Error::InNoSession)
    }
    pub(crate) fn session_or_own(&self, id: Option<&str>) -> Result<Session, Error> {
        id.map_or_else(|| self.own_session(), |prefix| self.session(prefix))
    }
    pub(crate) fn extend(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }
    pub(crate) fn revoke(&self, _: &str, _: &str) -> Result<(), Error> {
        Ok(())
    }
    pub(crate) fn revoke_user(&self, _: u32, _: &[String], _: &str) -> Result<u32, Error> {
        Ok(0)
    }
    pub(crate) fn changes(&self) -> Result<Changes, Error> {
        Ok(Changes)
    }
}
