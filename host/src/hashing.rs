//! Hashing and checking a password, in memory that is never dumped and goes back at once.

use std::io;

use authflow_core::{
    password::{BadHash, Cost, PasswordHash},
    secret::Secret,
};

use crate::{hash_memory::HashMemory, random};

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// No memory to hash in, or no random numbers.
    #[error("the kernel gives no memory to hash in, or no random numbers: {0}")]
    Kernel(#[from] io::Error),
    /// The hash could not be computed.
    #[error(transparent)]
    Hash(#[from] BadHash),
}

/// A new hash of `password`, with a salt of its own.
///
/// # Errors
/// No memory, no random numbers.
pub fn hash(cost: Cost, password: &Secret) -> Result<PasswordHash, HashingError> {
    let mut memory = HashMemory::new(cost.blocks())?;
    Ok(PasswordHash::create(cost, random::bytes()?, password, memory.blocks())?)
}

/// Whether `hash` is that of `password`.
///
/// # Errors
/// No memory.
pub fn verify(hash: &PasswordHash, password: &Secret) -> Result<bool, HashingError> {
    let mut memory = HashMemory::new(hash.cost().blocks())?;
    Ok(hash.verify(password, memory.blocks())?)
}
