//! Tables, schemas and types as the catalog has them.

use rowcast_domain::TableName;
use rowcast_pg::catalog::{self, Persistence, ReplicaIdentity, TableKind, TypeKind};
use rowcast_pg::publication::Selection;

use crate::server::Server;

#[tokio::test]
async fn tables_tell_kind_key_and_identity() {
    let server = Server::start().await;
    let session = server.session().await;
    session
        .batch_execute(
            "CREATE SCHEMA app;
             CREATE TABLE app.keyed (b integer, a integer, c text, PRIMARY KEY (a, b));
             ALTER TABLE app.keyed DROP COLUMN c;
             CREATE TABLE app.bare (x integer);
             CREATE TABLE app.full_row (x integer PRIMARY KEY);
             ALTER TABLE app.full_row REPLICA IDENTITY FULL;
             CREATE TABLE app.by_index (id integer PRIMARY KEY, code text NOT NULL UNIQUE);
             ALTER TABLE app.by_index REPLICA IDENTITY USING INDEX by_index_code_key;
             CREATE UNLOGGED TABLE app.unlogged (x integer);
             CREATE TABLE app.parts (x integer) PARTITION BY RANGE (x);
             CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
             CREATE VIEW app.seen AS SELECT 1 AS one;
             CREATE TEMPORARY TABLE passing (x integer);
             INSERT INTO app.bare SELECT pg_catalog.generate_series(1, 500);
             ANALYZE app.bare",
        )
        .await
        .unwrap();
    let all = catalog::tables(&session, &Selection::AllTables)
        .await
        .unwrap();
    let by_schema = Selection::Schemas(vec!["app".to_owned()]);
    assert_eq!(catalog::tables(&session, &by_schema).await.unwrap(), all);
    let names: Vec<&str> = all.iter().map(|table| table.name.table.as_str()).collect();
    let expected = [
        "bare", "by_index", "full_row", "keyed", "parts", "parts_1", "unlogged",
    ];
    assert_eq!(names, expected);
    let [bare, by_index, full_row, keyed, parts, part, unlogged] = all.as_slice() else {
        panic!("{all:?}");
    };

    assert_eq!(keyed.primary_key, ["a", "b"]);
    assert_eq!(keyed.key_columns, ["a", "b"]);
    assert_eq!((keyed.columns, keyed.estimated_rows), (2, None));
    assert_eq!(keyed.replica_identity, ReplicaIdentity::Default);
    assert!(bare.primary_key.is_empty() && bare.key_columns.is_empty());
    assert_eq!(bare.estimated_rows, Some(500));
    assert!(bare.size_bytes >= 8192);
    assert_eq!(full_row.replica_identity, ReplicaIdentity::Full);
    assert_eq!(full_row.primary_key, ["x"]);
    assert!(full_row.key_columns.is_empty());
    assert_eq!(by_index.replica_identity, ReplicaIdentity::Index);
    assert_eq!(by_index.key_columns, ["code"]);
    assert_eq!(by_index.primary_key, ["id"]);
    assert_eq!(unlogged.persistence, Persistence::Unlogged);
    assert_eq!(parts.kind, TableKind::Partitioned);
    assert!(part.is_partition && !parts.is_partition);

    let named = Selection::Tables(vec![
        TableName::new("app", "seen"),
        TableName::new("app", "missing"),
        TableName::new("app", "bare"),
    ]);
    let named = catalog::tables(&session, &named).await.unwrap();
    let kinds: Vec<TableKind> = named.iter().map(|table| table.kind).collect();
    assert_eq!(kinds, [TableKind::Table, TableKind::View]);
}

#[tokio::test]
async fn databases_and_schemas_are_those_of_users() {
    let server = Server::start().await;
    let session = server.session().await;
    session.batch_execute("CREATE DATABASE shop").await.unwrap();
    session.batch_execute("CREATE SCHEMA app").await.unwrap();
    assert_eq!(
        catalog::databases(&session).await.unwrap(),
        ["postgres", "shop"]
    );
    assert_eq!(catalog::schemas(&session).await.unwrap(), ["app", "public"]);
}

#[tokio::test]
async fn types_are_followed_to_the_built_in_ones() {
    let server = Server::start().await;
    let session = server.session().await;
    session
        .batch_execute(
            "CREATE TYPE public.mood AS ENUM ('sad', 'ok');
             CREATE DOMAIN public.amount AS numeric(12, 2);
             CREATE TYPE public.line AS (price public.amount, moods public.mood[]);
             CREATE DOMAIN public.lines AS public.line[];
             CREATE TYPE public.span AS RANGE (subtype = integer);
             CREATE TABLE public.t (l public.lines, s public.span)",
        )
        .await
        .unwrap();
    let columns: Vec<u32> = session
        .query(
            "SELECT atttypid FROM pg_attribute
             WHERE attrelid = 'public.t'::regclass AND attnum > 0 ORDER BY attnum",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let types = catalog::types(&session, &columns).await.unwrap();
    let named = |name: &str| types.iter().find(|info| info.name == name).unwrap();
    let with_oid = |oid: u32| types.iter().find(|info| info.oid == oid).unwrap();

    let lines = named("lines");
    assert_eq!((lines.kind, lines.oid), (TypeKind::Domain, columns[0]));
    assert_eq!(lines.element, None);
    let array = with_oid(lines.base.unwrap().0);
    let line = with_oid(array.element.unwrap());
    assert_eq!(
        (line.kind, line.name.as_str()),
        (TypeKind::Composite, "line")
    );
    let [(price, amount), (moods, mood_array)] = line.fields.as_slice() else {
        panic!("{:?}", line.fields);
    };
    assert_eq!((price.as_str(), moods.as_str()), ("price", "moods"));
    // numeric(12, 2): precision and scale, and the four bytes of the varlena header.
    assert_eq!(with_oid(*amount).base, Some((1700, (12 << 16) + 2 + 4)));
    let mood = with_oid(with_oid(*mood_array).element.unwrap());
    assert_eq!(
        (mood.kind, mood.schema.as_str()),
        (TypeKind::Enum, "public")
    );
    assert_eq!(named("span").kind, TypeKind::Range);
    assert_eq!(named("numeric").kind, TypeKind::Base);
    assert_eq!(
        catalog::types(&session, &[4_000_000_000]).await.unwrap(),
        []
    );
}
