//! Writes rows, and notes in the same transactions what was written.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_client::Change;
use rowcast_e2e::Shop;
use rowcast_testkit::{Stored, rows_in_order};
use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;

/// Keys that are written.
const KEYS: i64 = 300;

/// One of so many changes is a delete, where there is a row.
const DELETES: u32 = 6;

/// Milliseconds between two transactions of a writer.
const PACE: std::ops::Range<u64> = 20..150;

/// A writer has written too little where its transactions came slower than this on average: three or four times what
/// [`PACE`] makes, for a machine that is busy with all the rest.
const SLOWEST: Duration = Duration::from_millis(300);

/// Nobody hits the source: a writer that stands still for so long waits for something that it must not wait for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Among so many changes there is one of each kind, and one that the policy leaves out.
pub(super) const MANY: usize = 1000;

/// The table that is tracked. The body is stored apart from its row, so that an update that leaves it alone does not tell
/// it.
pub(super) const TABLE: &str =
    "CREATE TABLE shop.version (key bigint PRIMARY KEY, version bigint NOT NULL, body text NOT NULL);
    ALTER TABLE shop.version ALTER body SET STORAGE EXTERNAL";

/// All rows of it.
pub(super) const CONTENT: &str = "SELECT coalesce(string_agg(concat_ws(' ', key, version, md5(body)), ';' ORDER BY key), '') FROM shop.version";

/// What was written. The changes of a key are numbered from 1 in the order of their commits: the lock is let go only after
/// the commit.
const WRITTEN: &str = "CREATE SCHEMA written;
    CREATE TABLE written.change (
        key bigint, number bigint, operation text NOT NULL, PRIMARY KEY (key, number));
    CREATE FUNCTION written.change(the_key bigint, is_delete boolean) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        next bigint;
        done text := 'insert';
        filled text;
    BEGIN
        PERFORM pg_advisory_xact_lock(the_key);
        SELECT coalesce(max(number), 0) + 1 INTO next FROM written.change WHERE key = the_key;
        IF EXISTS (SELECT FROM shop.version WHERE key = the_key) THEN
            done := CASE WHEN is_delete THEN 'delete' ELSE 'update' END;
        END IF;
        filled := repeat(md5(concat_ws('/', the_key, next)), 80);
        CASE done
            WHEN 'insert' THEN INSERT INTO shop.version VALUES (the_key, next, filled);
            WHEN 'update' THEN UPDATE shop.version
                SET version = next, body = CASE next % 4 WHEN 0 THEN filled ELSE body END
                WHERE key = the_key;
            ELSE DELETE FROM shop.version WHERE key = the_key;
        END CASE;
        INSERT INTO written.change VALUES (the_key, next, done);
    END $$";

/// What happened to a row, and its version after it.
pub(super) type Done = (String, Option<u64>);

/// Whether rows are told with their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// Each with its own, or with the word that it is as it was.
    Told,
    /// None is.
    Dropped,
}

/// A change of a row, with its key.
pub(super) type Row = (u64, Done);

/// Of each key, what happened.
pub(super) type History = BTreeMap<u64, Vec<Done>>;

/// What a writer has done.
#[derive(Debug)]
pub(super) struct Wrote {
    transactions: u128,
    lasted: Duration,
    /// The longest time between two commits.
    paused: Duration,
}

/// Makes the tables.
pub(super) async fn prepare(sql: &Client) -> anyhow::Result<()> {
    Ok(sql.batch_execute(&format!("{TABLE}; {WRITTEN}")).await?)
}

/// Writes until it is enough. Several may write at once.
pub(super) async fn write(
    shop: &Client,
    seed: u64,
    enough: &CancellationToken,
) -> anyhow::Result<Wrote> {
    let mut random = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let (mut transactions, mut committed) = (0, begun);
    let mut paused = Duration::ZERO;
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
        transactions += 1;
        paused = paused.max(committed.elapsed());
        committed = Instant::now();
        tokio::time::sleep(Duration::from_millis(random.random_range(PACE))).await;
    }
    Ok(Wrote {
        transactions,
        lasted: begun.elapsed(),
        paused: paused.max(committed.elapsed()),
    })
}

/// Whether every writer has written all the time: a run in which little is written proves little.
pub(super) fn is_enough(writers: &[Wrote]) -> anyhow::Result<()> {
    ensure!(!writers.is_empty(), "nobody has written");
    for (number, wrote) in writers.iter().enumerate() {
        let Wrote {
            transactions,
            lasted,
            paused,
        } = wrote;
        let wanted = (lasted.as_millis() / SLOWEST.as_millis()).max(1);
        eprintln!(
            "writer {number}: {transactions} transactions in {lasted:?}, of at least {wanted}; paused for {paused:?}"
        );
        ensure!(
            *transactions >= wanted,
            "writer {number} wrote {transactions} transactions in {lasted:?}, of at least {wanted}"
        );
        ensure!(
            *paused <= LONGEST_PAUSE,
            "writer {number} wrote nothing for {paused:?}"
        );
    }
    Ok(())
}

/// Whether each kind of change is among them.
pub(super) fn has_all_kinds(written: &History) -> anyhow::Result<()> {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (operation, _version) in written.values().flatten() {
        *kinds.entry(operation).or_default() += 1;
    }
    eprintln!("{kinds:?}");
    ensure!(
        count(written) < MANY || kinds.len() == 3,
        "no change of some kind: {kinds:?}"
    );
    Ok(())
}

/// Number of changes.
pub(super) fn count(history: &History) -> usize {
    history.values().map(Vec::len).sum()
}

/// Every change of a row that a stream holds, in its order.
pub(super) fn of_stream(stored: &[Stored], body: Body) -> anyhow::Result<Vec<Row>> {
    let rows = rows_in_order(stored).into_iter();
    rows.map(|change| row(change, body)).collect()
}

/// The same, of each key.
pub(super) fn by_key(stream: &[Row]) -> History {
    let mut history = History::new();
    for (key, done) in stream {
        history.entry(*key).or_default().push(done.clone());
    }
    history
}

fn row(change: &Change, body: Body) -> anyhow::Result<Row> {
    let wrong = || format!("no change of a row of the table: {change:?}");
    let operation = serde_json::to_value(change.op)?;
    let operation = operation.as_str().with_context(wrong)?.to_owned();
    let number = |row: Option<&rowcast_client::Row>, name: &str| row?.get(name)?.as_u64();
    let key = number(change.key.as_ref(), "key").with_context(wrong)?;
    let Some(after) = change.after.as_ref() else {
        return Ok((key, (operation, None)));
    };
    ensure!(number(Some(after), "key") == Some(key), wrong());
    let is_told = after.contains_key("body");
    let is_unchanged = change.unchanged.iter().any(|column| column == "body");
    let is_as_wanted = match body {
        // Told, or said to be as it was: one of both.
        Body::Told => is_told != is_unchanged,
        Body::Dropped => !is_told && !is_unchanged,
    };
    ensure!(is_as_wanted, wrong());
    ensure!(operation == "update" || !is_unchanged, wrong());
    let version = number(Some(after), "version").with_context(wrong)?;
    Ok((key, (operation, Some(version))))
}

/// Whether what was told is what was written, all of it and nothing else, that of each key in its order.
pub(super) fn is_same(told: &History, written: &History) -> anyhow::Result<()> {
    for (key, changes) in written {
        let told = told.get(key);
        ensure!(
            told == Some(changes),
            "key {key}: told {told:?}, written {changes:?}"
        );
    }
    let unknown: Vec<&u64> = told
        .keys()
        .filter(|key| !written.contains_key(key))
        .collect();
    ensure!(
        unknown.is_empty(),
        "keys that were never written: {unknown:?}"
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    fn wrote(transactions: u128, paused: u64) -> Wrote {
        Wrote {
            transactions,
            lasted: Duration::from_secs(30),
            paused: Duration::from_secs(paused),
        }
    }

    #[test]
    fn a_writer_that_has_written_too_little_is_found() {
        is_enough(&[wrote(100, 1), wrote(300, 2)]).unwrap();
        let few = is_enough(&[wrote(300, 1), wrote(99, 1)]).unwrap_err();
        assert!(few.to_string().contains("at least 100"), "{few}");
        let paused = is_enough(&[wrote(300, 11)]).unwrap_err();
        assert!(paused.to_string().contains("nothing for 11"), "{paused}");
        assert!(is_enough(&[]).is_err());
    }

    #[test]
    fn what_is_lost_told_again_or_never_written_is_found() {
        let update = |version| ("update".to_owned(), Some(version));
        let written = History::from([(7, vec![update(1), update(2)])]);
        is_same(&written, &written).unwrap();
        for told in [
            History::from([(7, vec![update(1)])]),
            History::from([(7, vec![update(1), update(2), update(2)])]),
            History::from([(7, vec![update(2), update(1)])]),
            History::from([(7, vec![update(1), update(2)]), (8, vec![update(1)])]),
        ] {
            assert!(is_same(&told, &written).is_err(), "{told:?}");
        }
    }
}
