//! Work that asks name services or the disk and may take for ever: on threads beside the loop, a few at a time, and nobody waits longer
//! than this.

use std::time::Duration;

use tokio::sync::Semaphore;

/// How long is waited for an answer. The thread that waits for it goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many may be stuck before nothing more is begun.
static TURNS: Semaphore = Semaphore::const_new(4);

/// There was no answer.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("no answer within {PATIENCE:?} from the name services or the disk")]
pub(crate) struct NoAnswer;

/// Does the work on another thread.
///
/// # Errors
/// It took too long, or too much work is stuck already.
pub(crate) async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NoAnswer> {
    let done = async {
        let turn = TURNS.acquire().await.map_err(|_closed| NoAnswer)?;
        // The turn goes along, so that what is stuck keeps it.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|_panicked| NoAnswer)
    };
    tokio::time::timeout(PATIENCE, done).await.map_err(|_elapsed| NoAnswer)?
}
