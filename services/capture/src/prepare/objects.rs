//! Publication, trigger and slot on the source.

use rowcast_domain::{Lsn, Selector};
use rowcast_pg::ddl_trigger;
use rowcast_pg::publication::Selection;
use rowcast_pg::{
    ErrorClass, ReplicationConnection, Session, catalog, publication, settings, slot,
};
use rowcast_proto::message::ChangeTypes;

use crate::error::{Error, StopReason};
use crate::prepare::settle::TEST_DECODING;
use crate::prepare::{MESSAGES_SINCE, PGOUTPUT_SINCE};
use crate::scope::{Means, Scope, View};

/// Makes the publication from the task's objects, or adds what it lacks of them.
///
/// # Errors
/// Where the source refuses, or something that the user named is not there.
pub(crate) async fn ensure_publication(
    session: &Session,
    name: &str,
    selector: &Selector,
    change_types: &ChangeTypes,
    means: Means,
) -> Result<(), Error> {
    let view = View::read(session, name, means).await?;
    if let Some(table) = view.missing(selector).into_iter().next() {
        return Err(StopReason::TableMissing(table.to_string()).into());
    }
    let wanted = view.scope(selector);
    // An open selection may have no tables yet.
    if wanted.is_empty() && !selector.is_open() {
        return Err(StopReason::NothingToTrack.into());
    }
    let publish: Vec<&str> = change_types.data.iter().map(String::as_str).collect();
    let version = means.server_version;
    match Scope::read(session, name).await? {
        None => {
            publication::create(session, name, &wanted.selection(), &publish, version).await?;
            tracing::info!(publication = name, "publication created");
        }
        Some(present) if present.missing(&wanted).is_some() => {
            publication::replace(session, name, &wanted.selection(), &publish, version).await?;
            tracing::info!(publication = name, "publication replaced");
        }
        Some(_) => {
            // An earlier start may have made it for other operations, and got no further.
            let found = publication::find(session, name).await?;
            if found.is_none_or(|found| !found.publishes_just(&publish, version)) {
                publication::publish(session, name, &publish, &view.must_leave(), version).await?;
                tracing::info!(publication = name, "publication altered");
            }
        }
    }
    Ok(())
}

/// Looks for the tables that the user named, where no publication lists them.
///
/// # Errors
/// Where one is missing.
pub(crate) async fn check_tables(session: &Session, selector: &Selector) -> Result<(), Error> {
    let named = Selection::Tables(selector.named_tables());
    let found = catalog::tables(session, &named).await?;
    let mut named = selector.named_tables().into_iter();
    match named.find(|name| !found.iter().any(|table| table.name == *name)) {
        None => Ok(()),
        Some(table) => Err(StopReason::TableMissing(table.to_string()).into()),
    }
}

/// Makes the trigger that tells schema changes, where our role may; the keeper warns where not. Tells
/// the publication of its log, which comes with it before 14.
///
/// # Errors
/// Where the source does not answer.
pub(crate) async fn ensure_trigger(
    session: &Session,
    server_version: u32,
) -> Result<Option<String>, Error> {
    let refused = |error: rowcast_pg::Error| match error.class() {
        ErrorClass::Definite => {
            tracing::warn!(%error, "the trigger for schema changes is not installed");
            Ok(())
        }
        ErrorClass::Transient => Err(error),
    };
    let ensured = ddl_trigger::ensure(session, server_version).await;
    ensured.or_else(refused)?;
    if !(PGOUTPUT_SINCE..MESSAGES_SINCE).contains(&server_version) {
        return Ok(None);
    }
    let name = ddl_trigger::LOG_PUBLICATION;
    let exists = publication::find(session, name).await?.is_some();
    Ok(exists.then(|| name.to_owned()))
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
    name: &str,
    plugin: &str,
) -> Result<Lsn, Error> {
    if let Some(found) = slot::find(session, name).await? {
        if found.active && found.confirmed_flush_lsn.is_none() {
            // An earlier start still waits for a transaction to end: the server does not notice
            // that nobody listens.
            return Err(Error::SlotBeingMade);
        }
        // Before 9.6 a slot tells only from where on it keeps WAL.
        let known = found.confirmed_flush_lsn;
        let oldest = found.restart_lsn.filter(|_| plugin == TEST_DECODING);
        return known.or(oldest).ok_or_else(|| {
            let cause = "the replication slot has no position".to_owned();
            StopReason::Gap {
                from: Lsn::INVALID,
                cause,
            }
            .into()
        });
    }
    let consistent_point = connection
        .create_logical_slot(name, plugin, !settings::in_recovery(session).await?)
        .await?;
    tracing::info!(slot = name, %consistent_point, "slot created");
    Ok(consistent_point)
}
