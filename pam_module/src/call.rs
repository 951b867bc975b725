//! What the daemon can be asked. One type for all calls, so that the exchange of one is compiled once: the module is mapped into every
//! login.

use std::collections::HashMap;

use authflow_bus as bus;
use serde::{Serialize, Serializer};
use zbus::{DynamicType, Fd, Signature, Type, Variant};

/// A dictionary as it goes over the bus.
type Dict<'a> = HashMap<&'a str, Variant<'a>>;

/// A call, with its arguments.
#[derive(Debug)]
pub(crate) enum Call<'a> {
    /// Opens a session with these facts.
    OpenSession(Dict<'a>),
    /// Closes the session of that id.
    CloseSession(&'a str),
    /// Asks for the session that this process is in.
    Vouch,
    /// Begins a flow for a PAM service; `true` is for password and code in one field.
    BeginFlow(&'a str, bool),
    /// Answers the flow of that id.
    AnswerFlow(&'a str, Vec<Fd<'a>>),
}

impl Call<'_> {
    pub(crate) const fn interface(&self) -> &'static str {
        match self {
            Self::OpenSession(_) | Self::CloseSession(_) | Self::Vouch => bus::MANAGER_INTERFACE,
            Self::BeginFlow(..) | Self::AnswerFlow(..) => bus::FLOW_INTERFACE,
        }
    }

    pub(crate) const fn method(&self) -> &'static str {
        match self {
            Self::OpenSession(_) => "OpenSession",
            Self::CloseSession(_) => "CloseSession",
            Self::Vouch => "Vouch",
            Self::BeginFlow(..) => "Begin",
            Self::AnswerFlow(..) => "Answer",
        }
    }
}

/// The arguments.
impl Serialize for Call<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::OpenSession(facts) => facts.serialize(serializer),
            Self::CloseSession(id) => id.serialize(serializer),
            Self::Vouch => ().serialize(serializer),
            Self::BeginFlow(service, one_prompt) => (service, one_prompt).serialize(serializer),
            Self::AnswerFlow(flow, answers) => (flow, answers).serialize(serializer),
        }
    }
}

impl DynamicType for Call<'_> {
    fn signature(&self) -> Signature {
        match self {
            Self::OpenSession(_) => Dict::SIGNATURE.clone(),
            Self::CloseSession(_) => <&str>::SIGNATURE.clone(),
            Self::Vouch => <()>::SIGNATURE.clone(),
            Self::BeginFlow(..) => <(&str, bool)>::SIGNATURE.clone(),
            Self::AnswerFlow(..) => <(&str, Vec<Fd<'_>>)>::SIGNATURE.clone(),
        }
    }
}
