//! Completes a table's shape with what only the source's catalog knows, and tells shapes in KV before
//! their first use.

use std::collections::HashSet;
use std::sync::Arc;

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_domain::{Selector, TaskId};
use rowcast_pg::{Session, catalog};
use rowcast_proto::change::TableSchema;
use rowcast_proto::subject;

use super::change::Relation;
use super::decode::kind::TypeCatalog;
use super::decode::relation::Shape;
use crate::error::Error;

/// First version that sends changes of partitions under the name of their root by itself.
const ROOTS_SINCE: u32 = 130_000;

/// Looks shapes up for one task.
pub(crate) struct Catalog {
    session: Arc<Session>,
    schemas: kv::Store,
    task: TaskId,
    server_version: u32,
    types: TypeCatalog,
    /// Ids of the shapes that are in KV.
    told: HashSet<String>,
}

impl Catalog {
    pub(crate) fn new(
        session: Arc<Session>,
        schemas: kv::Store,
        task: TaskId,
        server_version: u32,
    ) -> Self {
        Self {
            session,
            schemas,
            task,
            server_version,
            types: TypeCatalog::default(),
            told: HashSet::new(),
        }
    }

    /// The table in this shape. `selector` says what the task tracks: a partition has the name of its
    /// root where the root is tracked, and else its own.
    ///
    /// # Errors
    /// Where the source or the broker does not answer.
    pub(crate) async fn complete(
        &mut self,
        shape: Shape,
        selector: &Selector,
    ) -> Result<Relation, Error> {
        let unknown = TypeCatalog::to_look_up(shape.type_oids());
        if !unknown.is_empty() {
            self.types
                .add(catalog::types(&self.session, &unknown).await?);
        }
        let primary_key = if shape.wants_primary_key() {
            // By OID: the row may be older than the table's name. A table that was dropped meanwhile
            // has no key any more.
            let found = catalog::table(&self.session, shape.oid()).await?;
            found.map(|table| table.primary_key)
        } else {
            None
        };
        let mut shape = shape;
        if self.server_version < ROOTS_SINCE
            && let Some(root) = catalog::partition_root_of(&self.session, shape.oid()).await?
            && selector.matches(&root.name.schema, &root.name.table)
        {
            shape.rename(root.name);
        }
        Ok(shape.resolve(&self.types, &primary_key.unwrap_or_default()))
    }

    /// Tells a shape in KV, the first time.
    ///
    /// # Errors
    /// Where the broker does not answer.
    pub(crate) async fn publish(&mut self, schema: &TableSchema) -> Result<(), Error> {
        if self.told.contains(&schema.id) {
            return Ok(());
        }
        let key = format!("{}.{}", self.task, subject::escape(&schema.id));
        let value = serde_json::to_vec(schema).map_err(Error::broker)?;
        self.schemas
            .put(key, value.into())
            .await
            .map_err(Error::broker)?;
        self.told.insert(schema.id.clone());
        Ok(())
    }
}
