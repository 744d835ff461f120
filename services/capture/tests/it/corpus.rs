//! Frames of real servers, for the fuzzer and for the test that replays them.

use std::path::Path;

use rowcast_testkit::Postgres;

const SCHEMA: &str = r#"CREATE SCHEMA shop;
    CREATE TYPE shop.mood AS ENUM ('sad', 'ok');
    CREATE TYPE shop.place AS (x int, t text, j jsonb, a text[], z timestamptz[]);
    CREATE TABLE shop.kinds (
        id int PRIMARY KEY, b bool, i8 int8, f8 float8, n numeric, t text, c char(4), by bytea, j json, jb jsonb,
        d date, ts timestamp, tz timestamptz, iv interval, a int[], ta text[], aa int[][], ja json[], ya bytea[],
        za timestamptz[], m shop.mood, p shop.place, pa shop.place[], r int4range, bo box[]
    );
    CREATE TABLE shop.whole (a text, b text, j jsonb);
    ALTER TABLE shop.whole REPLICA IDENTITY FULL;
    CREATE TABLE shop.pages (id int PRIMARY KEY, body text, views int);
    ALTER TABLE shop.pages ALTER body SET STORAGE EXTERNAL;
    CREATE PUBLICATION corpus FOR ALL TABLES;"#;

const CHANGES: &[&str] = &[
    r#"INSERT INTO shop.kinds VALUES (
        1, true, 9007199254740993, 'NaN', 1234567890.12, E'q"\\ \u00e9\n\u0001', 'c', '\xdeadbeef', '{"a": [1, 2.50]}',
        '{"k": null}', '2026-11-23', '2026-11-23 05:33:10.5', '2026-11-23 14:33:10.123456+09', '1 day 02:03:04',
        '{1,NULL,3}', '{"a,b","c\"d",NULL,"NULL"}', '{{1,2},{3,4}}', ARRAY['[1]', 'null', NULL]::json[],
        '{"\\x00ff"}', '{infinity,"2026-11-23 05:33:10+00"}', 'ok', '(1,"x, ""y""","{""a"": [1]}","{a,NULL}",{infinity})', '{"(1,a,null,{},)",NULL}', '[1,5)',
        '{(1,2),(0,0);(3,4),(1,1)}')"#,
    r#"INSERT INTO shop.kinds (id, j, jb, ja, ts, a) VALUES (
        2, '1e400', 'null', '{"[1]","{\"a\": \"\\ud800\"}"}', '0044-03-15 12:00:00 BC', '[2:3]={1,2}')"#,
    "UPDATE shop.kinds SET id = 3, t = 'other' WHERE id = 1; DELETE FROM shop.kinds WHERE id = 2",
    r#"INSERT INTO shop.whole VALUES ('a', NULL, 'null'), ('a', 'b', '{"c": []}')"#,
    "UPDATE shop.whole SET b = 'c' WHERE b IS NULL; DELETE FROM shop.whole",
    "INSERT INTO shop.pages VALUES (1, repeat('x', 2100), 0); UPDATE shop.pages SET views = 1",
    "ALTER TABLE shop.pages ADD note text; INSERT INTO shop.pages VALUES (2, 'y', 0, 'z')",
    "TRUNCATE shop.whole, shop.pages RESTART IDENTITY CASCADE",
    "SELECT pg_logical_emit_message(true, 'app', 'inside'), pg_logical_emit_message(false, 'app', '\\x00ff'::bytea)",
];

/// Frames of a session, each after its length.
fn framed<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    frames.fold(Vec::new(), |mut session, frame| {
        session.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
        session.extend_from_slice(frame);
        session
    })
}

/// A session of each plugin, of the same changes: `pgoutput`, `test_decoding`.
async fn sessions(version: u32) -> [Vec<u8>; 2] {
    let server = Box::pin(Postgres::start_version(version)).await.unwrap();
    let sql = server.client("postgres").await.unwrap();
    sql.batch_execute(SCHEMA).await.unwrap();
    for plugin in ["pgoutput", "test_decoding"] {
        let slot = format!("SELECT pg_create_logical_replication_slot('{plugin}', '{plugin}')");
        sql.query(&slot, &[]).await.unwrap();
    }
    for change in CHANGES {
        sql.batch_execute(change).await.unwrap();
    }
    let messages = if version >= 14 {
        ", 'messages', 'true'"
    } else {
        ""
    };
    sql.batch_execute("SET timezone = UTC; SET search_path = pg_catalog")
        .await
        .unwrap();
    let frames = format!(
        "SELECT data FROM pg_logical_slot_get_binary_changes(
             'pgoutput', NULL, NULL, 'proto_version', '1', 'publication_names', 'corpus'{messages})"
    );
    let frames = sql.query(&frames, &[]).await.unwrap();
    // As bytes, for a message holds what is no text.
    let lines = "SELECT data FROM pg_logical_slot_get_binary_changes(
             'test_decoding', NULL, NULL, 'include-xids', '1', 'include-timestamp', '1')";
    let lines = sql.query(lines, &[]).await.unwrap();
    [
        framed(frames.iter().map(|row| row.get(0))),
        framed(lines.iter().map(|row| row.get(0))),
    ]
}

#[tokio::test]
#[ignore = "rewrites the corpus in fuzz/corpus"]
async fn frames_of_real_servers_are_the_corpus_of_the_fuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for version in [10, 14, 18] {
        let [frames, lines] = Box::pin(sessions(version)).await;
        for (plugin, session) in [("pgoutput", frames), ("test_decoding", lines)] {
            std::fs::create_dir_all(folder.join(plugin)).unwrap();
            let file = folder.join(plugin).join(format!("postgresql-{version}"));
            std::fs::write(file, session).unwrap();
        }
    }
}
