//! The C edge: the real [`Handle`](crate::handle::Handle), and the panic hook. The only folder with `unsafe` in this crate. It decides
//! nothing: it copies in and out of libpam.
#![allow(unsafe_code)]

mod calls;
mod libpam;
mod panic;

pub(crate) use libpam::LibPam;
pub(crate) use panic::silence_panics;
