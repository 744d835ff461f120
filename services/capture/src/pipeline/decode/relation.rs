//! A table's shape: what the server sent, joined with what the catalog says.

use std::hash::{BuildHasher as _, BuildHasherDefault};

use rowcast_domain::TableName;
use rowcast_etl::OutColumn;
use rowcast_proto::change::{Column, TableSchema};

use super::kind::TypeCatalog;
use super::message::RelationBody;
use crate::pipeline::change::Relation;
use crate::pipeline::stable_hash::StableHasher;

/// A shape before the catalog was asked: owns what the frame lends.
#[derive(Debug)]
pub(crate) struct Shape {
    oid: u32,
    name: TableName,
    /// Its own name, once `name` is that of the partitioned table above it.
    partition: Option<TableName>,
    replica_identity: u8,
    columns: Vec<ShapeColumn>,
}

#[derive(Debug)]
struct ShapeColumn {
    name: String,
    type_oid: u32,
    modifier: i32,
    identity: bool,
}

impl From<RelationBody<'_>> for Shape {
    fn from(body: RelationBody<'_>) -> Self {
        let RelationBody {
            oid,
            schema,
            table,
            replica_identity,
            columns,
        } = body;
        let columns = columns
            .into_iter()
            .map(|column| ShapeColumn {
                name: column.name.to_owned(),
                type_oid: column.type_oid,
                modifier: column.modifier,
                identity: column.identity,
            })
            .collect();
        Self {
            oid,
            name: TableName::new(schema, table),
            partition: None,
            replica_identity,
            columns,
        }
    }
}

impl Shape {
    /// The table's OID.
    pub(crate) const fn oid(&self) -> u32 {
        self.oid
    }

    /// Gives it another name: that of the partitioned table above it.
    pub(crate) fn rename(&mut self, name: TableName) {
        self.partition = Some(std::mem::replace(&mut self.name, name));
    }

    /// OIDs of the columns' types.
    pub(crate) fn type_oids(&self) -> impl Iterator<Item = u32> {
        self.columns.iter().map(|column| column.type_oid)
    }

    /// Whether the key must come from the primary key: under REPLICA IDENTITY FULL the server marks
    /// every column as identity.
    pub(crate) const fn wants_primary_key(&self) -> bool {
        self.replica_identity == b'f'
    }

    /// Joins the shape with the catalog. `primary_key` is empty where there is none.
    pub(crate) fn resolve(self, types: &TypeCatalog, primary_key: &[String]) -> Relation {
        let full = self.wants_primary_key();
        let is_key = |column: &ShapeColumn| {
            if full {
                primary_key.contains(&column.name)
            } else {
                column.identity
            }
        };
        let kinds = self
            .columns
            .iter()
            .map(|column| types.kind(column.type_oid))
            .collect();
        let key: Vec<bool> = self.columns.iter().map(is_key).collect();
        let columns = self
            .columns
            .into_iter()
            .zip(&key)
            .map(|(column, &key)| Column {
                type_name: types.name(column.type_oid),
                name: column.name,
                type_oid: column.type_oid,
                modifier: column.modifier,
                key,
            })
            .collect();
        let mut schema = TableSchema {
            id: String::new(),
            schema: self.name.schema,
            table: self.name.table,
            replica_identity: replica_identity_name(self.replica_identity).to_owned(),
            columns,
        };
        schema.id = schema_id(&schema, self.oid);
        Relation {
            oid: self.oid,
            schema,
            partition: self.partition,
            kinds,
            key,
        }
    }
}

impl Relation {
    /// The table with other columns, as a policy gives it.
    pub(crate) fn reshaped(&self, columns: &[OutColumn]) -> Self {
        let types = TypeCatalog::default();
        let source = |column: &OutColumn| column.source.filter(|_| !column.retyped);
        let kinds = columns.iter().map(|column| {
            let kind = source(column).and_then(|number| self.kinds.get(number));
            kind.cloned().unwrap_or_else(|| types.kind(column.type_oid))
        });
        let key = columns.iter().map(|column| {
            let key = column.source.and_then(|number| self.key.get(number));
            key.is_some_and(|is_key| *is_key)
        });
        let key: Vec<bool> = key.collect();
        let shapes = columns.iter().zip(&key).map(|(column, &key)| {
            let there = source(column).and_then(|number| self.schema.columns.get(number));
            Column {
                name: column.name.clone(),
                type_name: there.map_or_else(
                    || types.name(column.type_oid),
                    |there| there.type_name.clone(),
                ),
                type_oid: column.type_oid,
                modifier: there.map_or(-1, |there| there.modifier),
                key,
            }
        });
        let mut schema = TableSchema {
            columns: shapes.collect(),
            ..self.schema.clone()
        };
        schema.id = schema_id(&schema, self.oid);
        Self {
            oid: self.oid,
            schema,
            partition: self.partition.clone(),
            kinds: kinds.collect(),
            key,
        }
    }
}

/// `pg_class.relreplident` in words (PostgreSQL docs, "`pg_class`").
const fn replica_identity_name(code: u8) -> &'static str {
    match code {
        b'd' => "default",
        b'n' => "nothing",
        b'f' => "full",
        b'i' => "index",
        _ => "unknown",
    }
}

/// The table's name and a hash of everything that makes the shape. A table dropped and created again
/// has another OID, so another id.
fn schema_id(schema: &TableSchema, oid: u32) -> String {
    let hash = BuildHasherDefault::<StableHasher>::default().hash_one((
        oid,
        &schema.schema,
        &schema.table,
        &schema.replica_identity,
        schema
            .columns
            .iter()
            .map(|column| (&column.name, column.type_oid, column.modifier, column.key))
            .collect::<Vec<_>>(),
    ));
    format!("{}-{hash:016x}", schema.table)
}

#[cfg(test)]
mod tests {
    use super::super::message::ColumnBody;
    use super::*;

    fn shape(replica_identity: u8, identity: [bool; 2]) -> Shape {
        let column = |name, identity| ColumnBody {
            identity,
            name,
            type_oid: 20,
            modifier: -1,
        };
        RelationBody {
            oid: 16400,
            schema: "public",
            table: "orders",
            replica_identity,
            columns: vec![column("id", identity[0]), column("note", identity[1])],
        }
        .into()
    }

    #[test]
    fn the_key_is_the_replica_identity() {
        let relation = shape(b'd', [true, false]).resolve(&TypeCatalog::default(), &[]);
        assert_eq!(relation.key, [true, false]);
        assert_eq!(relation.schema.replica_identity, "default");
    }

    #[test]
    fn under_a_full_identity_the_key_is_the_primary_key() {
        let types = TypeCatalog::default();
        let relation = shape(b'f', [true, true]).resolve(&types, &["id".to_owned()]);
        assert_eq!(relation.key, [true, false]);
        let keyless = shape(b'f', [true, true]).resolve(&types, &[]);
        assert_eq!(keyless.key, [false, false]);
    }

    #[test]
    fn the_same_shape_has_the_same_id_and_another_shape_another() {
        let types = TypeCatalog::default();
        let id = |shape: Shape| shape.resolve(&types, &[]).schema.id;
        // Held here as text: the id must not change from one release to the next.
        assert_eq!(
            id(shape(b'd', [true, false])),
            id(shape(b'd', [true, false]))
        );
        assert_ne!(
            id(shape(b'd', [true, false])),
            id(shape(b'n', [false, false]))
        );
    }
}
