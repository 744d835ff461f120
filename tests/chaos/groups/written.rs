//! Writes rows, and notes in the same transactions what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_e2e::Shop;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

/// Keys that are written.
const KEYS: i64 = 300;

/// One of so many changes is a delete, where there is a row.
const DELETES: u32 = 6;

/// Milliseconds between two transactions of a writer.
const PACE: std::ops::Range<u64> = 20..150;

/// The table that is tracked.
pub(super) const TABLE: &str =
    "CREATE TABLE shop.version (key bigint PRIMARY KEY, version bigint NOT NULL)";

/// What was written. The changes of a key are numbered from 1 in the order of their commits: the lock is let go only after
/// the commit.
const WRITTEN: &str = "CREATE SCHEMA written;
    CREATE TABLE written.change (
        key bigint, number bigint, operation text NOT NULL, PRIMARY KEY (key, number));
    CREATE FUNCTION written.change(the_key bigint, is_delete boolean) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        next bigint;
        done text := 'insert';
    BEGIN
        PERFORM pg_advisory_xact_lock(the_key);
        SELECT coalesce(max(number), 0) + 1 INTO next FROM written.change WHERE key = the_key;
        IF EXISTS (SELECT FROM shop.version WHERE key = the_key) THEN
            done := CASE WHEN is_delete THEN 'delete' ELSE 'update' END;
        END IF;
        CASE done
            WHEN 'insert' THEN INSERT INTO shop.version VALUES (the_key, next);
            WHEN 'update' THEN UPDATE shop.version SET version = next WHERE key = the_key;
            ELSE DELETE FROM shop.version WHERE key = the_key;
        END CASE;
        INSERT INTO written.change VALUES (the_key, next, done);
    END $$";

/// Of each key, what happened and the version of the row after it.
pub(super) type History = BTreeMap<u64, Vec<(String, Option<u64>)>>;

/// Makes the tables.
pub(super) async fn prepare(sql: &Client) -> anyhow::Result<()> {
    Ok(sql.batch_execute(&format!("{TABLE}; {WRITTEN}")).await?)
}

/// Writes until it is enough. Several may write at once.
pub(super) async fn write(
    shop: &Client,
    seed: u64,
    enough: &CancellationToken,
) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    while !enough.is_cancelled() {
        let mut keys: Vec<i64> = (0..random.random_range(1..6))
            .map(|_key| random.random_range(0..KEYS))
            .collect();
        // In one order, so that two writers do not wait for each other.
        keys.sort_unstable();
        let changes: Vec<String> = keys
            .into_iter()
            .map(|key| {
                let is_delete = random.random_ratio(1, DELETES);
                format!("SELECT written.change({key}, {is_delete});")
            })
            .collect();
        let transaction = format!("BEGIN; {} COMMIT", changes.concat());
        shop.batch_execute(&transaction).await?;
        tokio::time::sleep(Duration::from_millis(random.random_range(PACE))).await;
    }
    Ok(())
}

/// One more connection of the shop's owner.
pub(super) async fn connection(shop: &Shop) -> anyhow::Result<Client> {
    let port = shop.platform.postgres.port();
    let password = rowcast_e2e::PASSWORD;
    let url = format!("postgres://shop_owner:{password}@127.0.0.1:{port}/shop");
    rowcast_testkit::connect(&url).await
}

/// Everything that was written.
pub(super) async fn history(sql: &Client) -> anyhow::Result<History> {
    let query = "SELECT key, number, operation FROM written.change ORDER BY key, number";
    let mut history = History::new();
    for row in sql.query(query, &[]).await? {
        let key = u64::try_from(row.get::<_, i64>(0))?;
        let number = u64::try_from(row.get::<_, i64>(1))?;
        let operation: String = row.get(2);
        let version = (operation != "delete").then_some(number);
        history.entry(key).or_default().push((operation, version));
    }
    Ok(history)
}
