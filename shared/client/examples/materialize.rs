//! Keeps a copy of a table in another database, with every change applied exactly once.
//!
//! ```sh
//! cargo run -p rowcast-client --example materialize -- connection.json password.txt \
//!     'host=127.0.0.1 dbname=copy user=writer password=…' public.orders
//! ```
//!
//! The first file is the answer of `GET /tasks/{id}/groups/{gid}/connection` of an ordered group. The table is there, as it
//! was when the group's first change was made, for most tables empty; its bytea columns are not copied, for JSON has
//! them in base64. A column that is GENERATED ALWAYS AS IDENTITY may be its key, and has the numbers of the table.
//!
//! What makes it exactly once: the position of the last change is stored in the transaction that applies it. A crash
//! between the two is no such thing; a crash before the acknowledgement lets changes come again, and they are left out.
//!
//! It ends with an error, and the position stays, where changes are missing (`gap`), and where a change finds not the one row
//! that it is about: the copy is not that of the table then, and whoever runs it has to make it anew.
//!
//! It may run more than once, so that another one goes on where one dies: the position is stored only where it is still
//! the one that this process knows. One that stood by, or stood still, begins again behind what the other has applied. So does
//! one that gets changes again, as behind `rowcast group seek`: only the copy knows which of them it has. It
//! connects again for that, and waits where nobody lets it in, as any member does that was let in once.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use futures::StreamExt as _;
use rowcast_client::{
    Change, Changes as _, Delivery, Error, GroupCredentials, Operation, Position, Row, Secret,
    Subscription,
};
use serde_json::Value;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls, Transaction};

/// Changes of one transaction of the copy.
const BATCH: usize = 500;

/// Between two attempts to connect, at most.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let connection = arguments.next().context("first the connection's file")?;
    let password = arguments.next().context("then the password's file")?;
    let target = arguments.next().context("then the database of the copy")?;
    let table = arguments
        .next()
        .context("then the table, as public.orders")?;
    let connection = serde_json::from_slice(&std::fs::read(connection)?)?;
    let password = Secret::new(std::fs::read_to_string(password)?.trim_end());
    let credentials = GroupCredentials::new(connection, password);

    let (mut copy, driver) = tokio_postgres::connect(&target, NoTls).await?;
    let serve = async {
        driver.await?;
        anyhow::bail!("the database of the copy has closed the connection")
    };
    let group = credentials.group_id.to_string();
    let apply = async {
        // What is wrong from the first is told at once.
        let mut subscription = Subscription::connect(credentials.clone()).await?;
        loop {
            follow(&mut copy, subscription, &group, &table).await?;
            subscription = connect_again(&credentials).await?;
        }
    };
    tokio::select! {
        ended = serve => ended,
        ended = apply => ended,
    }
}

/// Connects once more, as soon as that is possible: NATS, or who checks logins, may be away, or the consumer be missing until
/// a task that was reset is started again, for which a member that was let in before waits as long.
async fn connect_again(credentials: &GroupCredentials) -> Result<Subscription, Error> {
    let begun = Instant::now();
    let mut wait = Duration::from_millis(100);
    loop {
        match Subscription::connect(credentials.clone()).await {
            Err(
                error @ (Error::Unreachable(_)
                | Error::LoginRefused { .. }
                | Error::GroupDeleted { .. }),
            ) if begun.elapsed() < credentials.login_patience => {
                eprintln!("not connected yet: {error}");
            }
            connected => return connected,
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Applies changes until another member has applied some, or changes come again: then the copy says where to go on.
async fn follow(
    copy: &mut Client,
    subscription: Subscription,
    group: &str,
    table: &str,
) -> anyhow::Result<()> {
    let mut applied = position(copy, group).await?;
    let changes = subscription.behind(applied);
    // What is there already is applied together.
    let mut batches = changes.ready_chunks(BATCH);
    while let Some(batch) = batches.next().await {
        let batch: Vec<Delivery> = batch.into_iter().collect::<Result<_, _>>()?;
        if let Some(last) = batch.last() {
            let transaction = copy.transaction().await?;
            // First: of two members the second waits here, and then finds another position.
            if !store(&transaction, group, applied, last.position).await? {
                return Ok(());
            }
            for delivery in &batch {
                apply(&transaction, table, &delivery.change).await?;
            }
            transaction.commit().await?;
            applied = Some(last.position);
            match last.ack().await {
                Err(error) if error.is_final() => return Err(error.into()),
                // What is not acknowledged comes again, and is left out.
                Ok(()) | Err(_) => {}
            }
            writeln!(std::io::stdout(), "{}", last.position)?;
        }
    }
    Ok(())
}

/// Up to where the copy is.
async fn position(copy: &Client, group: &str) -> anyhow::Result<Option<Position>> {
    // One at a time: of two that make it at once PostgreSQL refuses one, whatever it says of what exists. Both statements
    // are one transaction, with which the lock ends.
    copy.batch_execute(
        "SELECT pg_advisory_xact_lock(hashtext('rowcast_position'));
         CREATE TABLE IF NOT EXISTS rowcast_position (group_id text PRIMARY KEY, position text NOT NULL)",
    )
    .await?;
    let query = "SELECT position FROM rowcast_position WHERE group_id = $1";
    let row = copy.query_opt(query, &[&group]).await?;
    row.map(|row| Ok(row.try_get::<_, String>(0)?.parse()?))
        .transpose()
}

/// Moves the position, unless it is another one than `before`.
async fn store(
    copy: &Transaction<'_>,
    group: &str,
    before: Option<Position>,
    position: Position,
) -> anyhow::Result<bool> {
    let before = before.map(|position| position.to_string());
    let moved = copy
        .execute(
            "INSERT INTO rowcast_position AS stored VALUES ($1, $2)
             ON CONFLICT (group_id) DO UPDATE SET position = excluded.position WHERE stored.position = $3",
            &[&group, &position.to_string(), &before],
        )
        .await?;
    Ok(moved > 0)
}

async fn apply(copy: &Transaction<'_>, table: &str, change: &Change) -> anyhow::Result<()> {
    let of = change.schema.as_ref().zip(change.table.as_ref());
    let is_its = of.is_some_and(|(schema, name)| format!("{schema}.{name}") == table);
    if change.op == Operation::Gap && (is_its || of.is_none()) {
        return Err(missing(change, table));
    }
    let Some((schema, name)) = of.filter(|_of| is_its) else {
        return Ok(());
    };
    let table = format!("{}.{}", quoted(schema), quoted(name));
    match change.op {
        Operation::Insert => {
            let row = change.after.as_ref().context("an insert without a row")?;
            let columns = columns(row);
            // Also into a column that PostgreSQL numbers itself, GENERATED ALWAYS AS IDENTITY.
            let insert = format!(
                "INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE
                 SELECT {columns} FROM json_populate_record(NULL::{table}, $1::text::json)"
            );
            let row = serde_json::to_string(row)?;
            is_one(copy.execute(&insert, &[&row]).await?, change)?;
        }
        Operation::Update => is_one(update(copy, &table, change).await?, change)?,
        Operation::Delete => {
            let key = key_of(change, change.key.as_ref())?;
            let keys = columns(&key);
            let delete = format!(
                "DELETE FROM {table}
                 WHERE ({keys}) = (SELECT {keys} FROM json_populate_record(NULL::{table}, $1::text::json))"
            );
            let key = serde_json::to_string(&key)?;
            is_one(copy.execute(&delete, &[&key]).await?, change)?;
        }
        Operation::Truncate => copy.batch_execute(&format!("TRUNCATE {table}")).await?,
        Operation::Schema
        | Operation::Begin
        | Operation::Commit
        | Operation::Heartbeat
        | Operation::Ddl
        | Operation::Message
        | Operation::Gap
        | Operation::Part
        | Operation::Pack
        | Operation::Unknown => {}
    }
    Ok(())
}

/// Gives a row its new values. How many rows there were with its key.
async fn update(copy: &Transaction<'_>, table: &str, change: &Change) -> anyhow::Result<u64> {
    let row = change.after.as_ref().context("an update without a row")?;
    // The key before, where it has changed.
    let key = change.before.as_ref().or(change.key.as_ref());
    let key = key_of(change, key)?;
    let keys = columns(&key);
    let is_its = format!(
        "({keys}) = (SELECT {keys} FROM json_populate_record(NULL::{table}, $1::text::json))"
    );
    // A column that PostgreSQL numbers itself may not even be set to what it is.
    let is_new = |(name, value): &(&String, &Value)| key.get(*name) != Some(*value);
    let new = row.iter().filter(is_new);
    let new: Row = new
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let key = serde_json::to_string(&key)?;
    if new.is_empty() {
        let found = format!("SELECT FROM {table} WHERE {is_its} FOR UPDATE");
        return Ok(copy.query(&found, &[&key]).await?.len() as u64);
    }
    let columns = columns(&new);
    let update = format!(
        "UPDATE {table} SET ({columns}) = (
             SELECT {columns} FROM json_populate_record(NULL::{table}, $2::text::json))
         WHERE {is_its}"
    );
    let new = serde_json::to_string(&new)?;
    Ok(copy.execute(&update, &[&key, &new]).await?)
}

/// Nobody can tell which changes they were: the copy may lack each of them.
fn missing(change: &Change, table: &str) -> anyhow::Error {
    let Some(gap) = &change.gap else {
        return anyhow!("changes are missing at {}", change.id);
    };
    anyhow!(
        "changes between {} and {} are missing: {}; copy {table} anew, and move the group behind {} with `rowcast group seek`",
        gap.from,
        gap.to,
        gap.cause,
        change.id
    )
}

/// A change is about one row, which is there as often as the table has it: once.
fn is_one(rows: u64, change: &Change) -> anyhow::Result<()> {
    ensure!(
        rows == 1,
        "{:?} {} is about one row and found {rows} with the key {}: the copy is not that of the table, copy it anew",
        change.op,
        change.id,
        serde_json::to_string(&change.key)?
    );
    Ok(())
}

/// The columns of the key, with their values in `row`.
fn key_of(change: &Change, row: Option<&Row>) -> anyhow::Result<Row> {
    let names = change.key.as_ref().context("a table without a key")?;
    let row = row.context("a change without a key")?;
    let of = |name: &String| {
        let value = row.get(name).cloned();
        value.map(|value| (name.clone(), value))
    };
    Ok(names.keys().filter_map(of).collect())
}

fn columns(row: &Row) -> String {
    let names: Vec<String> = row.keys().map(|name| quoted(name)).collect();
    names.join(", ")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
