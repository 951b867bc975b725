//! The memory that Argon2 works in: mapped for one hash and given back at once. From the heap it would stay with the host process,
//! unwiped and in its core dumps, a hundred megabytes after ten logins.
#![allow(unsafe_code)]

use std::{ffi::c_void, io, ptr::NonNull, slice};

use argon2::Block;

/// What x86-64 and most of aarch64 call huge.
const HUGE_PAGE: usize = 2 * 1024 * 1024;

/// Below this a huge page costs more to clear than it saves.
const WORTH_A_HUGE_PAGE: usize = HUGE_PAGE / 2;

/// Memory for one hash, wiped by unmapping when dropped.
pub struct HashMemory {
    start: NonNull<Block>,
    blocks: usize,
    mapped_bytes: usize,
}

impl HashMemory {
    /// Memory of that many blocks of 1 KiB, all zero.
    ///
    /// # Errors
    /// The kernel has none: a login's cgroup may be full.
    pub fn new(blocks: usize) -> io::Result<Self> {
        let bytes = blocks
            .checked_mul(size_of::<Block>())
            .filter(|bytes| *bytes > 0)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let is_worth_huge_pages = bytes >= WORTH_A_HUGE_PAGE;
        // Whole huge pages are put where they fit; the edges of anything else are faulted in by the small page, a tenth of the time that
        // the mapping costs.
        let whole_pages = is_worth_huge_pages.then(|| bytes.checked_next_multiple_of(HUGE_PAGE)).flatten();
        let mapped_bytes = whole_pages.unwrap_or(bytes);
        // SAFETY: a fresh anonymous mapping touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast::<Block>()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let memory = Self { start, blocks, mapped_bytes };
        // Each is a wish: an old kernel that cannot grant it must not keep anybody out.
        memory.advise(libc::MADV_DONTDUMP);
        memory.advise(libc::MADV_WIPEONFORK);
        if is_worth_huge_pages {
            memory.advise(libc::MADV_HUGEPAGE);
        }
        Ok(memory)
    }

    /// The blocks.
    pub fn blocks(&mut self) -> &mut [Block] {
        // SAFETY: the mapping is that long and page-aligned, zeroed bytes are a valid block, and `&mut self` makes it the only view.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.blocks) }
    }

    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the mapping is ours, and none of the advice given here changes what a read of it yields in this process.
        unsafe { libc::madvise(self.start.as_ptr().cast::<c_void>(), self.mapped_bytes, advice) };
    }
}

impl Drop for HashMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, as long as this, and nothing borrows from it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast::<c_void>(), self.mapped_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_zero_and_as_long_as_asked() {
        let mut memory = HashMemory::new(19 * 1024).unwrap();
        assert_eq!(memory.blocks().len(), 19 * 1024);
        assert!(memory.blocks()[7].as_ref().iter().all(|word| *word == 0));
    }

    #[test]
    fn nothing_or_more_than_there_is_is_an_error() {
        assert!(HashMemory::new(0).is_err());
        assert!(HashMemory::new(usize::MAX).is_err());
        assert!(HashMemory::new(usize::MAX / 2048).is_err());
        assert!(HashMemory::new(usize::MAX / 1024).is_err());
    }

    #[test]
    fn the_memory_goes_back_with_each_hash() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
        };
        let before = resident();
        for _ in 0..20 {
            HashMemory::new(19 * 1024).unwrap().blocks().iter_mut().for_each(|block| block.as_mut()[0] = 1);
        }
        assert!(resident() < before + 19 * 1024, "less than one mapping stays, whatever other tests do meanwhile");
    }

    #[test]
    fn the_memory_is_in_no_core_dump_and_no_child_and_in_huge_pages() {
        let memory = HashMemory::new(19 * 1024).unwrap();
        let flags = flags_at(&memory);
        let has = |flag: &str| flags.iter().any(|given| given == flag);
        assert!(has("dd") && has("wf"), "{flags:?}");
        let has_huge_pages = std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists();
        assert_eq!(has("hg"), has_huge_pages, "{flags:?}");
    }

    /// The kernel's two letters for each property of that mapping.
    fn flags_at(memory: &HashMemory) -> Vec<String> {
        let address = memory.start.addr().get();
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let holds = |line: &str| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let [start, end] = [start, end].map(|edge| usize::from_str_radix(edge, 16));
            Some((start.ok()?..end.ok()?).contains(&address))
        };
        let mut mapping = smaps.lines().skip_while(|line| holds(line) != Some(true));
        let flags = mapping.find_map(|line| line.strip_prefix("VmFlags:")).unwrap();
        flags.split_whitespace().map(str::to_owned).collect()
    }
}
