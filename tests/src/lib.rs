//! Throw-away machines to try authflow on, with the real `sshd`, `login`, `su`, `sudo` and bus. A test describes a machine,
//! acts on it and asserts; nothing here knows how authflow works inside, and no code here computes a one-time code.
//!
//! # Layout
//!
//! - `machine`: the machine as a value, and the machine that runs
//! - `login`: somebody who logs in by password and code
//! - `person`: somebody at a terminal
//! - `authenticator`: the app that shows codes (`oathtool`)
//! - `camera`: what reads a QR code off a screen
//! - `security_key`: a key in hardware, without the hardware
//! - `program`: a command inside, waited for or in the background
//! - `compiled`: applications in C
//! - `emulated`: a machine inside a machine, with a kernel of its own (`beds/emulated.sh`)
//! - `bed`: the namespaces (`beds/overlay.sh`, `beds/booted.sh`)
//! - `common_stacks`: our lines where everything that runs as somebody passes
//! - `syslog`: what is logged inside
//! - `catalogue`: whether that is as the documents say
//! - `products`: what the build made, put into a machine
//! - `package`: the same as Debian packages, for a machine to install
//! - `gate`: whether end-to-end tests run at all
//! - `wait`: waiting for something with a limit
#![forbid(unsafe_code)]

mod authenticator;
mod bed;
pub mod camera;
mod catalogue;
mod common_stacks;
mod compiled;
mod emulated;
mod gate;
mod login;
mod machine;
mod package;
mod person;
mod products;
mod program;
mod security_key;
mod syslog;
pub mod wait;

pub use authenticator::Authenticator;
pub use emulated::Emulated;
pub use machine::{Machine, Plan};
pub use package::Packages;
pub use person::Person;
pub use program::{Output, Program};
pub use security_key::SecurityKey;
