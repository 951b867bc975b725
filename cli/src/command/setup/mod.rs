//! `authflow setup`: turns a stock machine into a protected one.
#![allow(dead_code)]

mod ledger;
mod pam_edit;
mod pam_place;
mod plan;
mod programs;
mod rules;
mod service;
mod sshd;
mod texts;
mod who;
