//! `authflow setup`: turns a stock machine into a protected one.
#![allow(dead_code)]

mod pam_edit;
mod pam_place;
mod service;
