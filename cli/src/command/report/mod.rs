//! `authflow report`: evidence for an audit of a period. What ended how, how punctual the limits were, what they do not reach, who ended
//! whose sessions, which configurations were in force. It reads and asks; it changes nothing.

mod document;
mod evidence;
mod page;

use authflow_core::{
    config::{
        Config,
        preset::{Preset, weaker_than},
    },
    time::WallTime,
};

use self::evidence::Evidence;
use super::{config::preset::Exception, history};
use crate::{
    context::Context,
    error::Error,
    history::{Configuration, Query, Store},
    session::Session,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// From when on: 90d, 12h, 2026-11-24, 2026-11-24T09:00:00Z
    #[arg(long, value_name = "T", default_value = "90d")]
    since: String,
    /// Until when, by default now
    #[arg(long, value_name = "T")]
    until: Option<String>,
}

/// All that is told.
struct Told {
    since: WallTime,
    until: WallTime,
    /// From when on the store knows anything; later than `since` where the evidence does not reach back so far.
    known_since: Option<WallTime>,
    ended: usize,
    /// How many sessions live now; `None` where the daemon could not be asked.
    live: Option<usize>,
    evidence: Evidence,
    configurations: Vec<Configuration>,
    /// What the configuration in force now is held to; `None` where it cannot be used.
    held: Option<Held>,
}

/// The standard that a configuration is held to, and where it is weaker.
struct Held {
    preset: Option<Preset>,
    weaker: Vec<Exception>,
}

impl Held {
    fn of(config: &Config) -> Self {
        let weaker = config.preset.into_iter().flat_map(|preset| weaker_than(preset, config));
        Self { preset: config.preset, weaker: weaker.map(Exception::from).collect() }
    }
}

impl Report {
    pub(crate) fn run(self, context: &Context) -> Result<(), Error> {
        context.require_root("the history of sessions is shown to root only")?;
        let local = context.local();
        let since = local.since(&self.since)?;
        let until = self.until.as_deref().map(|text| local.since(text)).transpose()?.unwrap_or(local.now);
        if until <= since {
            return Err(Error::Usage("--until must be later than --since".to_owned()));
        }
        history::tell_if_incomplete(context);
        let live = live(context)?;
        let told = told(context, (since, until), live.as_deref())?;
        Ok(context.output.either(&document::of(&told, &local), || page::of(&told, &local, context.output))?)
    }
}

fn told(context: &Context, (since, until): (WallTime, WallTime), live: Option<&[Session]>) -> Result<Told, Error> {
    let query = Query { since, until: Some(until), ..Query::default() };
    let (ended, configurations, known_since) = match Store::open(&context.paths.sessions_db())? {
        Some(store) => (store.sessions(query)?, store.configurations(since, until)?, store.beginning()?),
        None => (Vec::new(), Vec::new(), None),
    };
    let evidence = Evidence::of(&ended, live.unwrap_or_default(), context.now());
    let (ended, live) = (ended.len().saturating_sub(evidence.trials), live.map(<[Session]>::len));
    let held = context.config().ok().as_ref().map(Held::of);
    Ok(Told { since, until, known_since, ended, live, evidence, configurations, held })
}

/// The live sessions. `None` where there is no daemon to ask: that is part of the evidence, and no reason to give none.
fn live(context: &Context) -> Result<Option<Vec<Session>>, Error> {
    if context.is_image() {
        return Ok(None);
    }
    match context.daemon().and_then(|daemon| daemon.sessions()) {
        Ok(sessions) => Ok(Some(sessions)),
        Err(Error::Unreachable { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
