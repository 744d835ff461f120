//! What is in a database: schemas, tables, types (PostgreSQL docs, "System Catalogs").

use rowcast_domain::TableName;
use tokio_postgres::{Client, Row};

use crate::publication::Selection;
use crate::{Error, Session};

mod type_info;

pub use type_info::{TypeInfo, TypeKind, types};

/// A relation that a user could want to track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema and name.
    pub name: TableName,
    /// What kind of relation it is; only tables and partitioned tables can be published.
    pub kind: TableKind,
    /// How long its rows live; only those of permanent tables are in the WAL.
    pub persistence: Persistence,
    /// What the WAL says about a row's old values.
    pub replica_identity: ReplicaIdentity,
    /// It is a partition of another table.
    pub is_partition: bool,
    /// Of a partition: the topmost partitioned table above it, which a publication via the root
    /// names instead.
    pub partition_root: Option<TableName>,
    /// Columns of the primary key, in its order.
    pub primary_key: Vec<String>,
    /// Columns that identify an updated or deleted row in the WAL: of the primary key or the chosen
    /// index. Empty with `FULL`, `NOTHING`, and `DEFAULT` without a primary key.
    pub key_columns: Vec<String>,
    /// How many columns it has.
    pub columns: i64,
    /// Rows as of the last VACUUM or ANALYZE; `None` before the first.
    pub estimated_rows: Option<i64>,
    /// Size in bytes, TOAST included and indexes not, as of the last VACUUM or ANALYZE: asking for
    /// the true one would wait for whoever holds the table locked.
    pub size_bytes: i64,
}

/// `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// An ordinary table.
    Table,
    /// A table that only has partitions.
    Partitioned,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table of another server.
    Foreign,
}

/// `pg_class.relpersistence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Written to the WAL.
    Permanent,
    /// Not written to the WAL.
    Unlogged,
    /// Of one session.
    Temporary,
}

/// `pg_class.relreplident` (PostgreSQL docs, "ALTER TABLE", REPLICA IDENTITY).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaIdentity {
    /// The primary key, if there is one.
    Default,
    /// Nothing.
    Nothing,
    /// All columns.
    Full,
    /// The columns of a chosen index.
    Index,
}

/// The databases we may connect to.
pub async fn databases(client: &Client) -> Result<Vec<String>, Error> {
    let rows = client
        .query(
            "SELECT d.datname::text
             FROM pg_catalog.pg_database AS d
             WHERE d.datallowconn
               AND NOT d.datistemplate
               AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')
             ORDER BY 1",
            &[],
        )
        .await?;
    first_column(&rows)
}

/// The schemas of users, which PostgreSQL's own are not.
pub async fn schemas(session: &Session) -> Result<Vec<String>, Error> {
    let query = "SELECT n.nspname::text
                 FROM pg_catalog.pg_namespace AS n
                 WHERE n.nspname !~ '^pg_'
                   AND n.nspname <> 'information_schema'
                 ORDER BY 1";
    let query = session.prepared(query).await?;
    first_column(&session.query(&query, &[]).await?)
}

/// The relations of a selection.
///
/// Of all or of schemas these are the tables, partitioned tables and partitions that are not
/// temporary; of named ones, what they are, so that a view can be told from a missing table.
pub async fn tables(client: &Client, selection: &Selection) -> Result<Vec<TableInfo>, Error> {
    let rows = match selection {
        Selection::AllTables => {
            let filter = "c.relkind IN ('r', 'p')
               AND c.relpersistence <> 't'
               AND n.nspname !~ '^pg_'
               AND n.nspname <> 'information_schema'";
            client.query(&tables_query(filter), &[]).await?
        }
        Selection::Schemas(schemas) => {
            let filter = "c.relkind IN ('r', 'p')
               AND c.relpersistence <> 't'
               AND n.nspname = ANY ($1)";
            client.query(&tables_query(filter), &[schemas]).await?
        }
        Selection::Objects { schemas, tables } => {
            let mut found =
                Box::pin(self::tables(client, &Selection::Schemas(schemas.clone()))).await?;
            let named = Selection::Tables(tables.clone());
            found.extend(Box::pin(self::tables(client, &named)).await?);
            return Ok(found);
        }
        Selection::Tables(tables) => {
            let filter = "c.relkind IN ('r', 'p', 'v', 'm', 'f')
               AND EXISTS (SELECT 1
                           FROM ROWS FROM (pg_catalog.unnest($1::text[]),
                                           pg_catalog.unnest($2::text[])) AS w (schema, name)
                           WHERE w.schema = n.nspname
                             AND w.name = c.relname)";
            let (schemas, names): (Vec<&str>, Vec<&str>) = tables
                .iter()
                .map(|table| (table.schema.as_str(), table.table.as_str()))
                .unzip();
            client
                .query(&tables_query(filter), &[&schemas, &names])
                .await?
        }
    };
    rows.iter().map(table_info).collect()
}

/// The table with this OID, under whatever name it has now; `None` where there is none any more.
pub async fn table(client: &Client, oid: u32) -> Result<Option<TableInfo>, Error> {
    let query = tables_query("c.oid = $1");
    let row = client.query_opt(&query, &[&oid]).await?;
    row.as_ref().map(table_info).transpose()
}

/// The topmost partitioned table above a partition; `None` of a table that is no partition, and of
/// an OID that no relation has.
pub async fn partition_root_of(client: &Client, oid: u32) -> Result<Option<TableInfo>, Error> {
    let query = tables_query(&format!("c.oid = ({})", partition_root("$1")));
    let row = client.query_opt(&query, &[&oid]).await?;
    row.as_ref().map(table_info).transpose()
}

/// Whether every transaction that has written is over, and so visible if it was committed. The WAL has a commit
/// before others see it: it waits for the disk, and perhaps for a standby.
///
/// # Errors
/// Where the source does not answer.
pub async fn nothing_in_progress(session: &Session) -> Result<bool, Error> {
    let query = "SELECT pg_catalog.txid_snapshot_xmin(s) = pg_catalog.txid_snapshot_xmax(s)
         FROM pg_catalog.txid_current_snapshot() s";
    let query = session.prepared(query).await?;
    Ok(session.query_one(&query, &[]).await?.try_get(0)?)
}

/// The oldest transaction that runs: all before it have ended (PostgreSQL docs, "System Information
/// Functions"). Transaction ids here do not wrap around.
pub async fn transaction_horizon(client: &Client) -> Result<i64, Error> {
    // Under this name since before 9.4, and still in 18.
    let horizon = "SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot())";
    Ok(client.query_one(horizon, &[]).await?.try_get(0)?)
}

/// Begins a transaction and tells its id: all that see what was committed before have a greater
/// one. Refused on a standby, which begins none.
pub async fn current_transaction(client: &Client) -> Result<i64, Error> {
    let current = "SELECT pg_catalog.txid_current()";
    Ok(client.query_one(current, &[]).await?.try_get(0)?)
}

/// The topmost partitioned table above the relation with this OID, as a query of one OID. Not by
/// `relispartition`, which a server before 10 lacks.
fn partition_root(oid: &str) -> String {
    format!(
        "WITH RECURSIVE above (oid, height) AS (
             SELECT h.inhparent,
                    1
             FROM pg_catalog.pg_inherits AS h
             JOIN pg_catalog.pg_class AS p
               ON p.oid = h.inhparent
             WHERE h.inhrelid = {oid}
               AND p.relkind = 'p'
             UNION ALL
             SELECT h.inhparent,
                    a.height + 1
             FROM above AS a
             JOIN pg_catalog.pg_inherits AS h
               ON h.inhrelid = a.oid
             JOIN pg_catalog.pg_class AS p
               ON p.oid = h.inhparent
              AND p.relkind = 'p'
         )
         SELECT a.oid
         FROM above AS a
         ORDER BY a.height DESC
         LIMIT 1"
    )
}

fn tables_query(filter: &str) -> String {
    /// Names of an index's key columns, in its order. Not those that it only carries (INCLUDE, since
    /// 11); before, the number of key columns has no column of its own in the catalog.
    const INDEX_COLUMNS: &str = "SELECT pg_catalog.array_agg(a.attname::text ORDER BY k.position)
                     FROM pg_catalog.pg_index AS i,
                          pg_catalog.unnest(i.indkey) WITH ORDINALITY AS k (attnum, position),
                          pg_catalog.pg_attribute AS a
                     WHERE i.indrelid = c.oid
                       AND a.attrelid = c.oid
                       AND a.attnum = k.attnum
                       AND k.position <= COALESCE((pg_catalog.row_to_json(i) ->> 'indnkeyatts')::int,
                                                  i.indnatts)";
    let root = partition_root("c.oid");
    format!(
        "SELECT c.oid,
                n.nspname::text,
                c.relname::text,
                c.relkind::text,
                c.relpersistence::text,
                c.relreplident::text,
                o.nspname::text,
                o.relname::text,
                ({INDEX_COLUMNS}
                       AND i.indisprimary),
                ({INDEX_COLUMNS}
                       AND CASE c.relreplident
                           WHEN 'd' THEN i.indisprimary
                           WHEN 'i' THEN i.indisreplident
                           ELSE false
                           END),
                (SELECT pg_catalog.count(*)
                 FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = c.oid
                   AND a.attnum > 0
                   AND NOT a.attisdropped),
                c.reltuples::bigint,
                (c.relpages + COALESCE(t.relpages, 0))::bigint
                    * pg_catalog.current_setting('block_size')::bigint
         FROM pg_catalog.pg_class AS c
         JOIN pg_catalog.pg_namespace AS n
           ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_class AS t
           ON t.oid = c.reltoastrelid
         LEFT JOIN LATERAL (SELECT s.nspname,
                                   r.relname
                            FROM pg_catalog.pg_class AS r
                            JOIN pg_catalog.pg_namespace AS s
                              ON s.oid = r.relnamespace
                            WHERE r.oid = ({root})) AS o
           ON true
         WHERE {filter}
         ORDER BY 2, 3"
    )
}

fn table_info(row: &Row) -> Result<TableInfo, Error> {
    let rows: i64 = row.try_get(11)?;
    let pages_seen: i64 = row.try_get(12)?;
    let partition_root = match (row.try_get(6)?, row.try_get(7)?) {
        (Some(schema), Some(table)) => Some(TableName { schema, table }),
        (_, _) => None,
    };
    Ok(TableInfo {
        oid: row.try_get(0)?,
        name: TableName::new(row.try_get::<_, String>(1)?, row.try_get::<_, String>(2)?),
        kind: match row.try_get(3)? {
            "r" => TableKind::Table,
            "p" => TableKind::Partitioned,
            "v" => TableKind::View,
            "m" => TableKind::MaterializedView,
            "f" => TableKind::Foreign,
            other => return Err(unknown("relkind", other)),
        },
        persistence: match row.try_get(4)? {
            "p" => Persistence::Permanent,
            "u" => Persistence::Unlogged,
            "t" => Persistence::Temporary,
            other => return Err(unknown("relpersistence", other)),
        },
        replica_identity: match row.try_get(5)? {
            "d" => ReplicaIdentity::Default,
            "n" => ReplicaIdentity::Nothing,
            "f" => ReplicaIdentity::Full,
            "i" => ReplicaIdentity::Index,
            other => return Err(unknown("relreplident", other)),
        },
        is_partition: partition_root.is_some(),
        partition_root,
        primary_key: row.try_get::<_, Option<_>>(8)?.unwrap_or_default(),
        key_columns: row.try_get::<_, Option<_>>(9)?.unwrap_or_default(),
        columns: row.try_get(10)?,
        // Never analyzed is -1 since PostgreSQL 14, and 0 rows on 0 pages before.
        estimated_rows: (rows > 0 || (rows == 0 && pages_seen > 0)).then_some(rows),
        size_bytes: pages_seen,
    })
}

fn first_column(rows: &[Row]) -> Result<Vec<String>, Error> {
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// A letter in a catalog that no version this was written for has.
fn unknown(column: &str, letter: &str) -> Error {
    Error::Protocol(format!("{column} is {letter:?}"))
}
