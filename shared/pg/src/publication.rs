//! Publications: what a source sends to a `pgoutput` slot (PostgreSQL docs, "CREATE PUBLICATION").

use rowcast_domain::TableName;
use tokio_postgres::Client;

use crate::Error;

/// The comment by which a publication is known as ours.
pub const MARKER: &str = "Created by Rowcast for one of its tasks.";

/// The first version that can publish TRUNCATE.
const TRUNCATE_SINCE: u32 = 110_000;
/// The first version that can publish changes of partitions under the name of their root.
const VIA_ROOT_SINCE: u32 = 130_000;
/// The first version that can publish whole schemas.
const SCHEMAS_SINCE: u32 = 150_000;

/// Which tables of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All, those created later included. Only a superuser may publish so.
    AllTables,
    /// All of these schemas, those created later included. Only a superuser may publish so.
    Schemas(Vec<String>),
    /// These.
    Tables(Vec<TableName>),
}

/// A publication as it stands on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationState {
    /// It publishes every table.
    pub all_tables: bool,
    /// The operations it publishes: of `insert`, `update`, `delete` and `truncate`.
    pub publish: Vec<String>,
    /// Changes of partitions bear the name of their root.
    pub via_partition_root: bool,
    /// It bears [`MARKER`].
    pub ours: bool,
    /// What it publishes, by whatever way.
    pub tables: Vec<TableName>,
}

/// Creates a publication and marks it as ours, both or neither.
///
/// `publish` names operations; `truncate` is left out where the server cannot publish it (before
/// 11). Without any table it publishes nothing until tables are added.
pub async fn create(
    client: &Client,
    name: &str,
    selection: &Selection,
    publish: &[&str],
    server_version: u32,
) -> Result<(), Error> {
    let statement = create_statement(name, selection, publish, server_version)?;
    let quoted = TableName::quote(name);
    // One simple query is one transaction.
    client
        .batch_execute(&format!(
            "{statement}; COMMENT ON PUBLICATION {quoted} IS '{MARKER}'"
        ))
        .await?;
    Ok(())
}

/// The statement that [`create`] runs, for a user who has to run it with another role.
pub fn create_statement(
    name: &str,
    selection: &Selection,
    publish: &[&str],
    server_version: u32,
) -> Result<String, Error> {
    let objects = match selection {
        Selection::AllTables => " FOR ALL TABLES".to_owned(),
        Selection::Schemas(_) if server_version < SCHEMAS_SINCE => {
            return Err(Error::InvalidArgument(
                "publishing a schema needs PostgreSQL 15".to_owned(),
            ));
        }
        Selection::Schemas(schemas) => list(
            " FOR TABLES IN SCHEMA ",
            schemas.iter().map(|schema| TableName::quote(schema)),
        ),
        Selection::Tables(tables) => list(" FOR TABLE ", tables.iter().map(TableName::quoted)),
    };
    let mut operations = Vec::with_capacity(publish.len());
    for operation in publish {
        match *operation {
            "insert" | "update" | "delete" => operations.push(*operation),
            "truncate" if server_version < TRUNCATE_SINCE => {}
            "truncate" => operations.push("truncate"),
            other => {
                return Err(Error::InvalidArgument(format!(
                    "{other:?} is no operation of a publication"
                )));
            }
        }
    }
    let via_root = if server_version >= VIA_ROOT_SINCE {
        ", publish_via_partition_root = true"
    } else {
        ""
    };
    Ok(format!(
        "CREATE PUBLICATION {}{objects} WITH (publish = '{}'{via_root})",
        TableName::quote(name),
        operations.join(", ")
    ))
}

/// Looks for a publication by name.
pub async fn find(client: &Client, name: &str) -> Result<Option<PublicationState>, Error> {
    let row = client
        .query_opt(
            "SELECT p.oid,
                    p.puballtables,
                    COALESCE((p.row ->> 'pubinsert')::boolean, false),
                    COALESCE((p.row ->> 'pubupdate')::boolean, false),
                    COALESCE((p.row ->> 'pubdelete')::boolean, false),
                    COALESCE((p.row ->> 'pubtruncate')::boolean, false),
                    COALESCE((p.row ->> 'pubviaroot')::boolean, false),
                    pg_catalog.obj_description(p.oid, 'pg_publication')
             FROM (SELECT r.oid, r.puballtables, pg_catalog.row_to_json(r) AS row
                   FROM pg_catalog.pg_publication AS r
                   WHERE r.pubname = $1) AS p",
            &[&name],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let mut publish = Vec::new();
    for (index, operation) in (2..).zip(["insert", "update", "delete", "truncate"]) {
        if row.try_get(index)? {
            publish.push(operation.to_owned());
        }
    }
    let tables = client
        .query(
            "SELECT t.schemaname::text,
                    t.tablename::text
             FROM pg_catalog.pg_publication_tables AS t
             WHERE t.pubname = $1
             ORDER BY 1, 2",
            &[&name],
        )
        .await?;
    Ok(Some(PublicationState {
        all_tables: row.try_get(1)?,
        publish,
        via_partition_root: row.try_get(6)?,
        ours: row.try_get::<_, Option<&str>>(7)? == Some(MARKER),
        tables: tables
            .iter()
            .map(|row| {
                let schema: String = row.try_get(0)?;
                Ok(TableName::new(schema, row.try_get::<_, String>(1)?))
            })
            .collect::<Result<_, Error>>()?,
    }))
}

/// Drops a publication; a missing one is no error.
pub async fn drop(client: &Client, name: &str) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "DROP PUBLICATION IF EXISTS {}",
            TableName::quote(name)
        ))
        .await?;
    Ok(())
}

/// `intro a, b`; nothing at all without an item.
fn list(intro: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        String::new()
    } else {
        format!("{intro}{}", items.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_fits_the_version_and_quotes_names() {
        let tables = Selection::Tables(vec![
            TableName::new("public", "a"),
            TableName::new("S p", "b\"c"),
        ]);
        let all = ["insert", "update", "delete", "truncate"];
        assert_eq!(
            create_statement("rc_1", &tables, &all, 180_000).unwrap(),
            "CREATE PUBLICATION \"rc_1\" FOR TABLE \"public\".\"a\", \"S p\".\"b\"\"c\" WITH \
             (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
        );
        assert_eq!(
            create_statement("rc_1", &Selection::AllTables, &all, 100_000).unwrap(),
            "CREATE PUBLICATION \"rc_1\" FOR ALL TABLES WITH (publish = 'insert, update, delete')"
        );
        assert_eq!(
            create_statement("rc_1", &Selection::Tables(Vec::new()), &[], 100_000).unwrap(),
            "CREATE PUBLICATION \"rc_1\" WITH (publish = '')"
        );
    }

    #[test]
    fn what_cannot_be_published_is_refused() {
        let schemas = Selection::Schemas(vec!["s".to_owned()]);
        assert!(create_statement("rc_1", &schemas, &["insert"], 140_000).is_err());
        assert!(create_statement("rc_1", &schemas, &["insert"], 150_000).is_ok());
        let injected = ["insert', publish_generated_columns = 'stored"];
        assert!(create_statement("rc_1", &Selection::AllTables, &injected, 180_000).is_err());
    }
}
