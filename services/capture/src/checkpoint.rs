//! How far a task has come, in KV: takes the place of the stream's tail where retention has emptied
//! the stream, and tells a slot that was moved by someone else.

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_proto::change::Checkpoint;

use crate::error::Error;
use crate::pipeline::progress::Durable;

/// The checkpoint of one task.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoints {
    store: kv::Store,
    task: TaskId,
    system_id: String,
    timeline: u32,
}

/// Reads a task's checkpoint; `None` where it never ran.
///
/// # Errors
/// Where the broker does not answer, or the value is not ours.
pub(crate) async fn read(store: &kv::Store, task: &TaskId) -> Result<Option<Checkpoint>, Error> {
    let value = store.get(task.as_str()).await.map_err(Error::broker)?;
    value
        .map(|value| serde_json::from_slice(&value).map_err(Error::broker))
        .transpose()
}

impl Checkpoints {
    /// Writes for this task, as read from this server.
    pub(crate) const fn new(
        store: kv::Store,
        task: TaskId,
        system_id: String,
        timeline: u32,
    ) -> Self {
        Self {
            store,
            task,
            system_id,
            timeline,
        }
    }

    /// Writes what may be confirmed now.
    ///
    /// # Errors
    /// Where it is not known to be stored.
    pub(crate) async fn write(&self, durable: Durable) -> Result<(), Error> {
        let checkpoint = Checkpoint {
            system_id: self.system_id.clone(),
            timeline: self.timeline,
            position: durable.position,
            sequence: durable.sequence,
            reported_lsn: durable.lsn,
        };
        let value = serde_json::to_vec(&checkpoint).map_err(Error::broker)?;
        self.store
            .put(self.task.as_str(), value.into())
            .await
            .map_err(Error::broker)?;
        Ok(())
    }
}
