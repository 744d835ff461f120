//! Whether two schemas hold the same rows.

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::subject::texts;

/// Tables of `shop`, partitioned ones as a whole.
const TABLES: &str = "SELECT quote_ident(relname) FROM pg_class
    WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition";

/// Columns of a table, by their names.
const COLUMNS: &str = "SELECT quote_ident(attname), format_type(atttypid, atttypmod)
    FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
    ORDER BY attname";

/// A table that only one side has must be empty: that there is one, or none any more, is not told.
pub(crate) async fn assert_same(source: &Client, mirror: &Client, name: &str) {
    let (told, kept) = (tables(source).await, tables(mirror).await);
    for (client, side, other) in [(source, &told, &kept), (mirror, &kept, &told)] {
        for table in side.difference(other) {
            let rows = rows(client, table, "*").await;
            assert!(
                rows.is_empty(),
                "{name}: only one side has {table}: {rows:?}"
            );
        }
    }
    for table in told.intersection(&kept) {
        let columns = columns(source, table).await;
        assert_eq!(
            columns,
            self::columns(mirror, table).await,
            "{name}, {table}"
        );
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        let (source, replayed) = (
            rows(source, table, &names).await,
            rows(mirror, table, &names).await,
        );
        assert_same_rows(&format!("{name}, {table}"), &source, &replayed);
    }
}

/// Names the first row that differs.
pub(crate) fn assert_same_rows(what: &str, source: &[String], replayed: &[String]) {
    let different = source
        .iter()
        .zip(replayed)
        .find(|(source, replayed)| source != replayed);
    assert!(
        source == replayed,
        "{what}: {} rows, replayed {}; first difference {different:?}",
        source.len(),
        replayed.len()
    );
}

async fn tables(client: &Client) -> BTreeSet<String> {
    let rows = client.query(TABLES, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn columns(client: &Client, table: &str) -> Vec<(String, String)> {
    let rows = client
        .query(COLUMNS, &[&format!("shop.{table}")])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn rows(client: &Client, table: &str, columns: &str) -> Vec<String> {
    let query = format!(
        "SELECT \"the row\"::text FROM (SELECT {columns} FROM shop.{table}) \"the row\" ORDER BY 1"
    );
    texts(client, &query).await
}
