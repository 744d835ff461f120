//! Schemas and how many tables each has.

use rowcast_pg::Client;
use rowcast_proto::message::SchemaSummary;

use super::Wanted;
use crate::error::Error;

/// One more than the page holds.
pub(super) async fn read(
    client: &Client,
    schemas: &[String],
    wanted: &Wanted,
) -> Result<Vec<SchemaSummary>, Error> {
    let after = wanted.after.first().map_or("", String::as_str);
    let rows = client
        .query(
            "SELECT n.nspname::text,
                    (SELECT pg_catalog.count(*)
                     FROM pg_catalog.pg_class AS c
                     WHERE c.relnamespace = n.oid
                       AND c.relkind IN ('r', 'p')
                       AND c.relpersistence <> 't'
                       AND NOT EXISTS (SELECT 1
                                       FROM pg_catalog.pg_inherits AS h
                                       JOIN pg_catalog.pg_class AS p
                                         ON p.oid = h.inhparent
                                        AND p.relkind = 'p'
                                       WHERE h.inhrelid = c.oid))
             FROM pg_catalog.pg_namespace AS n
             WHERE n.nspname = ANY ($1)
               AND pg_catalog.strpos(pg_catalog.lower(n.nspname::text), pg_catalog.lower($2)) > 0
               AND ($3 = '' OR n.nspname > $3::text::name)
             ORDER BY n.nspname
             LIMIT $4",
            &[&schemas, &wanted.search, &after, &wanted.rows()],
        )
        .await
        .map_err(rowcast_pg::Error::from)?;
    rows.iter()
        .map(|row| {
            let tables: i64 = row.try_get(1).map_err(rowcast_pg::Error::from)?;
            Ok(SchemaSummary {
                name: row.try_get(0).map_err(rowcast_pg::Error::from)?,
                tables: tables.unsigned_abs(),
            })
        })
        .collect()
}
