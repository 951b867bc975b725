//! Work that asks name services or the disk and may take for ever: on threads beside the loop, a few at a time, and nobody waits longer
//! than this.

use std::time::Duration;

use tokio::sync::Semaphore;

/// How long is waited for an answer. The thread that waits for it goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// Turns for such work.
pub(super) struct Beside {
    turns: Semaphore,
}

/// There was no answer.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("no answer within {PATIENCE:?} from the name services or the disk")]
pub(super) struct NoAnswer;

impl Beside {
    /// With so many at a time; what is stuck keeps its turn.
    pub(super) const fn new(turns: usize) -> Self {
        Self { turns: Semaphore::const_new(turns) }
    }

    /// Does the work on another thread.
    ///
    /// # Errors
    /// It took too long, or what is stuck has all turns.
    pub(super) async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let done = async {
            let turn = self.turns.acquire().await.map_err(|_closed| NoAnswer)?;
            let done = tokio::task::spawn_blocking(move || {
                let done = work();
                drop(turn);
                done
            });
            done.await.map_err(|_panicked| NoAnswer)
        };
        tokio::time::timeout(PATIENCE, done).await.map_err(|_elapsed| NoAnswer)?
    }
}
