//! What a granted flow hands to the account and session phases.

use std::{fmt, time::Duration};

use crate::{
    factor::Factors,
    rule::{Remote, SessionPolicy},
    stand_in::StandIn,
    state::Failures,
    throttle::{Source, Success},
    time::WallTime,
};

/// How long a receipt may wait to be used.
pub const RECEIPT_LIFE: Duration = Duration::from_secs(300);

/// A flow's name in logs: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowId([u8; 16]);

impl FlowId {
    /// An id of these bits, which the caller drew at random.
    #[must_use]
    pub const fn new(random: [u8; 16]) -> Self {
        Self(random)
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FlowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowId({self})")
    }
}

/// The proof that a flow was granted. Only this module's parent can make one, and only after its state is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) flow: FlowId,
    pub(super) user: String,
    pub(super) uid: u32,
    pub(super) service: String,
    pub(super) remote: Remote,
    pub(super) factors: Factors,
    pub(super) granted_at: WallTime,
    pub(super) rule: String,
    pub(super) session: SessionPolicy,
    pub(super) previous: Option<(WallTime, Source)>,
    pub(super) failures: Failures,
    pub(super) is_new_source: bool,
    pub(super) stand_in: Option<StandIn>,
    pub(super) enrolment: Enrolment,
    pub(super) unsettled: Option<Success>,
}

/// What the flow had to do with enrolling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enrolment {
    /// Nothing.
    #[default]
    NotAsked,
    /// The user enrolled an authenticator.
    Done,
    /// The user has none, and the rule gave leave to put it off: `totp` was not proved.
    PutOff,
}

impl Receipt {
    /// The flow that granted it.
    #[must_use]
    pub const fn flow(&self) -> FlowId {
        self.flow
    }

    /// Who authenticated.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// That user's uid at the time.
    #[must_use]
    pub const fn uid(&self) -> u32 {
        self.uid
    }

    /// The PAM service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Where from.
    #[must_use]
    pub const fn remote(&self) -> Remote {
        self.remote
    }

    /// All that was proved.
    #[must_use]
    pub const fn factors(&self) -> &Factors {
        &self.factors
    }

    /// When it was granted.
    #[must_use]
    pub const fn granted_at(&self) -> WallTime {
        self.granted_at
    }

    /// The rule that granted it.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What that rule grants.
    #[must_use]
    pub const fn session(&self) -> &SessionPolicy {
        &self.session
    }

    /// When and from where the user last succeeded before this, for the notice.
    #[must_use]
    pub const fn previous(&self) -> Option<&(WallTime, Source)> {
        self.previous.as_ref()
    }

    /// The failed attempts between that success and this.
    #[must_use]
    pub const fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Whether the user succeeded before, and never from here.
    #[must_use]
    pub const fn is_new_source(&self) -> bool {
        self.is_new_source
    }

    /// What stood in for a code of the authenticator.
    #[must_use]
    pub const fn stand_in(&self) -> Option<&StandIn> {
        self.stand_in.as_ref()
    }

    /// The success that the throttle has not counted, since it rests on another module's word for the password. That module may be one
    /// that fails later, and the stack with it.
    #[must_use]
    pub const fn unsettled(&self) -> Option<&Success> {
        self.unsettled.as_ref()
    }

    /// What the flow had to do with enrolling.
    #[must_use]
    pub const fn enrolment(&self) -> Enrolment {
        self.enrolment
    }
}
