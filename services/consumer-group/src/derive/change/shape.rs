//! Shapes that are told although the task's stream tells them no more.
//!
//! A row is told in a shape that was told before. Where the policy was changed, what tells the shape in the task's stream
//! may lie behind, and was told in the form that another policy has given the table.

use rowcast_domain::Position;
use rowcast_proto::change::Operation;
use rowcast_proto::subject;

use super::{Deriver, Out, format};
use crate::derive::message::{Message, bare};

impl Deriver {
    /// Whether shapes that were found elsewhere are told before the first row of theirs.
    pub(in crate::derive) const fn introduces(&self) -> bool {
        self.policy > 0
    }

    /// The shape with this name in the task's stream, as it is told behind this position and before that message; `None`
    /// where the format has no place for it.
    pub(in crate::derive) fn introduced(
        &self,
        id: &str,
        at: Position,
        before: &Message,
    ) -> Option<Out> {
        if !format::tells_shapes(self.format) {
            return None;
        }
        let told = self.tables.get(id)?.told().clone();
        let object = subject::object(&told.schema, &told.table);
        Some(Out {
            subject: subject::derived_shape(&self.group, &object),
            message: Message {
                id: at,
                lsn: at.commit_lsn,
                ordinal: at.ordinal,
                xid: None,
                schema: Some(told.schema.clone()),
                table: Some(told.table.clone()),
                schema_id: Some(told.id.clone()),
                definition: Some(told),
                ..bare(before, Operation::Schema)
            },
            as_it_came: None,
        })
    }
}
