//! What a selection of objects comes to on the server.

use rowcast_domain::TableName;
use rowcast_pg::catalog::{self, Persistence, TableInfo, TableKind};
use rowcast_pg::publication::Selection;
use rowcast_pg::{Client, Error};
use rowcast_proto::message::ObjectSelection;

/// The relations behind a selection, and what is not there.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Of all or of whole schemas.
    pub(crate) wide: Vec<TableInfo>,
    /// Named one by one.
    pub(crate) named: Vec<TableInfo>,
    /// Schemas that do not exist.
    pub(crate) missing_schemas: Vec<String>,
    /// Named tables that do not exist, in schemas that do.
    pub(crate) missing_tables: Vec<TableName>,
    /// The database, or a whole schema, is selected: tables created later belong to it.
    pub(crate) is_open: bool,
}

impl Selected {
    /// Looks up every selected object.
    pub(crate) async fn read(client: &Client, objects: &ObjectSelection) -> Result<Self, Error> {
        if objects.all {
            return Ok(Self {
                wide: catalog::tables(client, &Selection::AllTables).await?,
                named: Vec::new(),
                missing_schemas: Vec::new(),
                missing_tables: Vec::new(),
                is_open: true,
            });
        }
        let existing = catalog::schemas(client).await?;
        let whole: Vec<String> = objects
            .schemas
            .iter()
            .filter(|schema| schema.all)
            .map(|s| s.name.clone())
            .collect();
        let names = named_tables(objects);
        let is_open = !whole.is_empty();
        let wide = catalog::tables(client, &Selection::Schemas(whole)).await?;
        let named = catalog::tables(client, &Selection::Tables(names.clone())).await?;
        let missing_tables = names
            .into_iter()
            .filter(|name| existing.contains(&name.schema))
            .filter(|name| !named.iter().any(|table| table.name == *name))
            .collect();
        let missing_schemas = objects
            .schemas
            .iter()
            .map(|schema| schema.name.clone())
            .filter(|name| !existing.contains(name))
            .collect();
        Ok(Self {
            wide,
            named,
            missing_schemas,
            missing_tables,
            is_open,
        })
    }

    /// The tables that a publication would list: a partition comes under its root where the root is
    /// selected as well.
    pub(crate) fn tables(&self) -> Vec<&TableInfo> {
        let wide = self.wide.iter().filter(|table| !table.is_partition);
        let mut tables: Vec<&TableInfo> = wide
            .chain(&self.named)
            .filter(|table| is_trackable(table))
            .collect();
        tables.sort_by_key(|table| table.oid);
        tables.dedup_by_key(|table| table.oid);
        tables
    }
}

/// Whether the WAL has its changes and a publication may list it.
pub(crate) fn is_trackable(table: &TableInfo) -> bool {
    let kind = match table.kind {
        TableKind::Table | TableKind::Partitioned => true,
        TableKind::View | TableKind::MaterializedView | TableKind::Foreign => false,
    };
    kind && table.persistence == Persistence::Permanent
}

fn named_tables(objects: &ObjectSelection) -> Vec<TableName> {
    let schemas = objects.schemas.iter().filter(|schema| !schema.all);
    schemas
        .flat_map(|schema| {
            schema
                .tables
                .iter()
                .map(|table| TableName::new(&schema.name, table))
        })
        .collect()
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
            missing_tables: Vec::new(),
            is_open: false,
        }
    }

    #[test]
    fn a_publication_lists_each_trackable_table_once_and_no_partition_of_a_selected_root() {
        let partition = TableInfo {
            is_partition: true,
            ..table(2, "orders_2026")
        };
        let unlogged = TableInfo {
            persistence: Persistence::Unlogged,
            ..table(3, "cache")
        };
        let selected = Selected {
            wide: vec![table(1, "orders"), partition, unlogged],
            named: vec![table(1, "orders")],
            ..nothing()
        };
        let oids: Vec<u32> = selected.tables().iter().map(|table| table.oid).collect();
        assert_eq!(oids, [1]);
    }
}
