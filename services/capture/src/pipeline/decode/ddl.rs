//! Schema changes as the event trigger on the source writes them: a logical message where pgoutput
//! carries messages (14 and later), else a row of a log table.

use rowcast_domain::Selector;
use rowcast_pg::ddl_trigger::{LOG_TABLE, SCHEMA};
use rowcast_proto::change::Ddl;
use serde::Deserialize;

use super::message::{Datum, Tuple};
use crate::pipeline::change::{DdlChange, Relation, Transaction};
use crate::pipeline::filter::Tracked;

/// Column of the log table that holds the event.
const PAYLOAD: &str = "payload";

/// What the trigger writes.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    schema: Option<String>,
    table: Option<String>,
    #[serde(flatten)]
    ddl: Ddl,
}

/// Reads an event. `None` for what the trigger did not write: any role may use its prefix.
pub(super) fn read(content: &[u8]) -> Option<Event> {
    serde_json::from_slice(content).ok()
}

/// Whether the table is the log of schema changes.
pub(super) fn is_log(relation: &Relation) -> bool {
    relation.schema.schema == SCHEMA && relation.schema.table == LOG_TABLE
}

/// Reads the event in a new row of the log table.
pub(super) fn read_row(relation: &Relation, row: Tuple<'_>) -> Option<Event> {
    let columns = relation.schema.columns.iter().zip(row.datums());
    let (_, datum) = columns
        .into_iter()
        .find(|(column, _)| column.name == PAYLOAD)?;
    match datum {
        Datum::Text(text) => read(text.as_bytes()),
        Datum::Null | Datum::Unchanged => None,
    }
}

impl Event {
    /// Whether it is about something that the task tracks, or could come to track: rather too much
    /// than too little, for a renamed table has another name here than before.
    pub(super) fn concerns(&self, tracked: &Tracked) -> bool {
        let selector: &Selector = &tracked.selector;
        self.schema
            .as_deref()
            .is_none_or(|schema| selector.touches_schema(schema))
    }

    pub(super) fn in_transaction(self, transaction: Transaction, ordinal: u64) -> DdlChange {
        DdlChange {
            transaction,
            ordinal,
            schema: self.schema,
            table: self.table,
            ddl: self.ddl,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = br#"{"command":"ALTER TABLE","object_type":"table","object":"shop.orders",
        "text":"ALTER TABLE orders ADD note text","user":"app","dropped":false,"rewritten":true,
        "schema":"shop","table":"orders"}"#;

    fn tracked(schema: &str) -> Tracked {
        let schema = rowcast_domain::SchemaSelector {
            name: schema.to_owned(),
            tables: vec!["other".to_owned()],
            ..Default::default()
        };
        Tracked {
            selector: Selector {
                schemas: vec![schema],
                ..Selector::default()
            },
            ..Tracked::default()
        }
    }

    #[test]
    fn an_event_of_the_trigger_is_read() {
        let event = read(EVENT).unwrap();
        assert_eq!(event.ddl.command, "ALTER TABLE");
        assert!(event.ddl.rewritten && !event.ddl.dropped);
        assert_eq!(event.table.as_deref(), Some("orders"));
    }

    #[test]
    fn what_the_trigger_did_not_write_is_no_event() {
        for content in [&b""[..], b"{}", b"[1]", b"\xff", b"{\"command\":1}"] {
            assert!(read(content).is_none());
        }
    }

    #[test]
    fn a_schema_change_concerns_the_tasks_that_track_something_in_the_schema() {
        let event = read(EVENT).unwrap();
        assert!(event.concerns(&tracked("shop")));
        assert!(!event.concerns(&tracked("crm")));
    }
}
