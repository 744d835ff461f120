//! How far a task has come, in KV: takes the place of the stream's tail where retention has emptied
//! the stream, and tells a slot that was moved by someone else.

use rowcast_proto::change::{Acknowledged, Checkpoint};

use crate::error::Error;
use crate::kept::Kept;
use crate::pipeline::progress::Durable;

/// The checkpoint of one task, as read from one server.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    kept: Kept<Checkpoint>,
    system_id: String,
    timeline: u32,
    /// What it says.
    safe: Durable,
}

impl Checkpoints {
    /// Writes where `kept` stands, which says `known`.
    pub(crate) fn new(
        kept: Kept<Checkpoint>,
        known: Option<&Checkpoint>,
        system_id: String,
        timeline: u32,
    ) -> Self {
        let safe = known.map(|known| Durable {
            lsn: known.reported_lsn,
            position: known.position,
            sequence: known.sequence,
            bytes: 0,
            committed_at: None,
        });
        Self {
            kept,
            system_id,
            timeline,
            safe: safe.unwrap_or_default(),
        }
    }

    /// What it says may be confirmed.
    pub(crate) const fn safe(&self) -> Durable {
        self.safe
    }

    /// Writes what may be confirmed, and what is acknowledged.
    ///
    /// # Errors
    /// Where it is not known to be stored, or another process has written since.
    pub(crate) async fn write(
        &mut self,
        durable: Durable,
        acknowledged: Durable,
    ) -> Result<(), Error> {
        let checkpoint = Checkpoint {
            system_id: self.system_id.clone(),
            timeline: self.timeline,
            position: durable.position,
            sequence: durable.sequence,
            reported_lsn: durable.lsn,
            acknowledged: (acknowledged.sequence > durable.sequence).then_some(Acknowledged {
                position: acknowledged.position,
                sequence: acknowledged.sequence,
            }),
        };
        self.kept.write(&checkpoint).await?;
        self.safe = durable;
        Ok(())
    }
}
