//! The partitions of a partitioned table, and what they are partitions of (PostgreSQL docs, "Table
//! Partitioning"). Before 10 there are none, and the queries find none.

use rowcast_domain::TableName;
use rowcast_pg::{Client, Error, Row};

/// Every table that one of these is a partition of, at any level, beside the partition's OID.
pub(super) async fn ancestors(
    client: &Client,
    partitions: &[u32],
) -> Result<Vec<(u32, TableName)>, Error> {
    let rows = client
        .query(
            "WITH RECURSIVE up (partition, oid) AS (
                 SELECT s.oid, s.oid
                 FROM pg_catalog.unnest($1::oid[]) AS s (oid)
                 UNION
                 SELECT u.partition, h.inhparent
                 FROM up AS u
                 JOIN pg_catalog.pg_inherits AS h
                   ON h.inhrelid = u.oid
             )
             SELECT n.nspname::text,
                    c.relname::text,
                    u.partition
             FROM up AS u
             JOIN pg_catalog.pg_class AS c
               ON c.oid = u.oid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             WHERE c.relkind = 'p'
               AND u.oid <> u.partition",
            &[&partitions],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(2)?, name(row)?)))
        .collect()
}

/// The partitions of these tables that hold rows, at any level.
pub(super) async fn leaves(client: &Client, roots: &[u32]) -> Result<Vec<TableName>, Error> {
    let rows = client
        .query(
            "WITH RECURSIVE down (oid) AS (
                 SELECT s.oid
                 FROM pg_catalog.unnest($1::oid[]) AS s (oid)
                 UNION
                 SELECT h.inhrelid
                 FROM down AS d
                 JOIN pg_catalog.pg_inherits AS h
                   ON h.inhparent = d.oid
             )
             SELECT n.nspname::text,
                    c.relname::text
             FROM down AS d
             JOIN pg_catalog.pg_class AS c
               ON c.oid = d.oid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             WHERE c.relkind = 'r'",
            &[&roots],
        )
        .await?;
    rows.iter().map(name).collect()
}

fn name(row: &Row) -> Result<TableName, Error> {
    let schema: String = row.try_get(0)?;
    Ok(TableName::new(schema, row.try_get::<_, String>(1)?))
}
