//! What a user has to be told at the next login: things that happened to the account while nobody of ours was looking at a screen.

use serde::{Deserialize, Serialize};

use crate::{throttle::Source, time::WallTime};

/// Most items that are kept. Older ones stay in the log.
const MOST: usize = 20;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A recovery code let somebody in. The detail is how many are left.
    RecoveryCodeUsed,
    /// There is a new set of recovery codes, and the old one is void.
    RecoveryCodesMade,
    /// An administrator issued a bypass code. The detail is the reason.
    BypassIssued,
    /// The bypass code let somebody in.
    BypassUsed,
    /// With the right password, a code was given that had passed already.
    CodeReused,
    /// An authenticator was added. The detail is its name.
    FactorAdded,
    /// An authenticator was removed. The detail is its name.
    FactorRemoved,
    /// The password was changed.
    PasswordChanged,
    /// The password was removed.
    PasswordRemoved,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// When.
    pub at: WallTime,
    /// What.
    pub event: Event,
    /// From where, if it was an attempt to log in.
    pub from: Option<Source>,
    /// What else there is to say; its meaning is the event's.
    pub detail: String,
}

impl Item {
    /// The sentence for it, without the time.
    #[must_use]
    pub fn text(&self) -> String {
        let detail = &self.detail;
        let from = self.from.as_ref().map(|source| format!(" from {source}")).unwrap_or_default();
        match self.event {
            Event::RecoveryCodeUsed if detail == "0" => {
                format!(
                    "the last recovery code was used{from}: have your authenticator enrolled anew, and get new codes"
                )
            }
            Event::RecoveryCodeUsed => format!("a recovery code was used{from}; {detail} left"),
            Event::RecoveryCodesMade => "new recovery codes were made; the old ones are void".to_owned(),
            Event::BypassIssued => format!("an administrator issued a bypass code: {detail}"),
            Event::BypassUsed => format!("the bypass code was used{from}"),
            Event::CodeReused => {
                format!(
                    "a code was tried a second time{from}, with all else right: if that was not you, change your password"
                )
            }
            Event::FactorAdded => format!("the authenticator {detail:?} was added"),
            Event::FactorRemoved => format!("the authenticator {detail:?} was removed"),
            Event::PasswordRemoved => "the password was removed".to_owned(),
            Event::PasswordChanged => "the password was changed".to_owned(),
        }
    }
}

/// All that the user has not been told, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News(Vec<Item>);

impl News {
    /// Adds what happened. Too many push the oldest out: an attacker must not fill the disk.
    pub fn push(&mut self, item: Item) {
        self.0.push(item);
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
    }

    /// The items, oldest first.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// Gives all, since the user is being told now, and forgets what happened before `login`. What this very login did is told at the next
    /// one as well: it may not have been the user's.
    pub fn tell(&mut self, login: WallTime) -> Vec<Item> {
        let told = self.0.clone();
        // A state keeps microseconds, a receipt more.
        self.0.retain(|item| item.at.as_micros() >= login.as_micros());
        told
    }
}

impl FromIterator<Item> for News {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        let mut news = Self::default();
        items.into_iter().for_each(|item| news.push(item));
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_are_kept_and_told_once() {
        let item = |n: u64| Item {
            at: WallTime::from_micros(n),
            event: Event::CodeReused,
            from: Some(Source::CONSOLE),
            detail: String::new(),
        };
        let mut news: News = (0..50).map(item).collect();
        assert_eq!((news.items().len(), news.items()[0].at), (MOST, WallTime::from_micros(30)));
        assert_eq!(news.tell(WallTime::from_micros(49)).len(), MOST);
        assert_eq!(news.tell(WallTime::from_micros(60)).len(), 1, "what that login did itself");
        assert!(news.items().is_empty());
    }
}
