//! Types that an extension or a user defined, followed down to the built-in ones they rest on.

use tokio_postgres::{Client, Row};

use crate::Error;
use crate::catalog::unknown;

/// A row of `pg_type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// `pg_type.oid`.
    pub oid: u32,
    /// The type's schema.
    pub schema: String,
    /// The type's name.
    pub name: String,
    /// What kind of type it is.
    pub kind: TypeKind,
    /// Of a domain: the type beneath, and its modifier.
    pub base: Option<(u32, i32)>,
    /// Of an array: the type of its elements.
    pub element: Option<u32>,
    /// What stands between the elements of an array of this type, or in this array.
    pub delimiter: char,
    /// Of a composite: its fields, in order.
    pub fields: Vec<(String, u32)>,
}

/// `pg_type.typtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeKind {
    /// A base type; arrays are among them.
    Base,
    /// A composite.
    Composite,
    /// A domain.
    Domain,
    /// An enumeration.
    Enum,
    /// A range.
    Range,
    /// A multirange.
    Multirange,
    /// A pseudo-type.
    Pseudo,
}

/// Reads types, and all that they refer to: the base of a domain, the elements of an array, the
/// fields of a composite, to any depth. An unknown OID is left out.
pub async fn types(client: &Client, oids: &[u32]) -> Result<Vec<TypeInfo>, Error> {
    let rows = client
        .query(
            "WITH RECURSIVE wanted (oid) AS (
                 SELECT pg_catalog.unnest($1::oid[])
                 UNION
                 SELECT r.oid
                 FROM wanted AS w
                 JOIN pg_catalog.pg_type AS t
                   ON t.oid = w.oid
                 CROSS JOIN LATERAL (
                     SELECT t.typbasetype
                     UNION ALL
                     SELECT t.typelem
                     WHERE t.typtype = 'b'
                       AND t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc
                     UNION ALL
                     SELECT a.atttypid
                     FROM pg_catalog.pg_attribute AS a
                     WHERE t.typtype = 'c'
                       AND a.attrelid = t.typrelid
                       AND a.attnum > 0
                       AND NOT a.attisdropped
                 ) AS r (oid)
                 WHERE r.oid <> 0
             )
             SELECT t.oid,
                    n.nspname::text,
                    t.typname::text,
                    t.typtype::text,
                    CASE t.typtype WHEN 'd' THEN t.typbasetype END,
                    t.typtypmod,
                    CASE
                    WHEN t.typtype = 'b'
                     AND t.typoutput = 'pg_catalog.array_out'::pg_catalog.regproc
                    THEN t.typelem
                    END,
                    t.typdelim::text,
                    f.names,
                    f.types
             FROM wanted AS w
             JOIN pg_catalog.pg_type AS t
               ON t.oid = w.oid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = t.typnamespace
             CROSS JOIN LATERAL (
                 SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum) AS names,
                        pg_catalog.array_agg(a.atttypid ORDER BY a.attnum) AS types
                 FROM pg_catalog.pg_attribute AS a
                 WHERE t.typtype = 'c'
                   AND a.attrelid = t.typrelid
                   AND a.attnum > 0
                   AND NOT a.attisdropped
             ) AS f
             ORDER BY t.oid",
            &[&oids],
        )
        .await?;
    rows.iter().map(type_info).collect()
}

fn type_info(row: &Row) -> Result<TypeInfo, Error> {
    let base: Option<u32> = row.try_get(4)?;
    let modifier: i32 = row.try_get(5)?;
    let delimiter: &str = row.try_get(7)?;
    let names: Vec<String> = row.try_get::<_, Option<_>>(8)?.unwrap_or_default();
    let types: Vec<u32> = row.try_get::<_, Option<_>>(9)?.unwrap_or_default();
    Ok(TypeInfo {
        oid: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        kind: match row.try_get(3)? {
            "b" => TypeKind::Base,
            "c" => TypeKind::Composite,
            "d" => TypeKind::Domain,
            "e" => TypeKind::Enum,
            "r" => TypeKind::Range,
            "m" => TypeKind::Multirange,
            "p" => TypeKind::Pseudo,
            other => return Err(unknown("typtype", other)),
        },
        base: base.map(|base| (base, modifier)),
        element: row.try_get(6)?,
        delimiter: delimiter.chars().next().unwrap_or(','),
        fields: names.into_iter().zip(types).collect(),
    })
}
