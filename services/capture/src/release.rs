//! Removes everything that a task has made, on the source and on NATS, and looks that it is gone.

use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_pg::{ErrorClass, publication, slot};
use rowcast_proto::message::{SourceConnection, TaskSpec};
use rowcast_proto::stream::source_object;

use crate::connection;
use crate::error::{Error, StopReason};
use crate::prepare::stream;
use crate::worker::Platform;

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
    platform
        .checkpoints
        .purge(task.as_str())
        .await
        .map_err(Error::broker)?;
    if let Some(source) = &spec.source {
        match clean_source(platform, task, source).await {
            Err(Error::Source(error)) if error.class() == ErrorClass::Definite => {
                return Err(left_behind(task, &error.to_string()).into());
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
    let options = connection::options(source, &platform.keyring)?;
    let session = rowcast_pg::connect(&options).await?;
    let name = source_object(task);
    slot::drop(&session, &name).await?;
    publication::drop(&session, &name).await?;
    let slot = slot::find(&session, &name).await?.is_some();
    if slot || publication::find(&session, &name).await?.is_some() {
        return Err(left_behind(task, "it is still there").into());
    }
    Ok(())
}

fn left_behind(task: &TaskId, cause: &str) -> StopReason {
    let name = source_object(task);
    StopReason::NotRemoved {
        what: format!("the slot and the publication {name} ({cause})"),
        sql: format!(
            "SELECT pg_drop_replication_slot('{name}'); DROP PUBLICATION IF EXISTS {name};"
        ),
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
