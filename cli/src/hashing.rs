//! Hashing and checking a password, in memory that is never dumped and goes back at once.

use authflow_core::{
    password::{Cost, PasswordHash},
    secret::Secret,
};
use authflow_host::{hash_memory::HashMemory, random};

use crate::error::Error;

/// A new hash of `password`.
pub(crate) fn hash(cost: Cost, password: &Secret) -> Result<PasswordHash, Error> {
    let mut memory = HashMemory::new(cost.blocks())?;
    PasswordHash::create(cost, random::bytes()?, password, memory.blocks())
        .map_err(|error| Error::failed("cannot hash the password", &error))
}

/// Whether `hash` is that of `password`.
pub(crate) fn verify(hash: &PasswordHash, password: &Secret) -> Result<bool, Error> {
    let mut memory = HashMemory::new(hash.cost().blocks())?;
    hash.verify(password, memory.blocks()).map_err(|error| Error::failed("cannot check the password", &error))
}
