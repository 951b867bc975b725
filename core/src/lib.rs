//! The rules of authflow, and nothing else: synchronous functions of state, input and a clock that is passed in.
//!
//! # Layout
//!
//! - [`factor`]: what can be proved, and the assurance level that follows
//! - [`password`], [`password_rules`]: hashes of passwords, and what a new one must be
//! - [`enrolment`], [`first_authenticator`]: enrolling within a login, and by the password alone outside of one; [`otpauth`] and [`qr`]: how a phone learns a secret
//! - [`totp`], [`last_steps`], [`stand_in`]: one-time codes, which steps of them were used up, and what stands in for them
//! - [`secret`]: bytes that wipe themselves and never show in a log
//! - [`time`]: the boot clock and the wall clock, as types
//! - [`policy`]: what a rule grants: limits of a session, and what happens at them; `strictest`: the stricter of two
//! - [`session`]: sessions from opening to end
//! - [`deactivation`]: when an account may no more be used, and what is doubted about that
//! - [`console`]: where a login is that tells of no remote host
//! - [`event`], [`outside`]: the names of log lines, and text from outside in them
//! - [`vouch`]: whether a session vouches for its owner in a flow
#![forbid(unsafe_code)]

pub mod account;
pub mod config;
pub mod console;
pub mod deactivation;
pub mod enrolment;
pub mod event;
pub mod factor;
pub mod first_authenticator;
pub mod flow;
pub mod last_steps;
pub mod name;
pub mod news;
pub mod otpauth;
pub mod outside;
pub mod password;
pub mod password_rules;
pub mod policy;
pub mod qr;
pub mod rule;
pub mod secret;
pub mod session;
pub mod stand_in;
pub mod state;
mod strictest;
pub mod throttle;
pub mod time;
pub mod toml_text;
pub mod totp;
pub mod vouch;
