//! Tables with what a user looks at before choosing them.

use std::collections::HashMap;

use rowcast_domain::TableName;
use rowcast_pg::catalog::{self, Persistence, ReplicaIdentity, TableInfo, TableKind};
use rowcast_pg::publication::Selection;
use rowcast_pg::{Client, Error};
use rowcast_proto::message::TableSummary;

use super::Wanted;

/// The names of one page's tables, and of one more.
pub(super) async fn names(
    client: &Client,
    schemas: &[String],
    wanted: &Wanted,
) -> Result<Vec<TableName>, Error> {
    let part = |number: usize| wanted.after.get(number).map_or("", String::as_str);
    let rows = client
        .query(
            "SELECT n.nspname::text,
                    c.relname::text
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             WHERE n.nspname = ANY ($1)
               AND c.relkind IN ('r', 'p')
               AND c.relpersistence <> 't'
               AND pg_catalog.strpos(pg_catalog.lower(n.nspname::text || '.' || c.relname::text),
                                     pg_catalog.lower($2)) > 0
               AND ($3 OR NOT EXISTS (SELECT 1
                                      FROM pg_catalog.pg_inherits AS h
                                      JOIN pg_catalog.pg_class AS p
                                        ON p.oid = h.inhparent
                                       AND p.relkind = 'p'
                                      WHERE h.inhrelid = c.oid))
               AND ($4 = '' OR (n.nspname, c.relname) > ($4::text::name, $5::text::name))
             ORDER BY n.nspname, c.relname
             LIMIT $6",
            &[
                &schemas,
                &wanted.search,
                &wanted.partitions,
                &part(0),
                &part(1),
                &wanted.rows(),
            ],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let schema: String = row.try_get(0)?;
            Ok(TableName::new(schema, row.try_get::<_, String>(1)?))
        })
        .collect()
}

/// Looks these up, in their order; one that was dropped meanwhile is left out.
pub(super) async fn read(
    client: &Client,
    names: Vec<TableName>,
) -> Result<Vec<TableSummary>, Error> {
    let order: HashMap<TableName, usize> = names.iter().cloned().zip(0..).collect();
    let mut tables = catalog::tables(client, &Selection::Tables(names)).await?;
    tables.sort_by_key(|table| order.get(&table.name).copied());
    let roots: Vec<u32> = tables
        .iter()
        .filter(|table| table.kind == TableKind::Partitioned)
        .map(|table| table.oid)
        .collect();
    let sums = sums(client, &roots).await?;
    let summary = |table: TableInfo| {
        let sum = sums.get(&table.oid).copied();
        summary(table, sum)
    };
    Ok(tables.into_iter().map(summary).collect())
}

/// Rows and bytes.
#[derive(Debug, Clone, Copy)]
struct Sum {
    rows: Option<i64>,
    bytes: i64,
}

/// What the partitions of these tables come to, at all levels.
async fn sums(client: &Client, roots: &[u32]) -> Result<HashMap<u32, Sum>, Error> {
    if roots.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = client
        .query(
            "WITH RECURSIVE down (root, oid) AS (
                 SELECT s.oid, s.oid
                 FROM pg_catalog.unnest($1::oid[]) AS s (oid)
                 UNION
                 SELECT d.root, h.inhrelid
                 FROM down AS d
                 JOIN pg_catalog.pg_inherits AS h
                   ON h.inhparent = d.oid
             )
             SELECT d.root,
                    (pg_catalog.sum(c.reltuples)
                         FILTER (WHERE c.reltuples > 0
                                    OR (c.reltuples = 0 AND c.relpages > 0)))::bigint,
                    pg_catalog.sum(c.relpages + COALESCE(t.relpages, 0))::bigint
                        * pg_catalog.current_setting('block_size')::bigint
             FROM down AS d
             JOIN pg_catalog.pg_class AS c
               ON c.oid = d.oid
              AND c.relkind = 'r'
             LEFT JOIN pg_catalog.pg_class AS t
               ON t.oid = c.reltoastrelid
             GROUP BY d.root",
            &[&roots],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let sum = Sum {
                rows: row.try_get(1)?,
                bytes: row.try_get(2)?,
            };
            Ok((row.try_get(0)?, sum))
        })
        .collect()
}

fn summary(table: TableInfo, partitions: Option<Sum>) -> TableSummary {
    let sum = partitions.unwrap_or(Sum {
        rows: table.estimated_rows,
        bytes: table.size_bytes,
    });
    let kind = match table.kind {
        TableKind::Table => "table",
        TableKind::Partitioned => "partitioned",
        TableKind::View => "view",
        TableKind::MaterializedView => "materialized_view",
        TableKind::Foreign => "foreign",
    };
    let replica_identity = match table.replica_identity {
        ReplicaIdentity::Default => "default",
        ReplicaIdentity::Nothing => "nothing",
        ReplicaIdentity::Full => "full",
        ReplicaIdentity::Index => "index",
    };
    let partition_of = table.partition_root.map(|root| root.to_string());
    TableSummary {
        schema: table.name.schema,
        name: table.name.table,
        kind: kind.to_owned(),
        partition_of: partition_of.unwrap_or_default(),
        logged: table.persistence == Persistence::Permanent,
        rows: sum.rows.map(i64::unsigned_abs),
        size_bytes: sum.bytes.unsigned_abs(),
        primary_key: table.primary_key,
        replica_identity: replica_identity.to_owned(),
        key_columns: table.key_columns,
        columns: u32::try_from(table.columns).unwrap_or(u32::MAX),
    }
}
