//! Tables `members` and `shares`: who reads what of a group. All in a transaction that has locked the group.

use rowcast_domain::GroupId;
use sqlx::postgres::PgConnection;

/// A part of a group's changes that one member at a time reads.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Share {
    /// The consumer that it is read with.
    pub(crate) consumer: String,
    pub(crate) holder: Option<String>,
    /// Counts how often it was given to somebody.
    pub(crate) epoch: i64,
    /// Whether what its last holder was sent must come again at once.
    pub(crate) is_left: bool,
}

/// Lets one transaction at a time decide about the shares of a group.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    group: &GroupId,
) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT FROM groups WHERE id = $1 FOR NO KEY UPDATE")
        .bind(group.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// The shares of a group, by their names.
pub(crate) async fn of_group(
    connection: &mut PgConnection,
    group: &GroupId,
) -> Result<Vec<Share>, sqlx::Error> {
    sqlx::query_as(
        "SELECT consumer, holder, epoch, is_left
         FROM shares
         WHERE group_id = $1
         ORDER BY consumer",
    )
    .bind(group.as_str())
    .fetch_all(connection)
    .await
}

/// Adds those shares that are missing.
pub(crate) async fn add(
    connection: &mut PgConnection,
    group: &GroupId,
    consumers: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO shares (group_id, consumer)
         SELECT $1, unnest($2::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(group.as_str())
    .bind(consumers)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a member has asked, by the database's clock.
pub(crate) async fn hear(
    connection: &mut PgConnection,
    group: &GroupId,
    member: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO members (group_id, id, joined_at, heard_at)
         VALUES ($1, $2, clock_timestamp(), clock_timestamp())
         ON CONFLICT (group_id, id) DO UPDATE SET heard_at = clock_timestamp()",
    )
    .bind(group.as_str())
    .bind(member)
    .execute(connection)
    .await?;
    Ok(())
}

/// The members of a group, those first that joined first.
pub(crate) async fn members(
    connection: &mut PgConnection,
    group: &GroupId,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM members WHERE group_id = $1 ORDER BY joined_at, id")
        .bind(group.as_str())
        .fetch_all(connection)
        .await
}

/// Members that have not asked for so many milliseconds.
pub(crate) async fn silent(
    connection: &mut PgConnection,
    group: &GroupId,
    milliseconds: i64,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id
         FROM members
         WHERE group_id = $1
           AND heard_at < clock_timestamp() - $2 * interval '1 millisecond'",
    )
    .bind(group.as_str())
    .bind(milliseconds)
    .fetch_all(connection)
    .await
}

/// Takes members from the group; nobody holds what they held.
pub(crate) async fn leave(
    connection: &mut PgConnection,
    group: &GroupId,
    members: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE shares
         SET holder = NULL, is_left = true
         WHERE group_id = $1
           AND holder = ANY ($2)",
    )
    .bind(group.as_str())
    .bind(members)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM members WHERE group_id = $1 AND id = ANY ($2)")
        .bind(group.as_str())
        .bind(members)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets who read a group that is gone.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    group: &GroupId,
) -> Result<(), sqlx::Error> {
    for query in [
        "DELETE FROM shares WHERE group_id = $1",
        "DELETE FROM members WHERE group_id = $1",
    ] {
        sqlx::query(query)
            .bind(group.as_str())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Takes a share from the member that lets it go, if it holds it since then.
pub(crate) async fn release(
    connection: &mut PgConnection,
    group: &GroupId,
    member: &str,
    (consumer, epoch): (&str, i64),
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE shares
         SET holder = NULL, is_left = true
         WHERE group_id = $1
           AND consumer = $2
           AND holder = $3
           AND epoch = $4",
    )
    .bind(group.as_str())
    .bind(consumer)
    .bind(member)
    .bind(epoch)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives a share that nobody holds to a member.
pub(crate) async fn give(
    connection: &mut PgConnection,
    group: &GroupId,
    consumer: &str,
    member: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE shares
         SET holder = $3, epoch = epoch + 1, is_left = false
         WHERE group_id = $1
           AND consumer = $2
           AND holder IS NULL",
    )
    .bind(group.as_str())
    .bind(consumer)
    .bind(member)
    .execute(connection)
    .await?;
    Ok(())
}
