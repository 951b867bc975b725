//! The command as programs and people run it, on the files of an image in a temporary folder: that takes no root and no
//! daemon. What needs these is tested end to end, in the crate `authflow-tests`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod check;
mod configuration;
mod image;
mod provisioning;
mod usage;
