//! Background tasks: each has a name, a span and a policy.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::BoxError;

/// What the end of a task means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The process cannot do its work without it: its error, panic or early end stops the process.
    Essential,
    /// Its error or panic is logged and the process goes on.
    Optional,
}

/// Spawns and watches the tasks of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failures: mpsc::Sender<Failure>,
}

/// Why the process must stop.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) task: Arc<str>,
    pub(crate) error: BoxError,
}

/// Failures kept until the shell looks; the first one stops the process, so one would do.
const FAILURES_KEPT: usize = 8;

impl Tasks {
    pub(crate) fn new(stop: CancellationToken) -> (Self, mpsc::Receiver<Failure>) {
        let (failures, receiver) = mpsc::channel(FAILURES_KEPT);
        (
            Self {
                tracker: TaskTracker::new(),
                stop,
                failures,
            },
            receiver,
        )
    }

    /// Spawns a task. It is expected to end by itself once the process's stop token is cancelled.
    pub fn spawn<F>(&self, kind: Kind, name: impl Into<Arc<str>>, future: F)
    where
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let name = name.into();
        let span = tracing::info_span!("task", name = %name);
        let failures = self.failures.clone();
        let stop = self.stop.clone();
        let work = self.tracker.spawn(future.instrument(span.clone()));
        self.tracker.spawn(
            async move {
                let error: BoxError = match work.await {
                    Ok(Ok(())) if stop.is_cancelled() || kind == Kind::Optional => return,
                    Ok(Ok(())) => "ended before it was told to".into(),
                    Ok(Err(error)) => error,
                    Err(panic) => Box::new(panic),
                };
                match kind {
                    Kind::Essential => {
                        // Full: the process is stopping already because of an earlier failure.
                        failures
                            .try_send(Failure { task: name, error })
                            .unwrap_or_default();
                    }
                    Kind::Optional => tracing::error!(error = %Chain(&error), "task failed"),
                }
            }
            .instrument(span),
        );
    }

    pub(crate) async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(crate) fn running(&self) -> usize {
        self.tracker.len()
    }
}

/// Prints an error with everything that caused it.
pub(crate) struct Chain<'a>(pub(crate) &'a BoxError);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_early_end_of_an_essential_task_is_a_failure() {
        let (tasks, mut failures) = Tasks::new(CancellationToken::new());
        tasks.spawn(Kind::Essential, "short", async { Ok(()) });
        let failure = failures.recv().await.unwrap();
        assert_eq!(&*failure.task, "short");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure_and_not_a_silence() {
        let (tasks, mut failures) = Tasks::new(CancellationToken::new());
        tasks.spawn(Kind::Essential, "bad", async { panic!("no") });
        assert!(
            failures
                .recv()
                .await
                .unwrap()
                .error
                .to_string()
                .contains("panic")
        );
    }

    #[tokio::test]
    async fn an_end_after_the_stop_is_none() {
        let stop = CancellationToken::new();
        let (tasks, mut failures) = Tasks::new(stop.clone());
        let waits = stop.clone();
        tasks.spawn(Kind::Essential, "good", async move {
            waits.cancelled().await;
            Ok(())
        });
        stop.cancel();
        tasks.drained().await;
        assert!(failures.try_recv().is_err());
    }
}
