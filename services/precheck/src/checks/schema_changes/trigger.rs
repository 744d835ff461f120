//! The event triggers on the source (PostgreSQL docs, "Event Triggers").

use rowcast_pg::{Client, Error};

use super::{Permission, Triggers};

/// Roles that managed services give in the place of a superuser.
const MANAGED_ADMIN_ROLES: &[&str] = &[
    "rds_superuser",
    "cloudsqlsuperuser",
    "alloydbsuperuser",
    "azure_pg_admin",
    "neon_superuser",
    "supabase_privileged_role",
];

/// The statements that install the triggers, for a superuser to run.
pub(super) fn install_sql(server_version: u32) -> String {
    format!("-- schema rowcast with its event triggers, for server_version_num {server_version}")
}

/// Looks for the triggers by their names and the schema of their function.
pub(super) async fn find(client: &Client) -> Result<Triggers, Error> {
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

/// Whether the account may create event triggers, as far as it can be known without trying.
pub(super) async fn permission(client: &Client) -> Result<Permission, Error> {
    let row = client
        .query_one(
            "SELECT r.rolsuper,
                    EXISTS (SELECT 1
                            FROM pg_catalog.pg_roles AS g
                            WHERE g.rolname = ANY ($1)
                              AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER'))
             FROM pg_catalog.pg_roles AS r
             WHERE r.rolname = CURRENT_USER",
            &[&MANAGED_ADMIN_ROLES],
        )
        .await?;
    Ok(match (row.try_get(0)?, row.try_get(1)?) {
        (true, _) => Permission::Yes,
        (false, true) => Permission::Maybe,
        (false, false) => Permission::No,
    })
}
