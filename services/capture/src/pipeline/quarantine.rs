//! A change that cannot be told is parked with its bytes; the stream tells that it is missing, and the
//! others go on.

use bytes::Bytes;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::HeaderMap;
use rowcast_bus::park::{ParkError, Parked};
use rowcast_domain::{Position, TaskId};
use rowcast_proto::subject;
use tokio::sync::watch;

use super::decode::Undecodable;
use crate::error::{Error, StopReason};

/// Who parks.
const BY: &str = "capture";

/// What is told of it: how many, and the last of them.
pub(crate) type Told = watch::Receiver<Option<String>>;

/// Parks the changes of one task.
pub(crate) struct Quarantine {
    bus: Bus,
    task: TaskId,
    parked: u64,
    told: watch::Sender<Option<String>>,
}

impl Quarantine {
    pub(crate) fn new(bus: Bus, task: TaskId) -> (Self, Told) {
        let (told, receiver) = watch::channel(None);
        let quarantine = Self {
            bus,
            task,
            parked: 0,
            told,
        };
        (quarantine, receiver)
    }

    /// Parks one, and waits until it is stored.
    ///
    /// # Errors
    /// Where there is no room, which is for a person to make, or it is not known: the change is read again then.
    pub(crate) async fn park(&mut self, change: &Undecodable, frame: Bytes) -> Result<(), Error> {
        let schema = &change.relation.schema;
        let position = Position::new(change.transaction.commit_lsn, change.ordinal);
        let mut headers = HeaderMap::new();
        headers.insert("Rowcast-Id", position.to_string().as_str());
        headers.insert("Rowcast-Schema", schema.id.as_str());
        let parked = Parked {
            by: BY,
            group: None,
            from: &subject::task_changes(&self.task),
            once: None,
            reason: &change.reason,
            headers,
            payload: frame,
        };
        parked.store(&self.bus).await.map_err(|error| match error {
            error @ (ParkError::Full { .. } | ParkError::NoShare { .. }) => {
                Error::from(StopReason::ParkingFull(error.to_string()))
            }
            ParkError::Broker(error) => Error::broker(error),
        })?;
        self.parked += 1;
        self.told.send_replace(Some(format!(
            "{} changes could not be told and are parked, the last one of {}.{} at {position}: {}",
            self.parked, schema.schema, schema.table, change.reason
        )));
        Ok(())
    }
}
