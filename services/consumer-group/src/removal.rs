//! The end of a group, with the fact that tells of it.

use chrono::{DateTime, Utc};
use rowcast_bus::event_meta;
use rowcast_proto::message::GroupDeleted;
use sqlx::postgres::PgPool;

use crate::store::group::Group;
use crate::{outbox, store};

/// Marks the group as deleted: nobody logs in from now on. `false` where it was before.
pub(crate) async fn mark(
    pool: &PgPool,
    group: &Group,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    let deleted = store::group::delete(&mut transaction, &group.id, now).await?;
    if deleted {
        let event = GroupDeleted {
            meta: Some(event_meta()),
            group_id: group.id.to_string(),
            task_id: group.task_id.to_string(),
        };
        outbox::append(&mut transaction, &event).await?;
        transaction.commit().await?;
    }
    Ok(deleted)
}
