//! The SQL of a shop, on every version: what is told of it, and what comes of it.

use std::collections::BTreeSet;

use futures::future::join_all;
use rowcast_e2e::PATIENCE;
use rowcast_testkit::{Platform, Stored, eventually, read_stream};
use serde_json::json;
use tokio_postgres::Client;

use crate::replay::{quoted, replay};
use crate::script::{Step, schema, script, send};
use crate::subject::{FETCHED, Plugin, Server, Subject};
use crate::told::{differences, is_written, keep, told};

/// What identifies no row is not tracked.
const UNTOLD: [&str; 2] = ["shop.untold", "shop.untold_deferrable"];

/// The first version that publishes a root for its partitions.
const VIA_ROOT_SINCE: u32 = 13;

async fn start(fetched: Option<u32>, platform: &Platform) -> Subject {
    let server = Box::pin(Server::start(fetched, &["max_prepared_transactions = 10"])).await;
    let schema = schema(server.version);
    let both = [
        json!({"name": "shop", "all": true}),
        json!({"name": "Büro.Nord", "all": true}),
    ];
    let definition = json!({"objects": {"schemas": both}});
    let subject = Subject::create(server, Plugin::PgOutput, platform, &schema, &definition);
    let subject = Box::pin(subject).await;
    subject.start().await;
    subject
}

async fn write(subject: &Subject) {
    for section in script(subject.version) {
        let sql = &subject.shop.sql;
        sql.execute("INSERT INTO shop.section VALUES ($1)", &[&section.name])
            .await
            .unwrap();
        for step in &section.steps {
            if let Err(error) = send(sql, step).await {
                panic!("{}, {}: {error:?}\n{step:?}", subject.name, section.name);
            }
            if matches!(step, Step::Then) {
                new_tables_are_tracked(subject).await;
            }
        }
    }
}

/// The role is no superuser, so that new tables are added to the publication one by one.
async fn new_tables_are_tracked(subject: &Subject) {
    let via_root = subject.version >= VIA_ROOT_SINCE;
    let query = format!(
        "SELECT (count(*) = 0)::text FROM pg_class c
         WHERE relnamespace = 'shop'::regnamespace AND relpersistence = 'p'
         AND CASE WHEN {via_root} THEN relkind IN ('r', 'p') AND NOT relispartition ELSE relkind = 'r' END
         AND (relreplident IN ('f', 'i') OR relreplident = 'd' AND EXISTS (
             SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary AND indimmediate))
         AND NOT EXISTS (SELECT FROM pg_publication_rel WHERE prrelid = c.oid)"
    );
    let what = format!("{} tracks the new tables", subject.name);
    eventually(&what, PATIENCE, async || {
        subject.one(&query).await == "true"
    })
    .await;
}

/// That every table holds the same rows there and here, in every column that was told.
async fn compare(subject: &Subject, stored: &[Stored]) {
    let mirror = subject.server.client("mirror").await.unwrap();
    replay(stored, &mirror, &subject.name).await;
    // Changes of partitions are told under the name of their root.
    let tables = "SELECT c.oid::regclass::text, CASE relkind WHEN 'p' THEN '' ELSE 'ONLY' END
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('shop', 'Büro.Nord') AND relpersistence = 'p'
         AND relkind IN ('r', 'p') AND NOT relispartition";
    let tables = subject.shop.sql.query(tables, &[]).await.unwrap();
    assert!(tables.len() > 25, "{}: only {tables:?}", subject.name);
    for row in tables {
        let (table, only): (String, String) = (row.get(0), row.get(1));
        let told = columns(&mirror, &table, "").await;
        if UNTOLD.contains(&table.as_str()) {
            assert!(told.is_empty(), "{}: {table} was told", subject.name);
            continue;
        }
        let written = "AND coalesce(to_jsonb(a) ->> 'attgenerated', '') = ''";
        let written = columns(&subject.shop.sql, &table, written).await;
        assert!(
            written.is_subset(&told),
            "{}, {table}: {written:?} are written, told are {told:?}",
            subject.name
        );
        let told: Vec<String> = told.iter().map(|name| quoted(name)).collect();
        let told = told.join(", ");
        let query = format!("SELECT ROW({told})::text FROM {only} {table} ORDER BY 1");
        let run = "after all sections";
        subject.is_mirrored(&mirror, &table, &query, run).await;
    }
}

/// Names of a table's columns, none where there is no table.
async fn columns(client: &Client, table: &str, condition: &str) -> BTreeSet<String> {
    let query = format!(
        "SELECT attname::text FROM pg_attribute a
         WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped {condition}"
    );
    let rows = client.query(&query, &[&table]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_version_tells_of_a_shops_sql_what_is_kept_and_comes_to_the_same_rows() {
    rowcast_testkit::init_tracing();
    let platform = Box::pin(Platform::start(Default::default())).await.unwrap();
    let subjects = join_all(FETCHED.map(|fetched| start(fetched, &platform))).await;
    join_all(subjects.iter().map(write)).await;
    join_all(subjects.iter().map(Subject::is_confirmed)).await;
    let data = rowcast_e2e::data(&platform).await.unwrap();
    let read = async |subject: &Subject| read_stream(&data, &subject.shop.task).await.unwrap();
    let streams = join_all(subjects.iter().map(read)).await;
    let told: Vec<_> = subjects
        .iter()
        .zip(&streams)
        .map(|(subject, stored)| (subject.version, told(stored)))
        .collect();
    if is_written() {
        keep(&told);
    }
    let different: Vec<String> = told
        .iter()
        .flat_map(|(version, told)| differences(*version, told))
        .collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
    let pairs = subjects.iter().zip(&streams);
    join_all(pairs.map(|(subject, stored)| compare(subject, stored))).await;
}
