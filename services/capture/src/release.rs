//! Removes everything that a task has made, on the source and on NATS, and looks that it is gone.

use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_pg::ddl_trigger;
use rowcast_pg::{ErrorClass, Session, publication, settings, slot};
use rowcast_proto::message::{SourceConnection, TaskSpec};
use rowcast_proto::stream::source_object;

use crate::connection;
use crate::error::{Error, StopReason};
use crate::prepare::{PGOUTPUT_SINCE, stream};
use crate::worker::Platform;

/// SQLSTATE of what our role may not do.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Removes; may be repeated. What is on NATS goes in any case.
///
/// # Errors
/// Where something cannot be removed: what, and the SQL that removes it.
pub(crate) async fn release(
    platform: &Platform,
    task: &TaskId,
    spec: &TaskSpec,
) -> Result<(), Error> {
    stream::remove(&platform.data, task).await?;
    forget_schemas(&platform.schemas, task).await?;
    for bucket in [&platform.checkpoints, &platform.tracked] {
        bucket.purge(task.as_str()).await.map_err(Error::broker)?;
    }
    if let Some(source) = &spec.source {
        match clean_source(platform, task, source).await {
            Err(Error::Source(error)) if error.class() == ErrorClass::Definite => {
                return Err(left_behind(task, &error.to_string(), None).into());
            }
            cleaned => cleaned?,
        }
    }
    tracing::info!(%task, "slot, publication and stream removed");
    Ok(())
}

async fn clean_source(
    platform: &Platform,
    task: &TaskId,
    source: &SourceConnection,
) -> Result<(), Error> {
    let options = connection::options(source, platform)?;
    let session = rowcast_pg::connect(&options).await?;
    let name = source_object(task);
    let version = settings::read(&session).await?.server_version;
    slot::drop(&session, &name).await?;
    if slot::find(&session, &name).await?.is_some() {
        return Err(left_behind(task, "the slot is still there", Some(version)).into());
    }
    if version < PGOUTPUT_SINCE {
        return clean_trigger(&session, task, version).await;
    }
    publication::drop(&session, &name).await?;
    if publication::find(&session, &name).await?.is_some() {
        let cause = "the publication is still there";
        return Err(left_behind(task, cause, Some(version)).into());
    }
    clean_trigger(&session, task, version).await
}

/// Removes the trigger that tells schema changes, once no task in the database needs it.
async fn clean_trigger(session: &Session, task: &TaskId, server_version: u32) -> Result<(), Error> {
    let own = source_object(task);
    match ddl_trigger::uninstall_unless_needed(session, &own, server_version).await {
        // Who may not remove it did not install it: it stays with whoever did.
        Err(error) if error.sqlstate() == Some(INSUFFICIENT_PRIVILEGE) => {
            let sql = ddl_trigger::uninstall_sql();
            tracing::warn!(%task, %error, sql, "the trigger for schema changes stays");
            Ok(())
        }
        removed => Ok(removed?),
    }
}

/// The server's version is `None` where it did not let us in.
fn left_behind(task: &TaskId, cause: &str, server_version: Option<u32>) -> StopReason {
    let name = source_object(task);
    let mut sql = format!("SELECT pg_drop_replication_slot('{name}');");
    // Before 10 the whole text would be refused because of it.
    if server_version.is_none_or(|version| version >= PGOUTPUT_SINCE) {
        sql.push_str(&format!(" DROP PUBLICATION IF EXISTS {name};"));
    }
    StopReason::NotRemoved {
        what: format!("the slot and the publication {name} ({cause})"),
        sql,
    }
}

async fn forget_schemas(schemas: &kv::Store, task: &TaskId) -> Result<(), Error> {
    let prefix = format!("{task}.");
    let mut keys = schemas.keys().await.map_err(Error::broker)?;
    while let Some(key) = keys.next().await {
        let key = key.map_err(Error::broker)?;
        if key.starts_with(&prefix) {
            schemas.purge(&key).await.map_err(Error::broker)?;
        }
    }
    Ok(())
}
