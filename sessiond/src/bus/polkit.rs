//! What polkit says about other users' sessions. The subject is the caller's name on the bus, never its pid, which another process may
//! have by the time polkit looks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use authflow_bus::{Error, MANAGE_ACTION};
use zbus::{
    Connection, Variant,
    message::{Flags, Header},
};

use super::caller::Caller;

/// Long enough for somebody to type a password.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many questions of one user's may wait for polkit.
const MOST_OF_ONE: usize = 2;

/// How many may wait in all. The bus lets the daemon wait for about a hundred answers, and those of logind and systemd are among them.
const MOST: usize = 16;

/// Whether polkit may ask somebody to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Where the caller says so, as of whoever means to do something.
    IfCallerLets,
    /// Never: for a look nobody is asked for a password.
    Nobody,
}

/// Whether polkit lets the caller manage other users' sessions. Without polkit nobody but root may.
///
/// # Errors
/// Too many questions wait already.
pub(crate) async fn may_manage(
    connection: &Connection,
    header: &Header<'_>,
    caller: &Caller,
    asks: Asks,
) -> Result<bool, Error> {
    let _turn = Turn::take(&WAITING, caller.payer)
        .ok_or_else(|| Error::RateLimited("polkit has too many questions open; answer one first".to_owned()))?;
    let subject = ("system-bus-name", HashMap::from([("name", Variant::from(caller.name.as_str()))]));
    let is_interactive = asks == Asks::IfCallerLets && header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
    let details: HashMap<&str, &str> = HashMap::new();
    let body = (subject, MANAGE_ACTION, details, u32::from(is_interactive), "");
    let call = connection.call_method(
        Some("org.freedesktop.PolicyKit1"),
        "/org/freedesktop/PolicyKit1/Authority",
        Some("org.freedesktop.PolicyKit1.Authority"),
        "CheckAuthorization",
        &body,
    );
    let Ok(Ok(reply)) = tokio::time::timeout(PATIENCE, call).await else { return Ok(false) };
    let answer = reply.body().deserialize::<(bool, bool, HashMap<String, String>)>();
    Ok(answer.is_ok_and(|(is_authorized, _, _)| is_authorized))
}

/// How many questions wait, by whose budget pays for them.
type Waiting = Mutex<BTreeMap<u32, usize>>;

static WAITING: Waiting = Mutex::new(BTreeMap::new());

/// A question that waits, for as long as this lives.
struct Turn<'a> {
    waiting: &'a Waiting,
    payer: u32,
}

impl<'a> Turn<'a> {
    fn take(waiting: &'a Waiting, payer: u32) -> Option<Self> {
        let mut all = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = all.get(&payer).copied().unwrap_or_default();
        if theirs >= MOST_OF_ONE || all.values().sum::<usize>() >= MOST {
            return None;
        }
        all.insert(payer, theirs + 1);
        drop(all);
        Some(Self { waiting, payer })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut all = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.payer) {
            Some(theirs) if *theirs > 1 => *theirs -= 1,
            _ => drop(all.remove(&self.payer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_two_questions_open_and_all_together_sixteen() {
        let waiting = Waiting::default();
        let take = |payer| Turn::take(&waiting, payer);
        let (first, second) = (take(1000), take(1000));
        assert!(first.is_some() && second.is_some() && take(1000).is_none());
        drop(first);
        let third = take(1000);
        assert!(third.is_some() && take(1000).is_none());
        let others: Vec<_> = (2000..2100).filter_map(take).collect();
        assert_eq!(others.len(), MOST - 2);
        drop((second, third));
        assert!(take(3000).is_some());
        drop(others);
        assert!(waiting.lock().unwrap().is_empty());
    }
}
