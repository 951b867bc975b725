//! Sessions: the relationship that a successful flow creates, from opening to its one end.

mod opening;

pub use opening::{Class, Opening};
