//! Removes everything that a task has made, on the source and on NATS, and looks that it is gone.

use futures::StreamExt as _;
use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::TaskId;
use rowcast_pg::{publication, slot};
use rowcast_proto::message::TaskSpec;
use rowcast_proto::stream::source_object;

use crate::connection;
use crate::error::{Error, StopReason};
use crate::prepare::stream;
use crate::worker::Platform;

/// Removes; may be repeated.
///
/// # Errors
/// Where something cannot be removed: what, and the SQL that removes it.
pub(crate) async fn release(
    platform: &Platform,
    task: &TaskId,
    spec: &TaskSpec,
) -> Result<(), Error> {
    if let Some(source) = &spec.source {
        let options = connection::options(source, &platform.keyring)?;
        let session = rowcast_pg::connect(&options).await?;
        let name = source_object(task);
        slot::drop(&session, &name).await?;
        publication::drop(&session, &name).await?;
        if slot::find(&session, &name).await?.is_some() {
            let sql = format!("SELECT pg_drop_replication_slot('{name}')");
            return Err(StopReason::NotRemoved {
                what: format!("the slot {name}"),
                sql,
            }
            .into());
        }
        if publication::find(&session, &name).await?.is_some() {
            let sql = format!("DROP PUBLICATION {name}");
            return Err(StopReason::NotRemoved {
                what: format!("the publication {name}"),
                sql,
            }
            .into());
        }
    }
    stream::remove(&platform.data, task).await?;
    forget_schemas(&platform.schemas, task).await?;
    platform
        .checkpoints
        .purge(task.as_str())
        .await
        .map_err(Error::broker)?;
    tracing::info!(%task, "slot, publication and stream removed");
    Ok(())
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
