//! The tables that a publication may list (PostgreSQL docs, "Logical Replication", "Publication").

use rowcast_domain::{Lsn, TableName};

use crate::{Error, Session};

/// A permanent table of a user, from the view of one publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publishable {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema and name.
    pub name: TableName,
    /// It only has partitions; listed since 13.
    pub partitioned: bool,
    /// Of a partition, the topmost partitioned table above it.
    pub root: Option<TableName>,
    /// The WAL identifies its updated and deleted rows, which a deferrable key does not. PostgreSQL
    /// refuses to update or delete rows of a table without identity once a publication sends its updates
    /// or deletes, and from 18 on also where the identity is the whole row and a column is computed when
    /// it is read (SQLSTATE 42P10).
    pub has_identity: bool,
    /// The publication lists it.
    pub listed: bool,
}

/// The tables of the database, and which of them `publication` lists by itself; those that come with
/// a publication of all tables or of a schema are not listed. Needs PostgreSQL 10.
pub async fn tables(session: &Session, publication: &str) -> Result<Vec<Publishable>, Error> {
    let query = session.prepared(TABLES).await?;
    let rows = session.query(&query, &[&publication]).await?;
    rows.iter()
        .map(|row| {
            let root: Option<String> = row.try_get(4)?;
            let root_table: Option<String> = row.try_get(5)?;
            let name = TableName::new(row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?);
            Ok(Publishable {
                oid: row.try_get(0)?,
                name,
                partitioned: row.try_get(3)?,
                root: root
                    .zip(root_table)
                    .map(|(schema, table)| TableName::new(schema, table)),
                has_identity: row.try_get(6)?,
                listed: row.try_get(7)?,
            })
        })
        .collect()
}

const TABLES: &str = "
    WITH RECURSIVE above (leaf, parent) AS (
        SELECT i.inhrelid, i.inhparent
        FROM pg_catalog.pg_inherits AS i
        JOIN pg_catalog.pg_class AS c
          ON c.oid = i.inhrelid
        WHERE c.relispartition
        UNION ALL
        SELECT a.leaf, i.inhparent
        FROM above AS a
        JOIN pg_catalog.pg_class AS c
          ON c.oid = a.parent
        JOIN pg_catalog.pg_inherits AS i
          ON i.inhrelid = a.parent
        WHERE c.relispartition
    ), roots AS (
        SELECT a.leaf, n.nspname, c.relname
        FROM above AS a
        JOIN pg_catalog.pg_class AS c
          ON c.oid = a.parent
        JOIN pg_catalog.pg_namespace AS n
          ON n.oid = c.relnamespace
        WHERE NOT c.relispartition
    )
    SELECT c.oid,
           n.nspname::text,
           c.relname::text,
           c.relkind = 'p',
           r.nspname::text,
           r.relname::text,
           CASE c.relreplident
           WHEN 'f' THEN NOT EXISTS (SELECT 1
                                     FROM pg_catalog.pg_attribute AS a
                                     WHERE a.attrelid = c.oid
                                       AND NOT a.attisdropped
                                       AND pg_catalog.row_to_json(a) ->> 'attgenerated' = 'v')
           WHEN 'n' THEN false
           ELSE EXISTS (SELECT 1
                        FROM pg_catalog.pg_index AS i
                        WHERE i.indrelid = c.oid
                          AND i.indisvalid
                          AND i.indimmediate
                          AND CASE c.relreplident
                              WHEN 'd' THEN i.indisprimary
                              ELSE i.indisreplident
                              END)
           END,
           EXISTS (SELECT 1
                   FROM pg_catalog.pg_publication_rel AS m
                   JOIN pg_catalog.pg_publication AS p
                     ON p.oid = m.prpubid
                   WHERE p.pubname = $1
                     AND m.prrelid = c.oid)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n
      ON n.oid = c.relnamespace
    LEFT JOIN roots AS r
      ON r.leaf = c.oid
    WHERE c.relkind IN ('r', 'p')
      AND c.relpersistence = 'p'
      AND n.nspname !~ '^pg_'
      AND n.nspname NOT IN ('information_schema', 'rowcast')
    ORDER BY 2, 3";

/// The end of the WAL that is inserted, on a standby of what is replayed: every transaction that others
/// see as ended has its commit record before it, one with `synchronous_commit = off` too.
pub async fn insert_lsn(session: &Session, server_version: u32) -> Result<Lsn, Error> {
    let query = if server_version >= 100_000 {
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                     THEN pg_catalog.pg_last_wal_replay_lsn()
                     ELSE pg_catalog.pg_current_wal_insert_lsn()
                END::text"
    } else {
        "SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
                     THEN pg_catalog.pg_last_xlog_replay_location()
                     ELSE pg_catalog.pg_current_xlog_insert_location()
                END::text"
    };
    let query = session.prepared(query).await?;
    let row = session.query_one(&query, &[]).await?;
    row.try_get::<_, &str>(0)?
        .parse()
        .map_err(|error: rowcast_domain::ParseLsnError| Error::Protocol(error.to_string()))
}
