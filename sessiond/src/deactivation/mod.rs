//! What happens to an account that may no more be used: its sessions end, and then everything else that runs as its user.
//!
//! # Layout
//!
//! - [`order`]: what an administrator orders over the bus
//! - [`sweep`]: the user manager, and processes that no session holds
//! - [`starts_again`]: tells what the machine would start for that user again
//! - [`watch`]: hears that accounts may have changed, has them looked up and judged
//! - [`look`]: the look-ups; [`beside`]: the threads beside the loop that they run on

mod beside;
mod look;
pub(crate) mod order;
mod starts_again;
pub(crate) mod sweep;
pub(crate) mod watch;
