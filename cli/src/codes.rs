//! Fresh codes that stand in for an authenticator's, and their digests.

use authflow_core::{
    secret::Secret,
    stand_in::{self, CODE_BYTES, CodeDigest, RecoverySet, SET_SIZE},
    time::WallTime,
};
use authflow_host::random;
use zeroize::Zeroizing;

use crate::error::Error;

/// One code, and what is kept of it.
pub(crate) fn fresh() -> Result<(Zeroizing<String>, CodeDigest), Error> {
    let random = Zeroizing::new(random::bytes::<CODE_BYTES>()?);
    let code = stand_in::code_from(&random);
    let digest = CodeDigest::of(&Secret::from(code.as_str()));
    let digest = digest.ok_or_else(|| Error::Failed("a code that was just made is none".to_owned()))?;
    Ok((code, digest))
}

/// A set of recovery codes as they are shown this once, and as it is kept.
pub(crate) fn fresh_set(made: WallTime) -> Result<(Vec<Zeroizing<String>>, RecoverySet), Error> {
    let pairs = (0..SET_SIZE).map(|_| fresh()).collect::<Result<Vec<_>, _>>()?;
    let codes = pairs.iter().map(|(_, digest)| *digest).collect();
    Ok((pairs.into_iter().map(|(code, _)| code).collect(), RecoverySet { made, codes }))
}

/// The codes on a page for people, two in a line.
pub(crate) fn page(codes: &[Zeroizing<String>]) -> Zeroizing<String> {
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
