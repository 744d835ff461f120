//! How far a task has come, in KV: takes the place of the stream's tail where retention has emptied
//! the stream, and tells a slot that was moved by someone else.

use rowcast_proto::change::Checkpoint;

use crate::error::Error;
use crate::kept::Kept;
use crate::pipeline::progress::Durable;

/// The checkpoint of one task, as read from one server.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    kept: Kept<Checkpoint>,
    system_id: String,
    timeline: u32,
}

impl Checkpoints {
    /// Writes where `kept` stands.
    pub(crate) const fn new(kept: Kept<Checkpoint>, system_id: String, timeline: u32) -> Self {
        Self {
            kept,
            system_id,
            timeline,
        }
    }

    /// Writes what may be confirmed now.
    ///
    /// # Errors
    /// Where it is not known to be stored, or another process has written since.
    pub(crate) async fn write(&mut self, durable: Durable) -> Result<(), Error> {
        let checkpoint = Checkpoint {
            system_id: self.system_id.clone(),
            timeline: self.timeline,
            position: durable.position,
            sequence: durable.sequence,
            reported_lsn: durable.lsn,
        };
        self.kept.write(&checkpoint).await
    }
}
