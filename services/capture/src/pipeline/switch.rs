//! A change of the task's objects or of its ETL policy, taken between two transactions.
//!
//! The keeper prepares the publication and says from which LSN on the source sends what is new; the
//! pipeline takes the change at the first boundary behind it. What it takes is written to KV before
//! the next frame is read: a later start reads the same transactions in the same way.

use std::collections::BTreeSet;
use std::sync::Arc;

use rowcast_domain::Lsn;
use rowcast_proto::change::TrackedObjects;
use rowcast_proto::message::{ChangeTypes, EtlPolicy, ObjectSelection};
use tokio::sync::{mpsc, oneshot};

use super::change::Relation;
use super::decode::Decoder;
use super::filter::Filter;
use super::transform::Transform;
use crate::error::Error;
use crate::kept::Kept;

/// What the keeper asks of the pipeline.
#[derive(Debug)]
pub(crate) struct Switch {
    /// What is to be tracked.
    pub(crate) objects: ObjectSelection,
    /// Which changes of it.
    pub(crate) change_types: ChangeTypes,
    /// OIDs of the tables that it takes by name.
    pub(crate) tables: BTreeSet<u32>,
    /// What the publication looks like.
    pub(crate) publication: String,
    /// What is to be done with each row.
    pub(crate) etl: Option<EtlPolicy>,
    /// Transactions that commit from here on are sent with everything that is to be tracked; `None`
    /// where the objects stay and only the other members are to be written down.
    pub(crate) not_before: Option<Lsn>,
    /// Told what was written once it is taken.
    pub(crate) taken: oneshot::Sender<TrackedObjects>,
}

/// The pipeline's end.
pub(crate) struct Switches {
    asked: mpsc::Receiver<Switch>,
    pending: Option<Switch>,
    kept: Kept<TrackedObjects>,
    record: TrackedObjects,
}

impl Switches {
    /// Takes what is asked for; `record` is what `kept` holds.
    pub(crate) const fn new(
        asked: mpsc::Receiver<Switch>,
        kept: Kept<TrackedObjects>,
        record: TrackedObjects,
    ) -> Self {
        Self {
            asked,
            pending: None,
            kept,
            record,
        }
    }

    /// Takes what is asked for, if everything before `boundary` has arrived and that is enough. Gives tables that
    /// are told in another form from here on.
    ///
    /// # Errors
    /// Where it is not known to be written: the pipeline must end then.
    pub(crate) async fn take(
        &mut self,
        boundary: Lsn,
        decoder: &mut Decoder,
        transform: &mut Transform,
    ) -> Result<Vec<Arc<Relation>>, Error> {
        if self.pending.is_none() {
            self.pending = self.asked.try_recv().ok();
        }
        let is_due = |switch: &mut Switch| switch.not_before.is_none_or(|lsn| lsn <= boundary);
        let Some(switch) = self.pending.take_if(is_due) else {
            return Ok(Vec::new());
        };
        let mut record = TrackedObjects {
            objects: switch.objects,
            tables: switch.tables,
            publication: switch.publication,
            ..self.record.clone()
        };
        if switch.not_before.is_some() {
            record.since = boundary;
            record.before = Some(self.record.objects.clone());
            record.tables_before = self.record.tables.clone();
            record.change_types_before = record.change_types.replace(switch.change_types);
        }
        let has_other_policy = switch.etl != record.etl;
        if has_other_policy {
            record.etl_before = std::mem::replace(&mut record.etl, switch.etl);
            record.etl_since = Some(boundary);
        }
        self.kept.write(&record).await?;
        decoder.set_filter(Filter::new(&record));
        let told = if has_other_policy {
            transform.replace(&record)
        } else {
            Vec::new()
        };
        self.record = record.clone();
        // Where nobody waits for it, the pipeline is about to end as well.
        let _gone = switch.taken.send(record);
        Ok(told)
    }
}
