//! What the catalog of a source knows of a table that a line names. The SQL is that of PostgreSQL 9.4.
//!
//! The line was written earlier than the catalog is read. A table renamed, retyped or dropped
//! meanwhile is described as well as what is left allows.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault};

use rowcast_pg::{Client, Error};

use super::table::{ColumnFacts, ColumnText, TableFacts, TableText};
use crate::pipeline::stable_hash::StableHasher;

/// First of the OIDs that stand for tables that are gone: the highest ones, which a server reaches
/// only after four billion others.
const PLACEHOLDERS: u32 = 0xFFFF_0000;

/// OID of `text`: what cannot be known of a value is its type, not its text.
const TEXT: u32 = 25;

/// Looks a table up. The session's `search_path` must be that of the connection that decodes, for
/// both write types by `format_type`.
///
/// A table that is gone gets an OID of 0xFFFF0000 or above, made of its name, and no identity; two
/// such tables may share one. Its types are those of the same names today.
///
/// # Errors
/// Where the source does not answer.
pub(crate) async fn table_facts(client: &Client, text: &TableText) -> Result<TableFacts, Error> {
    let catalog = catalog_table(client, text).await?;
    let unknown = unknown_types(text, catalog.as_ref());
    let types = if unknown.is_empty() {
        HashMap::new()
    } else {
        types_named(client, &unknown).await?
    };
    Ok(join(text, catalog, &types))
}

/// The table of that name today.
async fn catalog_table(client: &Client, text: &TableText) -> Result<Option<TableFacts>, Error> {
    // The only system column that test_decoding writes is oid.
    let rows = client
        .query(
            "SELECT c.oid,
                    c.relreplident::text,
                    a.attname::text,
                    pg_catalog.format_type(a.atttypid, NULL),
                    a.atttypid,
                    a.atttypmod,
                    EXISTS (SELECT 1
                            FROM pg_catalog.pg_index AS i
                            WHERE i.indrelid = c.oid
                              AND a.attnum = ANY (i.indkey)
                              AND CASE c.relreplident
                                  WHEN 'n' THEN false
                                  WHEN 'i' THEN i.indisreplident
                                  ELSE i.indisprimary
                                  END),
                    a.attnum < 0,
                    c.relkind = 'm'
             FROM pg_catalog.pg_class AS c
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             LEFT JOIN pg_catalog.pg_attribute AS a
               ON a.attrelid = c.oid
              AND NOT a.attisdropped
              AND (a.attnum > 0 OR a.attname = 'oid')
             WHERE n.nspname = $1
               AND c.relname = $2
               AND c.relkind IN ('r', 'm')
             ORDER BY a.attnum",
            &[&text.schema, &text.table],
        )
        .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let letter: &str = first.try_get(1)?;
    let mut facts = TableFacts {
        oid: first.try_get(0)?,
        is_view: first.try_get(8)?,
        replica_identity: letter.bytes().next().unwrap_or(b'd'),
        columns: Vec::with_capacity(rows.len()),
    };
    for row in &rows {
        // A table without columns is one row without an attribute.
        let Some(name) = row.try_get(2)? else { break };
        let hidden: bool = row.try_get(7)?;
        facts.columns.push(ColumnFacts {
            text: ColumnText {
                name,
                type_name: row.try_get(3)?,
            },
            type_oid: row.try_get(4)?,
            modifier: row.try_get(5)?,
            identity: !hidden && row.try_get(6)?,
            hidden,
        });
    }
    Ok(Some(facts))
}

/// OIDs of types by what `format_type` calls them.
async fn types_named(client: &Client, names: &[&str]) -> Result<HashMap<String, u32>, Error> {
    let rows = client
        .query(
            "SELECT t.name,
                    t.oid
             FROM (SELECT pg_catalog.format_type(p.oid, NULL) AS name,
                          p.oid
                   FROM pg_catalog.pg_type AS p) AS t
             WHERE t.name = ANY ($1)",
            &[&names],
        )
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

fn unknown_types<'a>(text: &'a TableText, catalog: Option<&TableFacts>) -> Vec<&'a str> {
    let known = |wanted: &ColumnText| {
        catalog.is_some_and(|table| table.columns.iter().any(|column| column.text == *wanted))
    };
    text.columns
        .iter()
        .filter(|wanted| !known(wanted))
        .map(|wanted| wanted.type_name.as_str())
        .collect()
}

/// Facts that fit the text.
fn join(text: &TableText, catalog: Option<TableFacts>, types: &HashMap<String, u32>) -> TableFacts {
    let catalog = catalog.unwrap_or_else(|| TableFacts {
        oid: placeholder(text),
        is_view: false,
        replica_identity: b'd',
        columns: Vec::new(),
    });
    if !text.complete && text.fits(&catalog.columns) {
        return catalog;
    }
    // With a wide table searched for each column this is a million comparisons, once a shape.
    let columns = text
        .columns
        .iter()
        .map(|wanted| {
            let today = catalog
                .columns
                .iter()
                .find(|column| column.text.name == wanted.name);
            match today {
                Some(column) if column.text == *wanted => column.clone(),
                retyped_or_gone @ (Some(_) | None) => ColumnFacts {
                    text: wanted.clone(),
                    type_oid: types.get(&wanted.type_name).copied().unwrap_or(TEXT),
                    modifier: -1,
                    identity: retyped_or_gone.is_some_and(|column| column.identity),
                    hidden: false,
                },
            }
        })
        .collect();
    TableFacts { columns, ..catalog }
}

fn placeholder(text: &TableText) -> u32 {
    let hash = BuildHasherDefault::<StableHasher>::default()
        .hash_one((text.schema.as_str(), text.table.as_str()));
    let [.., high, low] = hash.to_be_bytes();
    PLACEHOLDERS | u32::from(u16::from_be_bytes([high, low]))
}
