//! Publications: what a source sends to a `pgoutput` slot (PostgreSQL docs, "CREATE PUBLICATION").

use rowcast_domain::TableName;
use tokio_postgres::Client;

use crate::Error;

mod membership;

pub use membership::{
    Changed, Existing, Memberships, ParseMembershipsError, existing, fingerprint, memberships,
};

/// The comment by which a publication is known as ours.
pub const MARKER: &str = "Created by Rowcast for one of its tasks.";

/// The first version that can publish TRUNCATE.
const TRUNCATE_SINCE: u32 = 110_000;
/// The first version that can publish changes of partitions under the name of their root.
const VIA_ROOT_SINCE: u32 = 130_000;
/// The first version that can publish whole schemas.
const SCHEMAS_SINCE: u32 = 150_000;
/// The first version that can publish generated columns, the stored ones.
const GENERATED_SINCE: u32 = 180_000;

/// Which tables of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All, those created later included. Only a superuser may publish so.
    AllTables,
    /// All of these schemas, those created later included. Only a superuser may publish so.
    Schemas(Vec<String>),
    /// These.
    Tables(Vec<TableName>),
    /// All of these schemas, those created later included, and these tables. With schemas, only a
    /// superuser may publish so.
    Objects {
        /// The schemas.
        schemas: Vec<String>,
        /// The tables, none of them in one of the schemas.
        tables: Vec<TableName>,
    },
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

impl PublicationState {
    /// Whether it publishes these operations, as far as a server of this version can, and nothing else.
    #[must_use]
    pub fn publishes_just(&self, operations: &[impl AsRef<str>], server_version: u32) -> bool {
        let can_publish = |name: &&str| can_publish(name, server_version);
        let count = operations
            .iter()
            .map(AsRef::as_ref)
            .filter(can_publish)
            .count();
        self.publishes_all(operations, server_version) && count == self.publish.len()
    }

    /// Whether it publishes these operations, as far as a server of this version can.
    #[must_use]
    pub fn publishes_all(&self, operations: &[impl AsRef<str>], server_version: u32) -> bool {
        let mut wanted = operations.iter().map(AsRef::as_ref);
        wanted.all(|name| {
            !can_publish(name, server_version) || self.publish.iter().any(|there| there == name)
        })
    }
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
    let comment = comment_statement(name);
    // One simple query is one transaction.
    client
        .batch_execute(&format!("{statement}; {comment}"))
        .await?;
    Ok(())
}

/// Puts a new publication in the place of one of that name, in one transaction: whoever decodes by
/// the name finds the one before, or the one after. See [`create`]; a missing one is no error.
pub async fn replace(
    client: &Client,
    name: &str,
    selection: &Selection,
    publish: &[&str],
    server_version: u32,
) -> Result<(), Error> {
    let statement = create_statement(name, selection, publish, server_version)?;
    let comment = comment_statement(name);
    let quoted = TableName::quote(name);
    let lock = lock_statement(name);
    client
        .batch_execute(&format!(
            "{lock}; DROP PUBLICATION IF EXISTS {quoted}; {statement}; {comment}"
        ))
        .await?;
    Ok(())
}

/// Adds what it does not list yet to a publication, all or nothing. One that it lists already is
/// refused with SQLSTATE 42710.
pub async fn add(client: &Client, name: &str, selection: &Selection) -> Result<(), Error> {
    alter_objects(client, name, "ADD", selection).await
}

/// Takes what it lists off a publication, all or nothing. What it does not list is refused with
/// SQLSTATE 42704.
pub async fn remove(client: &Client, name: &str, selection: &Selection) -> Result<(), Error> {
    alter_objects(client, name, "DROP", selection).await
}

async fn alter_objects(
    client: &Client,
    name: &str,
    verb: &str,
    selection: &Selection,
) -> Result<(), Error> {
    let items = match selection {
        Selection::AllTables => {
            let problem = "all tables can only be published from the beginning";
            return Err(Error::InvalidArgument(problem.to_owned()));
        }
        // The server knows best which version it is.
        Selection::Schemas(schemas) => objects(schemas, &[], SCHEMAS_SINCE)?,
        Selection::Tables(tables) => objects(&[], tables, SCHEMAS_SINCE)?,
        Selection::Objects { schemas, tables } => objects(schemas, tables, SCHEMAS_SINCE)?,
    };
    let (lock, name) = (lock_statement(name), TableName::quote(name));
    let list = items.join(", ");
    let statement = format!("{lock}; ALTER PUBLICATION {name} {verb} {list}");
    Ok(client.batch_execute(&statement).await?)
}

/// Whether a server of this version can publish the operation.
fn can_publish(operation: &str, server_version: u32) -> bool {
    operation != "truncate" || server_version >= TRUNCATE_SINCE
}

/// Publishes these operations, and no others, of what a publication lists, once these tables have left it; both or
/// neither. See [`create`].
pub async fn publish(
    client: &Client,
    name: &str,
    operations: &[&str],
    leaving: &[TableName],
    server_version: u32,
) -> Result<(), Error> {
    let operations = published(operations, server_version)?;
    let (lock, name) = (lock_statement(name), TableName::quote(name));
    let leaving = list("DROP TABLE ", leaving.iter().map(TableName::quoted));
    let mut statement = lock;
    if !leaving.is_empty() {
        statement.push_str(&format!("; ALTER PUBLICATION {name} {leaving}"));
    }
    statement.push_str(&format!(
        "; ALTER PUBLICATION {name} SET (publish = '{operations}')"
    ));
    Ok(client.batch_execute(&statement).await?)
}

/// Alters a publication without changing anything, so that whoever decodes reads it again.
///
/// Servers without the repair of the 2025 minor releases keep what a table was to a transaction that was open
/// when it was added.
pub async fn touch(client: &Client, name: &str) -> Result<(), Error> {
    let Some(found) = find(client, name).await? else {
        return Ok(());
    };
    let (lock, name) = (lock_statement(name), TableName::quote(name));
    let publish = found.publish.join(", ");
    let statement = format!("{lock}; ALTER PUBLICATION {name} SET (publish = '{publish}')");
    Ok(client.batch_execute(&statement).await?)
}

/// Waits until no session of ours alters the publication any more: the server goes on with what a lost
/// one has asked for.
pub async fn settle(client: &Client, name: &str) -> Result<(), Error> {
    // A simple query is a transaction of its own, and ends the lock at once.
    Ok(client.batch_execute(&lock_statement(name)).await?)
}

/// One session at a time alters a publication.
fn lock_statement(name: &str) -> String {
    let literal = name.replace('\'', "''");
    format!(
        "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('rowcast publication'), pg_catalog.hashtext('{literal}'))"
    )
}

/// Schemas and tables as a publication lists them.
fn objects(
    schemas: &[String],
    tables: &[TableName],
    server_version: u32,
) -> Result<Vec<String>, Error> {
    if !schemas.is_empty() && server_version < SCHEMAS_SINCE {
        let problem = "publishing a schema needs PostgreSQL 15";
        return Err(Error::InvalidArgument(problem.to_owned()));
    }
    let schemas = schemas.iter().map(|schema| TableName::quote(schema));
    let schemas = list("TABLES IN SCHEMA ", schemas);
    let tables = list("TABLE ", tables.iter().map(TableName::quoted));
    let mut objects = vec![schemas, tables];
    objects.retain(|items| !items.is_empty());
    Ok(objects)
}

/// Names of the schemas that a publication lists; none before 15.
pub async fn listed_schemas(client: &Client, name: &str) -> Result<Vec<String>, Error> {
    let known = client
        .query_one(
            "SELECT EXISTS (SELECT 1
                            FROM pg_catalog.pg_class AS c
                            WHERE c.relname = 'pg_publication_namespace'
                              AND c.relnamespace = 'pg_catalog'::pg_catalog.regnamespace)",
            &[],
        )
        .await?;
    if !known.try_get::<_, bool>(0)? {
        return Ok(Vec::new());
    }
    let rows = client
        .query(
            "SELECT n.nspname::text
             FROM pg_catalog.pg_publication AS p
             JOIN pg_catalog.pg_publication_namespace AS r
               ON r.pnpubid = p.oid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = r.pnnspid
             WHERE p.pubname = $1
             ORDER BY 1",
            &[&name],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// The tables that a publication lists, with their OIDs (`pg_publication_rel`): not those that it
/// publishes because they are in a schema, in the database, or partitions of a listed one.
pub async fn listed_tables(client: &Client, name: &str) -> Result<Vec<(u32, TableName)>, Error> {
    let rows = client
        .query(
            "SELECT c.oid,
                    n.nspname::text,
                    c.relname::text
             FROM pg_catalog.pg_publication AS p
             JOIN pg_catalog.pg_publication_rel AS r
               ON r.prpubid = p.oid
             JOIN pg_catalog.pg_class AS c
               ON c.oid = r.prrelid
             JOIN pg_catalog.pg_namespace AS n
               ON n.oid = c.relnamespace
             WHERE p.pubname = $1
             ORDER BY 2, 3",
            &[&name],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let schema: String = row.try_get(1)?;
            let name = TableName::new(schema, row.try_get::<_, String>(2)?);
            Ok((row.try_get(0)?, name))
        })
        .collect()
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
        Selection::Objects { schemas, tables } => list(
            " FOR ",
            objects(schemas, tables, server_version)?.into_iter(),
        ),
    };
    let operations = published(publish, server_version)?;
    let via_root = if server_version >= VIA_ROOT_SINCE {
        ", publish_via_partition_root = true"
    } else {
        ""
    };
    let generated = if server_version >= GENERATED_SINCE {
        ", publish_generated_columns = stored"
    } else {
        ""
    };
    Ok(format!(
        "CREATE PUBLICATION {}{objects} WITH (publish = '{}'{via_root}{generated})",
        TableName::quote(name),
        operations
    ))
}

/// The value of `publish`.
fn published(operations: &[&str], server_version: u32) -> Result<String, Error> {
    let mut names = Vec::with_capacity(operations.len());
    for operation in operations {
        match *operation {
            "insert" | "update" | "delete" | "truncate" => names.push(*operation),
            other => {
                return Err(Error::InvalidArgument(format!(
                    "{other:?} is no operation of a publication"
                )));
            }
        }
    }
    names.retain(|name| can_publish(name, server_version));
    Ok(names.join(", "))
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

fn comment_statement(name: &str) -> String {
    format!(
        "COMMENT ON PUBLICATION {} IS '{MARKER}'",
        TableName::quote(name)
    )
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
             (publish = 'insert, update, delete, truncate', publish_via_partition_root = true, \
             publish_generated_columns = stored)"
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
