//! What a role and a database have as defaults is not in the stream.

use rowcast_testkit::{Postgres, eventually, rows_in_order};
use serde_json::Value;

use super::{run, told};
use crate::world::{PATIENCE, World};

const TABLE: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.kinds (
        id int PRIMARY KEY, d date, ts timestamp, tz timestamptz, ttz timetz, iv interval, f4 float4, f8 float8,
        p point, by bytea, m money, x xml, t text, rc regclass, rt regtype, a text[], r tstzrange, n numeric,
        o oid, j json
    );";

const ROW: &str = r#"INSERT INTO shop.kinds VALUES (
    1, '2026-11-23', '2026-11-23 05:33:10.5', '2026-11-23 05:33:10.123456+00', '05:33:10+01',
    '1 year -2 mons 3 days 04:05:06.7', 0.1, 0.1, '(0.1,0.30000000000000004)', '\x00ff5c', 1234.5,
    '<a>é</a>', 'é😀 €', 'shop.kinds', 'shop.kinds', '{NULL,"NULL",null2}',
    '[2026-11-23 05:33:10+00,)', 1234567.89, 4294967295, '{"é": 1.50}')"#;

/// Of both the role and the database, where the server has the setting.
const HOSTILE: &[(&str, &str)] = &[
    ("datestyle", "SQL, DMY"),
    ("intervalstyle", "sql_standard"),
    ("timezone", "Asia/Kolkata"),
    ("extra_float_digits", "-15"),
    ("bytea_output", "escape"),
    ("lc_monetary", "C.utf8"),
    ("lc_time", "C.utf8"),
    ("lc_messages", "C.utf8"),
    ("client_encoding", "LATIN1"),
    ("xmloption", "document"),
    ("xmlbinary", "hex"),
    ("search_path", "shop"),
    ("quote_all_identifiers", "on"),
    ("standard_conforming_strings", "off"),
    ("array_nulls", "off"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_isolation", "serializable"),
    ("statement_timeout", "1ms"),
    ("lock_timeout", "1ms"),
    ("idle_session_timeout", "1s"),
    ("idle_in_transaction_session_timeout", "1s"),
    ("transaction_timeout", "1s"),
    ("client_min_messages", "error"),
    ("row_security", "off"),
    ("synchronous_commit", "off"),
    ("wal_sender_timeout", "5s"),
];

async fn row_of(version: u32, hostile: bool) -> Value {
    let server = Box::pin(Postgres::start_version(version)).await.unwrap();
    let mut world = Box::pin(World::on(server, TABLE)).await;
    if hostile {
        for (setting, value) in HOSTILE {
            let known: String = world
                .one(&format!(
                    "SELECT count(*)::text FROM pg_settings WHERE lower(name) = '{setting}' AND context IN ('user', 'superuser')"
                ))
                .await;
            if known == "1" {
                let value = match *setting {
                    "datestyle" => (*value).to_owned(),
                    _ => format!("'{value}'"),
                };
                let sql = format!(
                    "ALTER ROLE postgres SET {setting} = {value}; ALTER DATABASE postgres SET {setting} = {value}"
                );
                world.sql.batch_execute(&sql).await.unwrap();
            }
        }
    }
    run(&mut world).await;
    // Longer than any of the time limits.
    eventually("both sessions of capture live on", PATIENCE, async || {
        let sessions = "SELECT count(*)::text FROM pg_stat_activity
             WHERE application_name LIKE 'rowcast%' AND clock_timestamp() > backend_start + interval '3 s'";
        world.one(sessions).await == "2"
    })
    .await;
    world.sql.batch_execute(ROW).await.unwrap();
    let stored = told(&world).await;
    let rows = rows_in_order(&stored);
    serde_json::to_value(&rows[0].after).unwrap()
}

#[tokio::test]
async fn defaults_of_the_role_and_the_database_change_nothing() {
    for version in [10, 18] {
        let told = Box::pin(row_of(version, false)).await;
        assert_eq!(told["iv"], "10 mons 3 days 04:05:06.7");
        assert_eq!(told["m"], "$1,234.50");
        assert_eq!(told["tz"], "2026-11-23T05:33:10.123456Z");
        assert_eq!(
            Box::pin(row_of(version, true)).await,
            told,
            "PostgreSQL {version}"
        );
    }
}
