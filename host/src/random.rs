//! Random numbers from the kernel, and nothing else.

use std::io;

/// `N` random bytes.
///
/// # Errors
/// The kernel has none to give.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}
