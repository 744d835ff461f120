//! What a selection of objects comes to on the server.

use std::collections::HashSet;

use rowcast_domain::{SchemaSelector, Selector, TableName};
use rowcast_pg::catalog::{self, Persistence, TableInfo, TableKind};
use rowcast_pg::publication::Selection;
use rowcast_pg::{Client, Error, Session};
use rowcast_proto::message::ObjectSelection;

mod partitions;

/// The relations behind a selection, and what is not there.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Of all, of whole schemas, or by a pattern; partitions of a root that is selected left out.
    pub(crate) wide: Vec<TableInfo>,
    /// Named one by one.
    pub(crate) named: Vec<TableInfo>,
    /// Named schemas that do not exist.
    pub(crate) missing_schemas: Vec<String>,
    /// Named schemas that are never tracked.
    pub(crate) reserved_schemas: Vec<String>,
    /// Named tables that do not exist, in schemas that do.
    pub(crate) missing_tables: Vec<TableName>,
    /// Patterns that match nothing of today, as `shop.log_*`.
    pub(crate) idle_patterns: Vec<String>,
    /// The database, a whole schema or a pattern is selected: tables created later belong to it.
    pub(crate) is_open: bool,
}

impl Selected {
    /// Looks up every selected object.
    pub(crate) async fn read(session: &Session, objects: &ObjectSelection) -> Result<Self, Error> {
        let selector = selector(objects);
        let existing = catalog::schemas(session).await?;
        let wide = wide(session, &selector, &existing).await?;
        let names = selector.named_tables();
        let named = catalog::tables(session, &Selection::Tables(names.clone())).await?;
        let missing_tables = names
            .into_iter()
            .filter(|name| existing.contains(&name.schema))
            .filter(|name| selector.matches(&name.schema, &name.table))
            .filter(|name| !named.iter().any(|table| table.name == *name))
            .collect();
        let schemas = selector.schemas.iter().map(|schema| schema.name.clone());
        let (possible, reserved_schemas): (Vec<String>, _) =
            schemas.partition(|name| selector.touches_schema(name));
        let missing = possible.into_iter().filter(|name| !existing.contains(name));
        Ok(Self {
            idle_patterns: idle_patterns(&selector, &wide),
            missing_schemas: missing.collect(),
            reserved_schemas,
            missing_tables,
            is_open: selector.is_open(),
            wide: without_covered_partitions(session, &selector, wide).await?,
            named,
        })
    }

    /// The tables that a publication would list: a partition comes under its root where the root is
    /// selected as well.
    pub(crate) fn tables(&self) -> Vec<&TableInfo> {
        let mut tables: Vec<&TableInfo> = self
            .wide
            .iter()
            .chain(&self.named)
            .filter(|table| is_trackable(table))
            .collect();
        tables.sort_by_key(|table| table.oid);
        tables.dedup_by_key(|table| table.oid);
        tables
    }

    /// As [`Self::tables`], with the partitions in the place of their root where the server cannot
    /// publish a root.
    pub(crate) async fn published(
        &self,
        client: &Client,
        server_version: u32,
    ) -> Result<Vec<TableInfo>, Error> {
        let mut tables: Vec<TableInfo> = self.tables().into_iter().cloned().collect();
        if server_version >= PARTITIONED_SINCE {
            return Ok(tables);
        }
        let roots = tables.extract_if(.., |table| table.kind == TableKind::Partitioned);
        let roots: Vec<u32> = roots.map(|table| table.oid).collect();
        if !roots.is_empty() {
            let leaves = Selection::Tables(partitions::leaves(client, &roots).await?);
            tables.extend(catalog::tables(client, &leaves).await?);
            tables.retain(is_trackable);
            tables.sort_by_key(|table| table.oid);
            tables.dedup_by_key(|table| table.oid);
        }
        Ok(tables)
    }
}

/// The first version that can publish a partitioned table by its root.
const PARTITIONED_SINCE: u32 = 130_000;

fn selector(objects: &ObjectSelection) -> Selector {
    let schemas = objects.schemas.iter().map(|schema| SchemaSelector {
        name: schema.name.clone(),
        all: schema.all,
        tables: schema.tables.clone(),
        patterns: schema.patterns.clone(),
    });
    Selector {
        all: objects.all,
        schema_patterns: objects.schema_patterns.clone(),
        schemas: schemas.collect(),
    }
}

/// What belongs to the selection without being named, partitions included.
async fn wide(
    client: &Client,
    selector: &Selector,
    existing: &[String],
) -> Result<Vec<TableInfo>, Error> {
    // What is named alone is looked up by name: a schema may have very many tables.
    let open = Selector {
        schemas: selector
            .schemas
            .iter()
            .filter(|schema| schema.all || !schema.patterns.is_empty())
            .map(|schema| SchemaSelector {
                tables: Vec::new(),
                ..schema.clone()
            })
            .collect(),
        ..selector.clone()
    };
    let schemas: Vec<String> = existing
        .iter()
        .filter(|schema| open.touches_schema(schema))
        .cloned()
        .collect();
    if schemas.is_empty() {
        return Ok(Vec::new());
    }
    let mut tables = catalog::tables(client, &Selection::Schemas(schemas)).await?;
    tables.retain(|table| open.matches(&table.name.schema, &table.name.table));
    Ok(tables)
}

/// A partition whose root is selected is published under the root; one that a pattern has found
/// without its root stands for itself.
async fn without_covered_partitions(
    client: &Client,
    selector: &Selector,
    mut tables: Vec<TableInfo>,
) -> Result<Vec<TableInfo>, Error> {
    let partitions: Vec<u32> = tables
        .iter()
        .filter(|table| table.is_partition)
        .map(|table| table.oid)
        .collect();
    if partitions.is_empty() {
        return Ok(tables);
    }
    let ancestors = partitions::ancestors(client, &partitions).await?;
    let covered: HashSet<u32> = ancestors
        .into_iter()
        .filter(|(_, ancestor)| selector.matches(&ancestor.schema, &ancestor.table))
        .map(|(partition, _)| partition)
        .collect();
    tables.retain(|table| !covered.contains(&table.oid));
    Ok(tables)
}

/// The patterns without a table among these.
fn idle_patterns(selector: &Selector, wide: &[TableInfo]) -> Vec<String> {
    if selector.all {
        return Vec::new();
    }
    let is_idle = |alone: &Selector| {
        let mut names = wide.iter().map(|table| &table.name);
        !names.any(|name| alone.matches(&name.schema, &name.table))
    };
    let mut idle = Vec::new();
    for pattern in &selector.schema_patterns {
        let alone = Selector {
            schema_patterns: vec![pattern.clone()],
            ..Selector::default()
        };
        if is_idle(&alone) {
            idle.push(format!("{pattern}.*"));
        }
    }
    for schema in &selector.schemas {
        for pattern in &schema.patterns {
            let alone = SchemaSelector {
                name: schema.name.clone(),
                patterns: vec![pattern.clone()],
                ..SchemaSelector::default()
            };
            let alone = Selector {
                schemas: vec![alone],
                ..Selector::default()
            };
            if is_idle(&alone) {
                idle.push(format!("{}.{pattern}", schema.name));
            }
        }
    }
    idle
}

/// Whether the WAL has its changes and a publication may list it.
pub(crate) fn is_trackable(table: &TableInfo) -> bool {
    let kind = match table.kind {
        TableKind::Table | TableKind::Partitioned => true,
        TableKind::View | TableKind::MaterializedView | TableKind::Foreign => false,
    };
    kind && table.persistence == Persistence::Permanent
}

#[cfg(test)]
pub(crate) mod tests {
    use rowcast_pg::catalog::ReplicaIdentity;

    use super::*;

    /// A permanent table without a key.
    pub(crate) fn table(oid: u32, name: &str) -> TableInfo {
        TableInfo {
            oid,
            name: TableName::new("public", name),
            kind: TableKind::Table,
            persistence: Persistence::Permanent,
            replica_identity: ReplicaIdentity::Default,
            is_partition: false,
            partition_root: None,
            primary_key: Vec::new(),
            key_columns: Vec::new(),
            columns: 2,
            estimated_rows: None,
            size_bytes: 0,
        }
    }

    /// Nothing.
    pub(crate) fn nothing() -> Selected {
        Selected {
            wide: Vec::new(),
            named: Vec::new(),
            missing_schemas: Vec::new(),
            reserved_schemas: Vec::new(),
            missing_tables: Vec::new(),
            idle_patterns: Vec::new(),
            is_open: false,
        }
    }

    #[test]
    fn a_publication_lists_each_trackable_table_once() {
        let unlogged = TableInfo {
            persistence: Persistence::Unlogged,
            ..table(3, "cache")
        };
        let selected = Selected {
            wide: vec![table(1, "orders"), unlogged],
            named: vec![table(1, "orders")],
            ..nothing()
        };
        let oids: Vec<u32> = selected.tables().iter().map(|table| table.oid).collect();
        assert_eq!(oids, [1]);
    }

    #[test]
    fn a_pattern_without_a_table_is_named() {
        let selector = Selector {
            schema_patterns: vec!["tenant_*".to_owned(), "pub*".to_owned()],
            schemas: vec![SchemaSelector {
                name: "public".to_owned(),
                patterns: vec!["ord?rs".to_owned(), "log_*".to_owned()],
                ..SchemaSelector::default()
            }],
            ..Selector::default()
        };
        let idle = idle_patterns(&selector, &[table(1, "orders")]);
        assert_eq!(idle, ["tenant_*.*", "public.log_*"]);
    }
}
