//! The event triggers on the source (PostgreSQL docs, "Event Triggers").

use rowcast_pg::ddl_trigger::{self, TriggerState};
use rowcast_pg::{Client, Error};

use super::Triggers;

/// Looks for the triggers by their names and the schema of their function.
pub(super) async fn find(client: &Client, server_version: u32) -> Result<Triggers, Error> {
    if ddl_trigger::state(client, server_version).await? == TriggerState::Outdated {
        return Ok(Triggers::Missing);
    }
    let rows = client
        .query(
            "SELECT e.evtname::text,
                    e.evtenabled IN ('O', 'A'),
                    -- Since 17.
                    EXISTS (SELECT 1
                            FROM pg_catalog.pg_settings AS s
                            WHERE s.name = 'event_triggers'
                              AND s.setting = 'off')
             FROM pg_catalog.pg_event_trigger AS e
             JOIN pg_catalog.pg_proc AS p
               ON p.oid = e.evtfoid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = p.pronamespace
             WHERE e.evtname LIKE 'rowcast\\_%'
               AND n.nspname = 'rowcast'
             ORDER BY 1",
            &[],
        )
        .await?;
    let Some(first) = rows.first() else {
        return Ok(Triggers::Missing);
    };
    if first.try_get(2)? {
        return Ok(Triggers::ServerOff);
    }
    let mut disabled = Vec::new();
    for row in &rows {
        if !row.try_get::<_, bool>(1)? {
            disabled.push(row.try_get(0)?);
        }
    }
    Ok(if disabled.is_empty() {
        Triggers::Installed
    } else {
        Triggers::Disabled(disabled)
    })
}
