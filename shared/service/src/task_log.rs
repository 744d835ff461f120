//! What a service writes about tasks goes to their users as well.

use std::sync::{Arc, Mutex, PoisonError};

use rowcast_domain::{TaskId, TaskLine};
use rowcast_telemetry::{Line, Sink};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::BoxError;

/// Lines that wait; what comes when so many do is only in the process's own log.
const WAITING: usize = 1024;

/// The lines about tasks, for whoever sends them on.
#[derive(Debug, Clone)]
pub(crate) struct TaskLog(Arc<Mutex<Option<mpsc::Receiver<Line>>>>);

/// Where the log puts them, and where they come out.
pub(crate) fn channel() -> (Sink, TaskLog) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let sink: Sink = Box::new(move |line| {
        // Nobody waits for a log.
        let _full = sender.try_send(line).is_err();
    });
    (sink, TaskLog(Arc::new(Mutex::new(Some(receiver)))))
}

impl TaskLog {
    /// Sends lines on until told to stop. Only the first who asks gets them.
    pub(crate) async fn relay<P, F>(self, stop: CancellationToken, send: P) -> Result<(), BoxError>
    where
        P: Fn(TaskLine) -> F,
        F: Future<Output = Result<(), BoxError>>,
    {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut lines) = taken else {
            return Ok(());
        };
        while let Some(Some(line)) = stop.run_until_cancelled(lines.recv()).await {
            let Ok(task) = line.task.parse::<TaskId>() else {
                continue;
            };
            let line = TaskLine {
                at: line.at,
                level: line.level,
                task,
                message: line.message,
                fields: line.fields,
                trace_id: line.trace_id,
            };
            if let Err(error) = send(line).await {
                tracing::debug!(%error, "a line about a task was not sent on");
            }
        }
        Ok(())
    }
}
