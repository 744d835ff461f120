//! The bucket of reports. It lives in the broker's memory: after a restart of the broker it is gone
//! and made anew by whoever needs it first.

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::{Bus, provision};
use rowcast_domain::TaskId;
use rowcast_proto::message::TaskStatus;
use rowcast_proto::stream::TASK_STATUS;
use rowcast_service::BoxError;

/// Reads and writes reports.
#[derive(Clone)]
pub(crate) struct Statuses {
    control: Bus,
    store: kv::Store,
}

impl Statuses {
    /// Opens the bucket, and makes it if it is missing.
    ///
    /// # Errors
    /// Where the broker does not answer.
    pub(crate) async fn open(control: &Bus) -> Result<Self, BoxError> {
        let store = provision::bucket(control, &TASK_STATUS).await?;
        Ok(Self {
            control: control.clone(),
            store,
        })
    }

    /// The last report of a task.
    ///
    /// # Errors
    /// Where the broker does not answer, or the report cannot be read.
    pub(crate) async fn read(&self, task: &TaskId) -> Result<Option<TaskStatus>, BoxError> {
        let value = match self.store.get(task.as_str()).await {
            Ok(value) => value,
            Err(_gone) => {
                let store = provision::bucket(&self.control, &TASK_STATUS).await?;
                store.get(task.as_str()).await?
            }
        };
        Ok(value
            .map(|value| serde_json::from_slice(&value))
            .transpose()?)
    }

    /// Writes the report of a task.
    ///
    /// # Errors
    /// Where it is not known to be stored.
    pub(crate) async fn write(&self, task: &TaskId, status: &TaskStatus) -> Result<(), BoxError> {
        let value = bytes::Bytes::from(serde_json::to_vec(status)?);
        if self.store.put(task.as_str(), value.clone()).await.is_err() {
            let store = provision::bucket(&self.control, &TASK_STATUS).await?;
            store.put(task.as_str(), value).await?;
        }
        Ok(())
    }
}
