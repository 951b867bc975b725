//! Fresh codes that stand in for an authenticator's, and their digests.

use std::io;

use authflow_core::{
    secret::Secret,
    stand_in::{self, CODE_BYTES, CodeDigest, RecoverySet, SET_SIZE},
    time::WallTime,
};
use zeroize::Zeroizing;

use crate::random;

/// One code, and what is kept of it.
///
/// # Errors
/// The kernel gives no random numbers.
pub fn fresh() -> io::Result<(Zeroizing<String>, CodeDigest)> {
    let random = Zeroizing::new(random::bytes::<CODE_BYTES>()?);
    let code = stand_in::code_from(&random);
    let digest = CodeDigest::of(&Secret::from(code.as_str()));
    let digest = digest.ok_or_else(|| io::Error::other("a code that was just made is none"))?;
    Ok((code, digest))
}

/// A set of recovery codes as they are shown this once, and as it is kept.
///
/// # Errors
/// The kernel gives no random numbers.
pub fn fresh_set(made: WallTime) -> io::Result<(Vec<Zeroizing<String>>, RecoverySet)> {
    let pairs = (0..SET_SIZE).map(|_| fresh()).collect::<io::Result<Vec<_>>>()?;
    let codes = pairs.iter().map(|(_, digest)| *digest).collect();
    Ok((pairs.into_iter().map(|(code, _)| code).collect(), RecoverySet { made, codes }))
}

/// The codes on a page for people, two in a line.
#[must_use]
pub fn page(codes: &[Zeroizing<String>]) -> Zeroizing<String> {
    let mut page = Zeroizing::new(String::with_capacity(1024));
    page.push_str("Recovery codes: each stands in for a verification code once. They are not shown again; keep them apart from the phone.\n");
    for line in codes.chunks(2) {
        for code in line {
            page.push_str("    ");
            page.push_str(code);
        }
        page.push('\n');
    }
    page
}
