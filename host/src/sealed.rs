//! A secret on its way to another process: in a memory file that is sealed, passed as a descriptor. It never stands in a message, which
//! the bus keeps, and the reader can neither be held up by it nor see it change under its hands.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::{fd::OwnedFd, unix::fs::FileExt},
};

use authflow_core::secret::Secret;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    libc,
    sys::memfd::{MFdFlags, memfd_create},
};
use zeroize::Zeroizing;

/// The longest secret that passes: the longest password, and a code behind it.
pub const LONGEST: usize = 4096 + 64;

/// Why a descriptor holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum NotSealed {
    /// No memory file, or one that somebody could still write to.
    #[error("expected a memory file that is sealed against writing, growing and shrinking")]
    Open,
    /// Beyond [`LONGEST`].
    #[error("longer than {LONGEST} bytes")]
    TooLong,
    /// The kernel refuses.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Puts the secret into a memory file of its own and seals that.
///
/// # Errors
/// It is too long, or the kernel gives no memory file.
pub fn seal(secret: &Secret) -> io::Result<OwnedFd> {
    if secret.expose().len() > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidInput, NotSealed::TooLong));
    }
    let mut file = File::from(memory_file()?);
    file.write_all(secret.expose())?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals() | SealFlag::F_SEAL_SEAL))?;
    Ok(file.into())
}

/// Reads the secret from a descriptor that somebody passed. Never waits: what is not such a memory file is not read at all.
///
/// # Errors
/// It is none, or too long.
pub fn unseal(descriptor: OwnedFd) -> Result<Secret, NotSealed> {
    // Pipes, sockets and files of other kinds, behind which a reader could be kept waiting, have no seals at all.
    let there = fcntl(&descriptor, FcntlArg::F_GET_SEALS).map_err(|_no_memory_file| NotSealed::Open)?;
    if !SealFlag::from_bits_retain(there).contains(seals()) {
        return Err(NotSealed::Open);
    }
    let file = File::from(descriptor);
    // It cannot change any more.
    let length = usize::try_from(file.metadata()?.len()).ok().filter(|length| *length <= LONGEST);
    let mut bytes = Zeroizing::new(vec![0; length.ok_or(NotSealed::TooLong)?]);
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Secret::new(std::mem::take(&mut *bytes)))
}

const fn seals() -> SealFlag {
    SealFlag::F_SEAL_WRITE.union(SealFlag::F_SEAL_SHRINK).union(SealFlag::F_SEAL_GROW)
}

/// Not executable, which some machines insist on; kernels before 6.3 do not know the word.
fn memory_file() -> nix::Result<OwnedFd> {
    let usual = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    match memfd_create("authflow", usual | MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL)) {
        Err(Errno::EINVAL) => memfd_create("authflow", usual),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn unsealed(bytes: &[u8]) -> File {
        let mut file = File::from(memory_file().unwrap());
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_secret_arrives_as_it_was_and_nobody_can_change_it_on_the_way() {
        for text in ["", "correct horse", &"x".repeat(LONGEST)] {
            let sealed = seal(&Secret::from(text)).unwrap();
            let mut kept = File::from(sealed.try_clone().unwrap());
            assert!(kept.write_all(b"other").is_err() && kept.set_len(9999).is_err());
            assert!(text.is_empty() || kept.set_len(0).is_err());
            assert!(unseal(sealed).unwrap().matches(&Secret::from(text)));
        }
        assert!(seal(&Secret::new(vec![b'x'; LONGEST + 1])).is_err());
    }

    #[test]
    fn what_is_not_sealed_is_not_read() {
        let open = unsealed(b"secret");
        let partly = unsealed(b"secret");
        fcntl(&partly, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)).unwrap();
        let (pipe, _writer) = nix::unistd::pipe().unwrap();
        let on_disk = tempfile::tempfile().unwrap();
        for descriptor in [open.into(), partly.into(), pipe, on_disk.into(), File::open("/dev/zero").unwrap().into()] {
            assert!(matches!(unseal(descriptor), Err(NotSealed::Open)));
        }
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let mut long = unsealed(&vec![b'x'; LONGEST + 1]);
        fcntl(&long, FcntlArg::F_ADD_SEALS(seals())).unwrap();
        assert!(matches!(unseal(long.try_clone().unwrap().into()), Err(NotSealed::TooLong)));
        long.rewind().unwrap();
        assert_eq!(long.read(&mut [0; 8]).unwrap(), 8, "it was there to be read");
        let huge = File::from(memory_file().unwrap());
        huge.set_len(1 << 40).unwrap();
        fcntl(&huge, FcntlArg::F_ADD_SEALS(seals())).unwrap();
        assert!(matches!(unseal(huge.into()), Err(NotSealed::TooLong)));
    }
}
