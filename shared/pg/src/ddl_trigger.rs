//! The event triggers by which a source tells its schema changes (PostgreSQL docs, "Event
//! Triggers").
//!
//! ```text
//! ddl_command_start   CREATE, ALTER EXTENSION: what their scripts drop is no user's command
//! table_rewrite       the command rewrites a table
//! sql_drop            one event for each object that a DROP names, and for each table it takes along
//! ddl_command_end     one event for each object that was created or altered
//! ```
//!
//! All call one function, which writes each event into the WAL of the transaction that changes the
//! schema: as a logical message since 14, as a row of [`LOG_TABLE`] before. The event is JSON with
//! the members `command`, `object_type`, `object`, `text`, `user`, `dropped` and `rewritten` of a
//! change's `ddl`, and `schema` and `table`, which are null where the object has none or where the
//! catalog no longer knows them, as of a dropped index.
//!
//! An event stands behind what its command did: the rows of a `CREATE TABLE AS` come before it. A
//! change of roles, databases and tablespaces fires no event trigger. 9.4 knows no objects: there,
//! the event has the command and the text only, and is also told of temporary tables.
//!
//! `text` is what the client submitted, with whatever it holds, as the password of a user mapping.
//!
//! The triggers are enabled as any: they fire in sessions whose `session_replication_role` is
//! `origin` or `local`. A tool that applies the commands of another server sets `replica`, and
//! there those commands were told already; `ENABLE ALWAYS` would tell them twice.

use rowcast_domain::TableName;
use tokio_postgres::Client;

use crate::{Error, publication};

/// The schema on a source that holds what Rowcast puts there.
pub const SCHEMA: &str = "rowcast";
/// Prefix of the logical messages (since 14). Any role may write such a message.
pub const MESSAGE_PREFIX: &str = "rowcast.ddl";
/// Prefix of the empty logical message that follows the events of a command, and is nothing to tell
/// (`pad_message.sql` says why it must be there).
///
/// Whether it stands before or after the next row is not defined, so it must not be counted.
pub const PADDING_PREFIX: &str = "rowcast.pad";
/// The table of schema [`SCHEMA`] that a row is inserted into, and at once deleted from, before 14.
pub const LOG_TABLE: &str = "ddl_log";
/// The publication of the inserts into [`LOG_TABLE`], from 10 on and before 14.
///
/// `pgoutput` needs it beside the task's own: a publication's operations are those of all its tables,
/// so the task's cannot leave out the deletes of one. It comes with the triggers, for only the owner
/// of the table may make it.
pub const LOG_PUBLICATION: &str = "rowcast_ddl";
/// Characters of a submission that an event repeats. A submission of a thousand commands makes a
/// thousand events.
pub const TEXT_LIMIT: u32 = 100_000;

/// The comment of everything installed; that of the function goes on with its version.
const MARKER: &str = "Installed by Rowcast to tell schema changes.";
/// Number of the function's text: rises with each change of it.
const FUNCTION_VERSION: u32 = 2;
/// The first version with `pg_event_trigger_ddl_commands` and `table_rewrite`.
const COMMANDS_SINCE: u32 = 90_500;
/// The first version with `pgoutput` and publications.
const PUBLICATIONS_SINCE: u32 = 100_000;
/// The first version whose `pgoutput` sends logical messages.
const MESSAGES_SINCE: u32 = 140_000;
/// Of the transaction-level advisory lock that keeps installations apart: "rowcast" in ASCII.
const LOCK_KEY: i64 = 0x72_6f77_6361_7374;
/// Roles of hosted servers that may create event triggers on some of them, in some versions.
const MANAGED_ADMIN_ROLES: [&str; 6] = [
    "rds_superuser",
    "cloudsqlsuperuser",
    "alloydbsuperuser",
    "azure_pg_admin",
    "neon_superuser",
    "supabase_privileged_role",
];

/// Whether a source tells its schema changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriggerState {
    /// It does not: nothing is installed.
    Missing,
    /// It does.
    Installed,
    /// It does not, or not as this version of Rowcast and of the server needs it: installing again
    /// repairs it.
    Outdated,
    /// It does not: somebody has disabled a trigger, or all event triggers of the server.
    Disabled,
}

/// Whether the role we are logged in as may install the triggers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// It is a superuser.
    Yes,
    /// The server is a hosted one that may let this role create event triggers; only trying tells.
    Maybe,
    /// Only superusers may, up to PostgreSQL 18 (PostgreSQL docs, "CREATE EVENT TRIGGER").
    No,
}

/// An event trigger.
struct Trigger {
    name: &'static str,
    event: &'static str,
    filter: &'static str,
}

/// In 9.4 only the last is there, and tells the command alone.
const TRIGGERS: [Trigger; 4] = [
    Trigger {
        name: "rowcast_ddl_command_start",
        event: "ddl_command_start",
        filter: " WHEN TAG IN ('CREATE EXTENSION', 'ALTER EXTENSION')",
    },
    Trigger {
        name: "rowcast_table_rewrite",
        event: "table_rewrite",
        filter: "",
    },
    Trigger {
        name: "rowcast_sql_drop",
        event: "sql_drop",
        filter: "",
    },
    Trigger {
        name: "rowcast_ddl_command_end",
        event: "ddl_command_end",
        filter: "",
    },
];

/// The statements that install the triggers or bring them up to date, in one transaction, for a
/// user who has to run them with another role.
///
/// They refuse, with SQLSTATE 42501, a schema [`SCHEMA`] of which anything belongs to a role that is
/// neither a superuser nor the one that installs.
#[must_use]
pub fn install_sql(server_version: u32) -> String {
    format!("BEGIN;\n{}COMMIT;\n", statements(server_version))
}

/// The statements that remove the triggers and all that [`install_sql`] made, and nothing else; a
/// schema that holds objects of somebody else stays.
#[must_use]
pub fn uninstall_sql() -> String {
    include_str!("ddl_trigger/uninstall.sql").replace("{marker}", MARKER)
}

/// Installs the triggers or brings them up to date, all or nothing; see [`install_sql`].
pub async fn install(client: &Client, server_version: u32) -> Result<(), Error> {
    run(client, &statements(server_version)).await
}

/// As [`install`], unless it is done already. Nobody removes them meanwhile, nor afterwards, if the task
/// has made its publication before ([`uninstall_unless_needed`]).
pub async fn ensure(client: &Client, server_version: u32) -> Result<(), Error> {
    let ensured = async {
        begin(client).await?;
        if state(client, server_version).await? != TriggerState::Installed {
            client.batch_execute(&statements(server_version)).await?;
        }
        Ok(())
    };
    end(client, ensured.await).await
}

/// Removes the triggers and all that came with them; missing ones are no error.
pub async fn uninstall(client: &Client) -> Result<(), Error> {
    run(client, &uninstall_sql()).await
}

/// As [`uninstall`], unless another task than that of this slot and publication may need the triggers.
pub async fn uninstall_unless_needed(
    client: &Client,
    own: &str,
    server_version: u32,
) -> Result<(), Error> {
    let removed = async {
        begin(client).await?;
        let needed = other_tasks(client, own, server_version).await?;
        if !needed && state(client, server_version).await? != TriggerState::Missing {
            client.batch_execute(&uninstall_sql()).await?;
        }
        Ok(())
    };
    end(client, removed.await).await
}

/// Looks whether the triggers are there, as this version needs them, and enabled.
pub async fn state(client: &Client, server_version: u32) -> Result<TriggerState, Error> {
    let triggers = triggers(server_version);
    let names: Vec<&str> = triggers.iter().map(|trigger| trigger.name).collect();
    let row = client
        .query_one(
            "WITH told AS (
                 SELECT p.oid,
                        pg_catalog.obj_description(p.oid, 'pg_proc') AS comment
                 FROM pg_catalog.pg_proc AS p
                 JOIN pg_catalog.pg_namespace AS n
                   ON n.oid = p.pronamespace
                 WHERE n.nspname = $2
                   AND p.proname = 'tell_ddl'
                   AND p.pronargs = 0
             ), fired AS (
                 SELECT e.evtenabled IN ('O', 'A') AS enabled,
                        e.evtfoid IN (SELECT t.oid FROM told AS t) AS ours
                 FROM pg_catalog.pg_event_trigger AS e
                 WHERE e.evtname = ANY ($1)
             )
             SELECT (SELECT t.comment FROM told AS t),
                    EXISTS (SELECT 1 FROM told),
                    (SELECT pg_catalog.count(*) FROM fired),
                    (SELECT pg_catalog.count(*) FROM fired AS f WHERE f.ours),
                    (SELECT COALESCE(pg_catalog.bool_and(f.enabled), false) FROM fired AS f),
                    EXISTS (SELECT 1
                            FROM pg_catalog.pg_class AS c
                            JOIN pg_catalog.pg_namespace AS n
                              ON n.oid = c.relnamespace
                            WHERE n.nspname = $2
                              AND c.relname = $3),
                    -- Since 17, for a server whose triggers keep everybody out.
                    EXISTS (SELECT 1
                            FROM pg_catalog.pg_settings AS s
                            WHERE s.name = 'event_triggers'
                              AND s.setting = 'off')",
            &[&names, &SCHEMA, &LOG_TABLE],
        )
        .await?;
    let comment: Option<&str> = row.try_get(0)?;
    let (function, found, ours): (bool, i64, i64) =
        (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
    let (enabled, log_table, off): (bool, bool, bool) =
        (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
    let publishes = (PUBLICATIONS_SINCE..MESSAGES_SINCE).contains(&server_version);
    let published = !publishes || is_log_published(client).await?;
    let complete = published
        && comment == Some(function_comment(server_version).as_str())
        && usize::try_from(ours) == Ok(triggers.len())
        && (log_table || server_version >= MESSAGES_SINCE);
    Ok(if !function && found == 0 {
        TriggerState::Missing
    } else if !complete {
        TriggerState::Outdated
    } else if off || !enabled {
        TriggerState::Disabled
    } else {
        TriggerState::Installed
    })
}

async fn is_log_published(client: &Client) -> Result<bool, Error> {
    let found = publication::find(client, LOG_PUBLICATION).await?;
    let log_table = TableName::new(SCHEMA, LOG_TABLE);
    Ok(found.is_some_and(|found| found.publish == ["insert"] && found.tables == [log_table]))
}

/// Tells, as far as it can be known without trying, whether [`install`] can succeed.
pub async fn can_install(client: &Client) -> Result<Permission, Error> {
    let row = client
        .query_one(
            "SELECT r.rolsuper,
                    EXISTS (SELECT 1
                            FROM pg_catalog.pg_roles AS g
                            WHERE g.rolname = ANY ($1)
                              AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER'))
                    -- The role that Supabase gives its users.
                    OR (r.rolname = 'postgres'
                        AND EXISTS (SELECT 1
                                    FROM pg_catalog.pg_roles AS g
                                    WHERE g.rolname = 'supabase_admin'))
             FROM pg_catalog.pg_roles AS r
             WHERE r.rolname = CURRENT_USER",
            &[&MANAGED_ADMIN_ROLES.as_slice()],
        )
        .await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Permission::Yes,
        (false, true) => Permission::Maybe,
        (false, false) => Permission::No,
    })
}

/// Whether another task has a slot in this database, or a publication, which it makes first: it may need
/// the triggers, so that they must stay. Both are known by their names.
pub async fn other_tasks(client: &Client, own: &str, server_version: u32) -> Result<bool, Error> {
    let by_slot = "SELECT s.slot_name::text
         FROM pg_catalog.pg_replication_slots AS s
         WHERE s.database = pg_catalog.current_database()";
    let by_publication = if server_version >= PUBLICATIONS_SINCE {
        "UNION ALL SELECT p.pubname::text FROM pg_catalog.pg_publication AS p"
    } else {
        ""
    };
    let query = format!(
        "SELECT EXISTS (SELECT 1
                        FROM ({by_slot} {by_publication}) AS o (name)
                        WHERE pg_catalog.left(o.name, 8) = 'rowcast_'
                          AND o.name NOT IN ($1, $2))"
    );
    let row = client.query_one(&query, &[&own, &LOG_PUBLICATION]).await?;
    Ok(row.try_get(0)?)
}

/// Begins a transaction that keeps other installations apart.
async fn begin(client: &Client) -> Result<(), Error> {
    let lock = format!("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock({LOCK_KEY})");
    Ok(client.batch_execute(&lock).await?)
}

/// Ends it, as what was done in it has ended.
async fn end(client: &Client, done: Result<(), Error>) -> Result<(), Error> {
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await;
    done?;
    Ok(ended?)
}

/// Runs statements as one transaction, one session at a time.
async fn run(client: &Client, statements: &str) -> Result<(), Error> {
    // One simple query is one transaction. Without the lock, the second of two sessions that replace
    // the same row of the catalog fails.
    client
        .batch_execute(&format!(
            "SELECT pg_catalog.pg_advisory_xact_lock({LOCK_KEY});\n{statements}"
        ))
        .await?;
    Ok(())
}

/// The triggers that a version has.
fn triggers(server_version: u32) -> &'static [Trigger] {
    let [.., last] = TRIGGERS.as_slice() else {
        return &[];
    };
    if server_version >= COMMANDS_SINCE {
        &TRIGGERS
    } else {
        std::slice::from_ref(last)
    }
}

fn statements(server_version: u32) -> String {
    let by_message = server_version >= MESSAGES_SINCE;
    let function = if server_version >= COMMANDS_SINCE {
        include_str!("ddl_trigger/function.sql")
    } else {
        include_str!("ddl_trigger/function_by_tag.sql")
    };
    let emit = if by_message {
        include_str!("ddl_trigger/emit_message.sql")
    } else {
        include_str!("ddl_trigger/emit_row.sql")
    };
    let pad = if by_message {
        include_str!("ddl_trigger/pad_message.sql")
    } else {
        // A row counts as standing at its beginning.
        ""
    };
    let mut sql = include_str!("ddl_trigger/prepare.sql").to_owned();
    if !by_message {
        sql.push_str(include_str!("ddl_trigger/log_table.sql"));
    }
    if (PUBLICATIONS_SINCE..MESSAGES_SINCE).contains(&server_version) {
        sql.push_str(include_str!("ddl_trigger/log_publication.sql"));
    }
    let function = function.replace("{emit}", emit.trim_end());
    sql.push_str(&function.replace("{pad}", pad.trim_end()));
    let comment = function_comment(server_version);
    sql.push_str(&format!(
        "COMMENT ON FUNCTION {SCHEMA}.tell_ddl() IS '{comment}';\n"
    ));
    for trigger in triggers(server_version) {
        let Trigger {
            name,
            event,
            filter,
        } = trigger;
        // Made anew, so that a disabled one is enabled.
        sql.push_str(&format!(
            "DROP EVENT TRIGGER IF EXISTS {name};\n\
             CREATE EVENT TRIGGER {name} ON {event}{filter} EXECUTE PROCEDURE {SCHEMA}.tell_ddl();\n\
             COMMENT ON EVENT TRIGGER {name} IS '{MARKER}';\n"
        ));
    }
    sql.replace("{marker}", MARKER)
        .replace("{text_limit}", &TEXT_LIMIT.to_string())
        .replace("{prefix}", MESSAGE_PREFIX)
        .replace("{padding}", PADDING_PREFIX)
}

/// Names the way events are told too, which an upgrade of the server changes.
fn function_comment(server_version: u32) -> String {
    let way = if server_version >= MESSAGES_SINCE {
        "message"
    } else if server_version >= COMMANDS_SINCE {
        "row"
    } else {
        "row by tag"
    };
    format!("{MARKER} Version {FUNCTION_VERSION}, {way}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_gets_what_it_has() {
        let by_tag = install_sql(90_426);
        assert!(!by_tag.contains("sql_drop") && !by_tag.contains("pg_event_trigger_ddl_commands"));
        assert!(by_tag.contains("ddl_log") && !by_tag.contains("PUBLICATION"));
        let by_row = install_sql(130_000);
        assert!(by_row.contains("table_rewrite") && by_row.contains(LOG_PUBLICATION));
        let by_message = install_sql(140_000);
        assert!(by_message.contains(MESSAGE_PREFIX) && !by_message.contains("ddl_log"));
        for sql in [by_tag, by_row, by_message, uninstall_sql()] {
            assert!(!sql.contains('{'), "{sql}");
        }
    }
}
