//! Tells how far a run has come, for whoever looks on.

use std::time::Duration;

use chrono::Utc;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_proto::message::{CheckName, CheckResult, PrecheckProgress};
use rowcast_service::BoxError;
use tokio::sync::watch;

use crate::checks::Rule;

/// How long a write may take: a report waits for the last one, and for one that is under way.
const WRITE_WITHIN: Duration = Duration::from_secs(2);

/// What a run tells.
#[derive(Debug)]
pub(crate) struct Progress(watch::Sender<PrecheckProgress>);

/// Writes what is told where others look.
#[derive(Debug)]
pub(crate) struct Writer {
    store: kv::Store,
    told: watch::Receiver<PrecheckProgress>,
}

/// A run of these checks.
pub(crate) fn begin(
    store: &kv::Store,
    task: &TaskId,
    run: String,
    checks: &[&Rule],
) -> (Progress, Writer) {
    let names = checks.iter().map(|rule| CheckName {
        code: rule.code.to_owned(),
        title: rule.title.to_owned(),
    });
    let (sender, mut told) = watch::channel(PrecheckProgress {
        run,
        task_id: task.to_string(),
        checks: names.collect(),
        items: Vec::new(),
        started_at: Some(Utc::now().into()),
        finished_at: None,
    });
    told.mark_changed();
    let store = store.clone();
    (Progress(sender), Writer { store, told })
}

impl Progress {
    /// A check has ended.
    pub(crate) fn tell(&self, item: &CheckResult) {
        self.0
            .send_modify(|progress| progress.items.push(item.clone()));
    }

    /// All have.
    pub(crate) fn end(self) {
        self.0
            .send_modify(|progress| progress.finished_at = Some(Utc::now().into()));
    }
}

impl Writer {
    /// Writes until the run ends. What comes while a write is under way is in the next one.
    pub(crate) async fn run(mut self) {
        while self.told.changed().await.is_ok() {
            let progress = self.told.borrow_and_update().clone();
            if progress.run.is_empty() {
                continue;
            }
            if let Err(error) = self.write(&progress).await {
                tracing::warn!(task = progress.task_id, %error, "progress of a precheck not told");
            }
        }
    }

    async fn write(&self, progress: &PrecheckProgress) -> Result<(), BoxError> {
        let value = serde_json::to_vec(progress)?;
        let write = self.store.put(progress.task_id.as_str(), value.into());
        tokio::time::timeout(WRITE_WITHIN, write).await??;
        Ok(())
    }
}
