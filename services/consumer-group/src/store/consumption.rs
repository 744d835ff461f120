//! The last samples of tasks' groups, in short.

use chrono::{DateTime, Utc};
use rowcast_domain::GroupId;
use sqlx::postgres::PgExecutor;

use crate::connection;

/// How the groups of a task get on.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Consumption {
    pub(crate) task_id: String,
    pub(crate) groups: i64,
    /// Absent where those of a group are not known.
    pub(crate) members: Option<i64>,
    /// Name of the group that is the furthest behind, and how it is with it; absent where none was looked at yet.
    pub(crate) slowest: Option<String>,
    pub(crate) delay_seconds: Option<i64>,
    pub(crate) unread: Option<i64>,
    pub(crate) acknowledged_sequence: Option<i64>,
    pub(crate) acknowledged_at: Option<DateTime<Utc>>,
    /// When it was looked at.
    pub(crate) at: Option<DateTime<Utc>>,
}

/// Of those of the tasks that have groups.
pub(crate) async fn of_tasks(
    executor: impl PgExecutor<'_>,
    task_ids: &[String],
) -> Result<Vec<Consumption>, sqlx::Error> {
    sqlx::query_as(
        "WITH latest AS (
             SELECT g.task_id, g.id, g.name, s.at, s.acknowledged_sequence, s.acknowledged_at, s.unread,
                    s.delay_seconds, s.members
             FROM groups g
             LEFT JOIN LATERAL (
                 SELECT * FROM samples WHERE group_id = g.id ORDER BY at DESC LIMIT 1
             ) s ON true
             WHERE g.task_id = ANY($1) AND g.deleted_at IS NULL
         ), counted AS (
             SELECT task_id, count(*) AS groups,
                    CASE WHEN bool_and(members IS NOT NULL) THEN sum(members)::bigint END AS members
             FROM latest
             GROUP BY task_id
         )
         SELECT DISTINCT ON (counted.task_id)
                counted.task_id, counted.groups, counted.members,
                CASE WHEN latest.at IS NOT NULL THEN latest.name END AS slowest,
                latest.delay_seconds, latest.unread, latest.acknowledged_sequence,
                latest.acknowledged_at, latest.at
         FROM counted
         JOIN latest USING (task_id)
         ORDER BY counted.task_id, latest.delay_seconds DESC NULLS LAST, latest.unread DESC NULLS LAST, latest.id",
    )
    .bind(task_ids)
    .fetch_all(executor)
    .await
}

/// Of each group of the tasks, its task and the login of its clients.
pub(crate) async fn logins(
    executor: impl PgExecutor<'_>,
    task_ids: &[String],
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT task_id, account, id
         FROM groups
         WHERE task_id = ANY($1)
           AND deleted_at IS NULL",
    )
    .bind(task_ids)
    .fetch_all(executor)
    .await?;
    let login = |(task_id, account, id): (String, String, String)| {
        let group: Result<GroupId, _> = id.parse();
        let group = group.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok((task_id, connection::login(&account, &group)))
    };
    rows.into_iter().map(login).collect()
}
