//! Runs `authflow-core` on this machine. Adapters only: what they find out is judged in core.
//!
//! It works inside sshd, login, su and sudo: it starts no thread, reads no environment, keeps no descriptor and no global.
//!
//! # Layout
//!
//! - [`paths`]: where everything lies
//! - [`file`](mod@file): trusted reads and durable writes
//! - [`clock`], [`random`]: the machine's clocks and its random numbers; [`codes`]: codes made of these
//! - [`process`]: who a process is, beyond its pid
//! - [`accounts`], [`shadow`]: users, groups, the system's password hashes; [`local_accounts`]: those in the machine's own files;
//!   [`gone`]: whether there is an account no more; [`subordinate`]: uids that users hand out
//! - [`crypt`], [`hash_memory`]: what hashing needs
//! - [`hashing`], [`passwords`]: passwords hashed, compared and kept up
//! - [`new_password`]: what a new one must be here, and setting it
//! - [`config`]: the configuration, or the last good one; [`matching`]: the rule of it for a login
//! - [`records`], [`lock`]: user records, and the one way to settle a judgement; `disabled`: the mark that keeps a user out;
//!   `known`: whose there are; [`forget`]: nothing is left of a name
//! - [`sealed`]: a secret on its way to another process
//! - [`undisturbed`]: nobody stops or starves the process that holds a lock; `scheduling`: its share of the machine
//! - [`desk`]: the one driver of a flow; `enrolment`: its part that enrols an authenticator; `caller`: who calls, as it is counted
//! - [`deferred`]: what the machine would start for a user by itself
//! - [`pending`]: logins that the daemon has yet to adopt
#![deny(unsafe_code)]

pub mod accounts;
mod caller;
pub mod clock;
pub mod codes;
pub mod config;
pub mod crypt;
pub mod deferred;
pub mod desk;
mod disabled;
mod enrolment;
pub mod file;
pub mod forget;
pub mod gone;
pub mod hash_memory;
pub mod hashing;
mod known;
pub mod local_accounts;
pub mod lock;
pub mod matching;
pub mod new_password;
pub mod passwords;
pub mod paths;
pub mod pending;
pub mod process;
pub mod random;
pub mod records;
mod scheduling;
pub mod sealed;
pub mod shadow;
pub mod slots;
pub mod subordinate;
pub mod undisturbed;
