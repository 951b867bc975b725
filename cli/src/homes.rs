//! Looks into the homes of many. Those on a network that is away take no longer all together than one alone, and which they are is kept, so that it
//! can be told.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    io::ErrorKind,
    path::Path,
    time::Duration,
};

use authflow_core::time::Clock as _;
use authflow_host::{accounts::Account, clock::SystemClock};

use crate::as_owner;

/// No home takes more of the time for all of them, so that those behind it are looked at as well.
const MOST: Duration = Duration::from_secs(3);

/// The homes of one account after the other.
pub(crate) struct Homes {
    /// How long they may take yet. What is done between two looks does not count.
    left: Cell<Duration>,
    untold: RefCell<BTreeSet<String>>,
}

impl Homes {
    /// None has been looked at.
    pub(crate) fn new() -> Self {
        Self { left: Cell::new(as_owner::PATIENCE), untold: RefCell::default() }
    }

    /// Whether there is something in that file. Where the home does not answer in time there is nothing, and its owner is remembered.
    pub(crate) fn have_something(&self, owner: &Account, file: &Path) -> bool {
        let patience = self.left.get().min(MOST);
        // A home that did not answer once is not asked again.
        let is_over = patience.is_zero() || self.untold.borrow().contains(&owner.name);
        let found = if is_over { Err(ErrorKind::TimedOut) } else { self.look(owner, file, patience) };
        if found == Err(ErrorKind::TimedOut) {
            self.untold.borrow_mut().insert(owner.name.clone());
        }
        found.unwrap_or(false)
    }

    fn look(&self, owner: &Account, file: &Path, patience: Duration) -> Result<bool, ErrorKind> {
        let begin = SystemClock.now().boot;
        let found = as_owner::has_something(owner, file, patience);
        let took = SystemClock.now().boot.saturating_since(begin);
        self.left.set(self.left.get().saturating_sub(took));
        found.map_err(|error| error.kind())
    }

    /// Whose homes did not answer in time, or were not asked any more.
    pub(crate) fn untold(self) -> BTreeSet<String> {
        self.untold.into_inner()
    }
}
