//! A text in two slots of one file that are written in turn. The one that is not written keeps the text before, so a write that is cut
//! off loses nothing; and since the file keeps its length and name, one sync of its data makes it durable. A third of what a new file
//! and a rename cost, in every login.

use std::{
    cmp::Reverse,
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::file::{self, FileError, Trust};

/// A page: the kernel rarely cuts one in two, and most states fit in.
const SMALLEST: usize = 4096;

/// The first word of a slot.
const MARK: &str = "authflow-slot";

/// The longest first line of a slot: the mark, the digest, and two numbers.
const HEAD: usize = 96;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum SlotsError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else wrote it, or it was cut short.
    #[error("{}: neither of its two slots holds a whole text (cut short, or not written by authflow)", .0.display())]
    Broken(PathBuf),
}

/// The file, and what stands in it.
#[derive(Debug)]
pub struct Slots {
    path: PathBuf,
    newest: Option<Newest>,
}

#[derive(Debug)]
struct Newest {
    file: File,
    sequence: u64,
    is_second: bool,
    slot_size: usize,
    text: String,
}

impl Slots {
    /// Reads the file; one that is not there holds no text yet.
    ///
    /// # Errors
    /// It cannot be read or trusted, or holds no whole text.
    pub fn read(path: &Path, trust: Trust) -> Result<Self, SlotsError> {
        Self::read_as(path, trust, OpenOptions::new().read(true))
    }

    /// The same, for who is going to [`write`](Self::write): the file is opened once for both.
    ///
    /// # Errors
    /// As [`read`](Self::read), or it cannot be opened for writing.
    pub fn read_to_write(path: &Path, trust: Trust) -> Result<Self, SlotsError> {
        Self::read_as(path, trust, OpenOptions::new().read(true).write(true))
    }

    fn read_as(path: &Path, trust: Trust, options: &mut OpenOptions) -> Result<Self, SlotsError> {
        let (bytes, _stamp, file) = match file::read_opened(path, trust, options) {
            Ok(read) => read,
            Err(error) if error.is_missing() => return Ok(Self { path: path.to_owned(), newest: None }),
            Err(error) => return Err(error.into()),
        };
        let slot_size = bytes.len() / 2;
        if slot_size < SMALLEST || bytes.len() % 2 != 0 {
            return Err(SlotsError::Broken(path.to_owned()));
        }
        let (first, second) = bytes.split_at(slot_size);
        let mut written = [(Slot::unpack(first), false), (Slot::unpack(second), true)];
        // The older one is looked through only where the newer one is torn.
        written.sort_unstable_by_key(|(slot, _)| Reverse(slot.as_ref().map(|slot| slot.sequence)));
        let mut whole = written.into_iter().filter_map(|(slot, is_second)| slot.map(|slot| (slot, is_second)));
        let (Slot { sequence, text, .. }, is_second) =
            whole.find(|(slot, _)| slot.is_whole()).ok_or_else(|| SlotsError::Broken(path.to_owned()))?;
        let newest = Newest { file, sequence, is_second, slot_size, text: text.to_owned() };
        Ok(Self { path: path.to_owned(), newest: Some(newest) })
    }

    /// The text that was written last, if any was.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.newest.as_ref().map(|newest| newest.text.as_str())
    }

    /// The same with slots that have room for a text that is longer by `growth`, laid out anew where they have not. To be called before
    /// it is decided what to write: found out afterwards, a long text would fail on a full disk, or for want of a descriptor, where a
    /// short one fits.
    ///
    /// # Errors
    /// There is no room. Then the text is as it was.
    pub fn with_room(self, growth: usize, trust: Trust) -> Result<Self, SlotsError> {
        match &self.newest {
            Some(Newest { text, slot_size, sequence, .. }) if text.len() + growth + HEAD > *slot_size => {
                self.begin(sequence.saturating_add(1), text, growth)?;
                Self::read_to_write(&self.path, trust)
            }
            Some(_) | None => Ok(self),
        }
    }

    /// Writes the next text, durably. The caller holds a lock since before it was read.
    ///
    /// # Errors
    /// What the kernel says: a full or read-only disk, for one. Then the text before is still there.
    pub fn write(self, text: &str) -> Result<(), FileError> {
        let sequence = self.newest.as_ref().map_or(0, |newest| newest.sequence).saturating_add(1);
        if let Some(Newest { file, is_second, slot_size, .. }) = &self.newest
            && let Some(slot) = pack(sequence, text, *slot_size)
        {
            return self.overwrite(file, &slot, if *is_second { 0 } else { *slot_size });
        }
        self.begin(sequence, text, 0)
    }

    fn overwrite(&self, file: &File, slot: &[u8], offset: usize) -> Result<(), FileError> {
        let io = |action, source| FileError::Io { action, path: self.path.clone(), source };
        file.write_all_at(slot, offset as u64).map_err(|error| io("write", error))?;
        file.sync_data().map_err(|error| io("sync", error))
    }

    /// Lays the file out anew, with slots that have room for the text and so much more. Every byte of it is written, so that no later
    /// write has to ask the file system for room.
    fn begin(&self, sequence: u64, text: &str, growth: usize) -> Result<(), FileError> {
        let before = self.newest.as_ref().map_or(SMALLEST, |newest| newest.slot_size);
        let sizes = std::iter::successors(Some(before), |size| size.checked_mul(2));
        let largest = usize::try_from(file::LARGEST / 2).unwrap_or(usize::MAX);
        let mut roomy = sizes.take_while(|size| *size <= largest).filter(|size| text.len() + growth + HEAD <= *size);
        let slot = roomy.find_map(|size| pack(sequence, text, size));
        let mut whole = slot.ok_or_else(|| FileError::TooLarge(self.path.clone()))?;
        whole.resize(whole.len() * 2, b'\n');
        let folder = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        file::write_durably(folder, &name, &whole, 0o600)
    }
}

/// A slot: one line that tells which text it is and how to know that it is whole, the text, and empty lines.
fn pack(sequence: u64, text: &str, size: usize) -> Option<Vec<u8>> {
    let head = format!("{MARK} {sequence} {} {}\n", text.len(), digest(sequence, text));
    let whole = [head.as_bytes(), text.as_bytes()].concat();
    let mut slot = vec![b'\n'; size];
    slot.get_mut(..whole.len())?.copy_from_slice(&whole);
    Some(slot)
}

/// What a slot says that it holds.
struct Slot<'a> {
    sequence: u64,
    text: &'a str,
    sum: &'a str,
}

impl<'a> Slot<'a> {
    fn unpack(slot: &'a [u8]) -> Option<Self> {
        let end_of_head = slot.iter().position(|byte| *byte == b'\n')?;
        let (head, rest) = slot.split_at_checked(end_of_head + 1)?;
        let mut words = str::from_utf8(head).ok()?.trim_end().split(' ');
        let (mark, sequence, length, sum) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let sequence = sequence.parse().ok()?;
        let text = str::from_utf8(rest.get(..length.parse().ok()?)?).ok()?;
        (mark == MARK).then_some(Self { sequence, text, sum })
    }

    /// Whether it is as it was written.
    fn is_whole(&self) -> bool {
        self.sum == digest(self.sequence, self.text)
    }
}

/// Half of a SHA-256: it tells a torn write from a whole one, nothing more.
fn digest(sequence: u64, text: &str) -> String {
    let sum = Sha256::new().chain_update(sequence.to_le_bytes()).chain_update(text).finalize();
    sum.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn mine() -> Trust {
        Trust::of(nix::unistd::geteuid().as_raw())
    }

    fn read(path: &Path) -> Result<Option<String>, SlotsError> {
        Slots::read(path, mine()).map(|slots| slots.text().map(str::to_owned))
    }

    fn write(path: &Path, text: &str) {
        Slots::read_to_write(path, mine()).unwrap().write(text).unwrap();
    }

    #[test]
    fn the_text_written_last_is_read_and_the_file_keeps_its_place() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice");
        assert_eq!(read(&path).unwrap(), None);
        write(&path, "one");
        let inode = fs::metadata(&path).unwrap().ino();
        for text in ["two", "", "three\nlines\n"] {
            write(&path, text);
            assert_eq!(read(&path).unwrap().as_deref(), Some(text));
        }
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(fs::metadata(&path).unwrap().len(), 2 * SMALLEST as u64);
    }

    #[test]
    fn a_write_cut_off_anywhere_leaves_the_text_before_or_the_whole_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice");
        let (before, after) = ("é".repeat(1500), "ü".repeat(1600));
        write(&path, "oldest");
        write(&path, &before);
        let old = fs::read(&path).unwrap();
        write(&path, &after);
        let new = fs::read(&path).unwrap();
        // Pieces may reach the disk in any order, so both a written head and a written tail are tried.
        for cut in 0..=SMALLEST {
            let head_written = [&new[..cut], &old[cut..]].concat();
            let tail_written = [&old[..cut], &new[cut..]].concat();
            for torn in [head_written, tail_written] {
                fs::write(&path, torn).unwrap();
                let read = read(&path).unwrap().unwrap();
                assert!(read == before || read == after, "{cut}");
            }
        }
    }

    #[test]
    fn a_longer_text_gets_a_larger_file_and_too_long_a_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice");
        write(&path, "short");
        let long = "x".repeat(3 * SMALLEST);
        write(&path, &long);
        write(&path, "short again");
        assert_eq!(read(&path).unwrap().as_deref(), Some("short again"));
        assert_eq!(fs::metadata(&path).unwrap().len(), 8 * SMALLEST as u64);
        let endless = "x".repeat(usize::try_from(file::LARGEST).unwrap());
        assert!(matches!(Slots::read_to_write(&path, mine()).unwrap().write(&endless), Err(FileError::TooLarge(_))));
        assert_eq!(read(&path).unwrap().as_deref(), Some("short again"));
    }

    #[test]
    fn room_is_made_before_it_is_needed_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice");
        let longest = SMALLEST - HEAD - 100;
        for (length, slot_size) in [(longest, SMALLEST), (longest + 1, 2 * SMALLEST)] {
            let text = "x".repeat(length);
            write(&path, &text);
            let slots = Slots::read_to_write(&path, mine()).unwrap().with_room(100, mine()).unwrap();
            assert_eq!(slots.text(), Some(text.as_str()));
            assert_eq!(fs::metadata(&path).unwrap().len(), 2 * slot_size as u64);
            fs::create_dir_all(folder.path().join(".alice.new/in-the-way")).unwrap();
            slots.write(&"y".repeat(length + 100)).unwrap();
            fs::remove_dir_all(folder.path().join(".alice.new")).unwrap();
        }
        let head = pack(u64::MAX, "", SMALLEST).unwrap().iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(head + "1048576".len() - "0".len() <= HEAD, "{head}");
    }

    #[test]
    fn a_file_that_is_cut_short_or_foreign_holds_no_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alice");
        write(&path, "one");
        write(&path, "two");
        let whole = fs::read(&path).unwrap();
        for length in [0, 1, 100, SMALLEST, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read(&path), Err(SlotsError::Broken(_))), "{length}");
        }
        fs::write(&path, vec![b'x'; whole.len()]).unwrap();
        assert!(matches!(read(&path), Err(SlotsError::Broken(_))));
    }
}
