//! Publication and slot on the source.

use std::collections::BTreeSet;

use rowcast_domain::{Lsn, TableName, TaskId};
use rowcast_pg::catalog::{self, Persistence, TableInfo, TableKind};
use rowcast_pg::publication::{self, Selection};
use rowcast_pg::settings::Privileges;
use rowcast_pg::{ReplicationConnection, Session, slot};
use rowcast_proto::message::{ChangeTypes, ObjectSelection};
use rowcast_proto::stream;

use crate::error::{Error, StopReason};

/// First version with publications of schemas (PostgreSQL docs, "CREATE PUBLICATION").
const SCHEMA_PUBLICATIONS_SINCE: u32 = 150_000;

/// First version that publishes partitioned tables under their own name; before, the partitions are
/// published.
const PUBLISHED_ROOTS_SINCE: u32 = 130_000;

/// Makes the publication, if it is not there, from the task's objects.
///
/// # Errors
/// Where the source refuses, or nothing matches.
pub(crate) async fn ensure_publication(
    session: &Session,
    task: &TaskId,
    objects: &ObjectSelection,
    change_types: &ChangeTypes,
    server_version: u32,
    privileges: &Privileges,
) -> Result<(), Error> {
    let name = stream::source_object(task);
    if publication::find(session, &name).await?.is_some() {
        return Ok(());
    }
    let selection = select(session, objects, server_version, privileges.superuser).await?;
    let publish: Vec<&str> = change_types.data.iter().map(String::as_str).collect();
    publication::create(session, &name, &selection, &publish, server_version).await?;
    tracing::info!(publication = name, "publication created");
    Ok(())
}

/// Checks that the publication still has every table that the user named.
///
/// # Errors
/// Where it is gone or lacks one.
pub(crate) async fn check_publication(
    session: &Session,
    task: &TaskId,
    objects: &ObjectSelection,
) -> Result<(), Error> {
    let name = stream::source_object(task);
    let Some(found) = publication::find(session, &name).await? else {
        return Err(StopReason::PublicationMissing(format!("{name} does not exist")).into());
    };
    let published: BTreeSet<&TableName> = found.tables.iter().collect();
    match named_tables(objects)
        .iter()
        .find(|table| !published.contains(table))
    {
        None => Ok(()),
        Some(table) => {
            Err(StopReason::PublicationMissing(format!("{name} no longer has {table}")).into())
        }
    }
}

/// Makes the slot, if it is not there, and gives where it stands.
///
/// Only after the publication: a slot made first decodes changes with a catalog in which the
/// publication does not exist.
///
/// # Errors
/// Where the source refuses.
pub(crate) async fn ensure_slot(
    session: &Session,
    connection: &mut ReplicationConnection,
    task: &TaskId,
) -> Result<Lsn, Error> {
    let name = stream::source_object(task);
    if let Some(found) = slot::find(session, &name).await? {
        if found.active && found.confirmed_flush_lsn.is_none() {
            // An earlier start still waits for a transaction to end: the server does not notice
            // that nobody listens.
            return Err(Error::SlotBeingMade);
        }
        return found.confirmed_flush_lsn.ok_or_else(|| {
            let cause = "the replication slot has no position".to_owned();
            StopReason::Gap {
                from: Lsn::INVALID,
                cause,
            }
            .into()
        });
    }
    let consistent_point = connection
        .create_logical_slot(&name, "pgoutput", false)
        .await?;
    tracing::info!(slot = name, %consistent_point, "slot created");
    Ok(consistent_point)
}

/// What the publication must hold: as wide as the server and the role allow, so that new tables join
/// by themselves, else the tables of today.
async fn select(
    session: &Session,
    objects: &ObjectSelection,
    server_version: u32,
    superuser: bool,
) -> Result<Selection, Error> {
    if objects.all && superuser {
        return Ok(Selection::AllTables);
    }
    let whole_schemas: Vec<String> = objects
        .schemas
        .iter()
        .filter(|schema| schema.all)
        .map(|s| s.name.clone())
        .collect();
    let only_schemas = !objects.all && whole_schemas.len() == objects.schemas.len();
    if only_schemas && superuser && server_version >= SCHEMA_PUBLICATIONS_SINCE {
        return Ok(Selection::Schemas(whole_schemas));
    }
    let wide = if objects.all {
        Selection::AllTables
    } else {
        Selection::Schemas(whole_schemas)
    };
    let mut tables: BTreeSet<TableName> = catalog::tables(session, &wide)
        .await?
        .into_iter()
        // Changes of a partition come under its root, where a root can be published.
        .filter(|table| {
            let published = if server_version >= PUBLISHED_ROOTS_SINCE {
                !table.is_partition
            } else {
                table.kind == TableKind::Table
            };
            is_trackable(table) && published
        })
        .map(|table| table.name)
        .collect();
    let named = named_tables(objects);
    let found = catalog::tables(session, &Selection::Tables(named.clone())).await?;
    for name in named {
        if !found
            .iter()
            .any(|table| table.name == name && is_trackable(table))
        {
            return Err(StopReason::TableMissing(name.to_string()).into());
        }
        tables.insert(name);
    }
    if tables.is_empty() {
        return Err(StopReason::NothingToTrack.into());
    }
    Ok(Selection::Tables(tables.into_iter().collect()))
}

fn named_tables(objects: &ObjectSelection) -> Vec<TableName> {
    let schemas = objects
        .schemas
        .iter()
        .filter(|schema| !objects.all && !schema.all);
    schemas
        .flat_map(|schema| {
            schema
                .tables
                .iter()
                .map(|table| TableName::new(&schema.name, table))
        })
        .collect()
}

fn is_trackable(table: &TableInfo) -> bool {
    let kind = match table.kind {
        TableKind::Table | TableKind::Partitioned => true,
        TableKind::View | TableKind::MaterializedView | TableKind::Foreign => false,
    };
    kind && table.persistence == Persistence::Permanent
}
