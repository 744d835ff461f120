//! Replication slots by SQL. Their columns grew with the versions, so a slot is read as a JSON
//! object: what a server lacks is absent there instead of an error.

use rowcast_domain::Lsn;
use tokio_postgres::Client;

use crate::Error;

/// The first version with the `wal` names of functions that were called `xlog` before.
const WAL_NAMES_SINCE: u32 = 100_000;
/// SQLSTATE `undefined_object`.
const UNDEFINED_OBJECT: &str = "42704";

/// A row of `pg_replication_slots` (PostgreSQL docs, "System Views").
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are the view's columns, and independent of each other"
)]
pub struct SlotState {
    /// The output plugin; `None` of a physical slot.
    pub plugin: Option<String>,
    /// The database it decodes; `None` of a physical slot.
    pub database: Option<String>,
    /// Somebody streams from it.
    pub active: bool,
    /// The server process that streams from it.
    pub active_pid: Option<i32>,
    /// WAL from here on is kept for it; `None` when it is lost or was never used.
    pub restart_lsn: Option<Lsn>,
    /// What was confirmed; streaming goes on from here. Not known before 9.6.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` or `lost`; since 13.
    pub wal_status: Option<String>,
    /// WAL in bytes that can be written before the slot may be lost; since 13, where limited.
    pub safe_wal_size: Option<i64>,
    /// Why the server gave up on it; since 17.
    pub invalidation_reason: Option<String>,
    /// It ends with the session that made it. Not known before 10.
    pub temporary: bool,
    /// The server's standbys keep a copy, with which streaming can go on after a failover; since 17.
    pub failover: bool,
    /// It is such a copy, which nobody can stream from before its server is promoted; since 17.
    pub synced: bool,
}

impl SlotState {
    /// Whether the server has given up on the slot: nothing can be streamed from it any more.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.invalidation_reason.is_some() || self.wal_status.as_deref() == Some("lost")
    }
}

/// How many slots and replication connections are in use on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occupancy {
    /// Slots, of whatever kind and database.
    pub slots: i64,
    /// Replication connections.
    pub walsenders: i64,
}

/// Looks for a slot by name.
pub async fn find(client: &Client, name: &str) -> Result<Option<SlotState>, Error> {
    let row = client
        .query_opt(
            "SELECT s.slot ->> 'plugin',
                    s.slot ->> 'database',
                    COALESCE((s.slot ->> 'active')::boolean, false),
                    (s.slot ->> 'active_pid')::integer,
                    s.slot ->> 'restart_lsn',
                    s.slot ->> 'confirmed_flush_lsn',
                    s.slot ->> 'wal_status',
                    (s.slot ->> 'safe_wal_size')::bigint,
                    s.slot ->> 'invalidation_reason',
                    COALESCE((s.slot ->> 'temporary')::boolean, false),
                    COALESCE((s.slot ->> 'failover')::boolean, false),
                    COALESCE((s.slot ->> 'synced')::boolean, false)
             FROM (SELECT pg_catalog.row_to_json(r) AS slot
                   FROM pg_catalog.pg_replication_slots AS r
                   WHERE r.slot_name = $1) AS s",
            &[&name],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let lsn = |text: Option<String>| text.as_deref().map(parse_lsn).transpose();
    Ok(Some(SlotState {
        plugin: row.try_get(0)?,
        database: row.try_get(1)?,
        active: row.try_get(2)?,
        active_pid: row.try_get(3)?,
        restart_lsn: lsn(row.try_get(4)?)?,
        confirmed_flush_lsn: lsn(row.try_get(5)?)?,
        wal_status: row.try_get(6)?,
        safe_wal_size: row.try_get(7)?,
        invalidation_reason: row.try_get(8)?,
        temporary: row.try_get(9)?,
        failover: row.try_get(10)?,
        synced: row.try_get(11)?,
    }))
}

/// Counts the slots and replication connections in use.
pub async fn occupancy(client: &Client) -> Result<Occupancy, Error> {
    let row = client
        .query_one(
            "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),
                    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_replication)",
            &[],
        )
        .await?;
    Ok(Occupancy {
        slots: row.try_get(0)?,
        walsenders: row.try_get(1)?,
    })
}

/// Drops a slot and tells whether there was one. An active one is refused with SQLSTATE 55006.
pub async fn drop(client: &Client, name: &str) -> Result<bool, Error> {
    let dropped = client
        .query(
            "SELECT pg_catalog.pg_drop_replication_slot(s.slot_name)
             FROM pg_catalog.pg_replication_slots AS s
             WHERE s.slot_name = $1",
            &[&name],
        )
        .await
        .map_err(Error::from);
    match dropped {
        Ok(rows) => Ok(!rows.is_empty()),
        // Somebody else dropped it between the view and the function.
        Err(error) if error.sqlstate() == Some(UNDEFINED_OBJECT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The end of the WAL: written on a primary, replayed on a standby.
pub async fn current_wal_lsn(client: &Client, server_version: u32) -> Result<Lsn, Error> {
    let query = if server_version >= WAL_NAMES_SINCE {
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                     THEN pg_catalog.pg_last_wal_replay_lsn()
                     ELSE pg_catalog.pg_current_wal_lsn()
                END::text"
    } else {
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                     THEN pg_catalog.pg_last_xlog_replay_location()
                     ELSE pg_catalog.pg_current_xlog_location()
                END::text"
    };
    let row = client.query_one(query, &[]).await?;
    parse_lsn(row.try_get(0)?)
}

fn parse_lsn(text: &str) -> Result<Lsn, Error> {
    text.parse()
        .map_err(|error: rowcast_domain::ParseLsnError| Error::Protocol(error.to_string()))
}
