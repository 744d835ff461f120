//! An ETL policy: of a new task, for a running one, over kills, and on rows that it fails on.

use async_nats::jetstream::stream;
use rowcast_proto::change::Operation;
use rowcast_proto::message::{CaptureState, DesiredState, EtlPolicy, Packing, RowErrorAction};
use rowcast_proto::stream::PARKED;
use rowcast_testkit::{Stored, eventually, read_stream, rows_in_order, stream_length};
use serde_json::json;

use crate::world::{PATIENCE, World, told};

const SHOP: &str = "CREATE SCHEMA shop;
    CREATE TABLE shop.orders (id int PRIMARY KEY, phone text, total numeric, note text);
    ALTER TABLE shop.orders REPLICA IDENTITY FULL;";

const MASK: &str = "e_keep(`total` >= 10)
    e_set(`phone`, str_mask(`phone`, 3, 6, '*'))
    e_drop_columns(`note`)
    e_set(`seen`, __OPERATION__)";

fn etl(script: &str, on_error: RowErrorAction) -> EtlPolicy {
    EtlPolicy {
        script: script.to_owned(),
        on_error: on_error.into(),
    }
}

/// Whether a value stands somewhere in a message.
fn tell(stored: &[Stored], text: &str) -> bool {
    let changes = stored
        .iter()
        .map(|message| json!(message.change).to_string());
    changes.into_iter().any(|change| change.contains(text))
}

impl World {
    async fn applying(script: &str, on_error: RowErrorAction) -> Self {
        let mut world = Self::new(SHOP).await;
        world.wish.etl = Some(etl(script, on_error));
        world.begin().await;
        world
    }

    async fn sql(&self, statements: &str) {
        self.sql.batch_execute(statements).await.unwrap();
    }

    /// Gives the running task another policy, and waits until it applies.
    async fn apply(&mut self, policy: Option<EtlPolicy>) {
        self.wish.etl = policy;
        self.desire(DesiredState::Running).await;
        eventually("the policy is in force", PATIENCE, || self.is_in_force()).await;
    }
}

#[tokio::test]
async fn rows_are_filtered_masked_and_reshaped() {
    let world = Box::pin(World::applying(MASK, RowErrorAction::Park)).await;
    world
        .sql(
            "INSERT INTO shop.orders VALUES (1, '13800001234', 12.50, 'secret'), (2, '1', 9.99, 'secret');
             UPDATE shop.orders SET total = 20 WHERE id = 1;
             UPDATE shop.orders SET total = 1 WHERE id = 1;
             UPDATE shop.orders SET total = 30 WHERE id = 1;
             DELETE FROM shop.orders;
             TRUNCATE shop.orders;
             INSERT INTO shop.orders VALUES (3, NULL, 11, NULL)",
        )
        .await;
    // A shape, and what is told.
    let stored = world.stream(7).await;
    assert!(!tell(&stored, "secret"));
    let told = told(&stored);
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    use Operation::{Delete, Insert, Truncate, Update};
    assert_eq!(ops, [Insert, Update, Update, Delete, Truncate, Insert]);
    let row = |phone: &str, total: &str, seen: &str| json!({"id": 1, "phone": phone, "total": total, "seen": seen});
    let image = |image: &Option<_>| json!(image);
    assert_eq!(image(&told[0].after), row("138****1234", "12.50", "INSERT"));
    assert_eq!(
        image(&told[1].before),
        row("138****1234", "12.50", "UPDATE")
    );
    assert_eq!(image(&told[1].after), row("138****1234", "20", "UPDATE"));
    assert!(
        told[2].before.is_none(),
        "what was left out before is not told now: {:?}",
        told[2]
    );
    assert_eq!(image(&told[3].before), row("138****1234", "30", "DELETE"));
    let last = json!({"id": 3, "phone": null, "total": "11", "seen": "INSERT"});
    assert_eq!(image(&told[5].after), last);
    // What was left out is confirmed all the same.
    world.everything_is_confirmed().await;
}

#[tokio::test]
async fn a_running_task_takes_another_policy_between_two_transactions() {
    let mut world = Box::pin(World::applying(
        "e_set(`phone`, 'first')",
        RowErrorAction::Park,
    ))
    .await;
    world
        .sql("INSERT INTO shop.orders VALUES (1, '1', 1, 'n')")
        .await;
    world.stream(2).await;
    world
        .apply(Some(etl(
            "e_set(`phone`, 'second'); e_drop_columns(`note`)",
            RowErrorAction::Park,
        )))
        .await;
    world
        .sql("INSERT INTO shop.orders VALUES (2, '1', 1, 'n')")
        .await;
    world.stream(4).await;
    world.kill_capture().await;
    world.start_capture();
    world
        .sql("INSERT INTO shop.orders VALUES (3, '1', 1, 'n')")
        .await;
    world.stream(6).await;
    world.apply(None).await;
    world
        .sql("INSERT INTO shop.orders VALUES (4, '1', 1, 'n')")
        .await;
    let stored = world.stream(8).await;
    let told = told(&stored);
    let after: Vec<_> = told.iter().map(|change| json!(change.after)).collect();
    let row = |id: i32, phone: &str| json!({"id": id, "phone": phone, "total": "1", "note": "n"});
    let short = |id: i32| json!({"id": id, "phone": "second", "total": "1"});
    assert_eq!(after, [row(1, "first"), short(2), short(3), row(4, "1")]);
}

#[tokio::test]
async fn kills_between_filtered_packs_lose_nothing_and_repeat_nothing() {
    let mut world = World::new(SHOP).await;
    world.wish.etl = Some(etl(
        "e_keep(`id` % 3 == 0); e_set(`phone`, op_add('+', `phone`))",
        RowErrorAction::Park,
    ));
    world.wish.set_packing(Packing::Transaction);
    world.wish.partitions = 1;
    world.wish.transactions = true;
    world.begin().await;
    for kill in 0..4 {
        for transaction in 0..20 {
            let first = (kill * 20 + transaction) * 150 + 1;
            let last = first + 149;
            world.sql(&format!("INSERT INTO shop.orders SELECT n, n, 1, 'n' FROM generate_series({first}, {last}) n")).await;
        }
        world.kill_capture().await;
        world.start_capture();
    }
    let expected: Vec<i64> = (1..=12_000).filter(|id| id % 3 == 0).collect();
    let mut ids = Vec::new();
    eventually("all rows are told", PATIENCE, async || {
        stream_length(&world.data, &world.task).await.unwrap_or(0) >= 80 * 3
    })
    .await;
    world.everything_is_confirmed().await;
    let stored = read_stream(&world.data, &world.task).await.unwrap();
    for row in rows_in_order(&stored) {
        let row = json!(row.after);
        assert_eq!(row["phone"], format!("+{}", row["id"]));
        ids.push(row["id"].as_i64().unwrap());
    }
    assert_eq!(ids, expected);
    let commits = stored
        .iter()
        .filter(|message| message.change.op == Operation::Commit);
    let told: Vec<_> = commits.map(|message| message.change.changes).collect();
    assert_eq!(told, [Some(50); 80], "a commit counts what is told");
}

const FAILS: &str = "e_set(`ratio`, 100 / `total`)";

#[tokio::test]
async fn a_row_that_a_policy_fails_on_is_parked_and_never_told_as_it_was() {
    let world = Box::pin(World::applying(FAILS, RowErrorAction::Park)).await;
    world.sql("INSERT INTO shop.orders VALUES (1, 'a', 50, 'n'), (2, 'secret', 0, 'n'), (3, 'c', 25, 'n')").await;
    let stored = world.stream(4).await;
    let told = told(&stored);
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Operation::Insert, Operation::Gap, Operation::Insert]);
    let gap = told[1].gap.as_ref().unwrap();
    assert_eq!(gap.code, "EtlFailed");
    assert!(
        gap.cause.contains("divided by zero") && !gap.cause.contains("secret"),
        "{}",
        gap.cause
    );
    assert!(!tell(&stored, "secret"));
    eventually("the task says so", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("parked") && warning.contains("shop.orders"))
    })
    .await;
}

#[tokio::test]
async fn where_nothing_more_can_be_parked_the_task_stops_until_there_is_room() {
    let mut world = Box::pin(World::applying(FAILS, RowErrorAction::Park)).await;
    let control = world.nats.client("capture").await.unwrap();
    let jetstream = async_nats::jetstream::new(control);
    let parked = jetstream.get_stream(PARKED.name).await.unwrap();
    let with_room = parked.cached_info().config.clone();
    let full = stream::Config {
        max_bytes: 10,
        ..with_room.clone()
    };
    jetstream.update_stream(full).await.unwrap();
    world
        .sql(
            "INSERT INTO shop.orders VALUES (1, 'a', 50, 'n'), (2, 'b', 0, 'n'), (3, 'c', 25, 'n')",
        )
        .await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "ParkingFull");
    assert!(
        error.message.contains("ROWCAST_PARKED is full") && error.advice.contains("stream purge"),
        "{error:?}"
    );
    jetstream.update_stream(with_room).await.unwrap();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let stored = world.stream(4).await;
    let told = told(&stored);
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Operation::Insert, Operation::Gap, Operation::Insert]);
}

#[tokio::test]
async fn a_policy_that_stops_the_task_goes_on_with_that_row_once_it_is_repaired() {
    let mut world = Box::pin(World::applying(FAILS, RowErrorAction::Stop)).await;
    world
        .sql(
            "INSERT INTO shop.orders VALUES (1, 'a', 50, 'n'), (2, 'b', 0, 'n'), (3, 'c', 25, 'n')",
        )
        .await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "EtlFailed");
    assert!(
        error.message.contains("divided by zero"),
        "{}",
        error.message
    );
    world.wish.etl = Some(etl(
        "e_set(`ratio`, `total` == 0 ? 0 : 100 / `total`)",
        RowErrorAction::Stop,
    ));
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let stored = world.stream(4).await;
    let rows: Vec<_> = told(&stored)
        .into_iter()
        .map(|change| json!(change.after))
        .collect();
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3]);
    assert_eq!(rows[1]["ratio"], "0");
}

#[tokio::test]
async fn rows_that_a_policy_fails_on_can_be_left_out() {
    let world = Box::pin(World::applying(FAILS, RowErrorAction::Drop)).await;
    world
        .sql(
            "INSERT INTO shop.orders VALUES (1, 'a', 50, 'n'), (2, 'b', 0, 'n'), (3, 'c', 25, 'n')",
        )
        .await;
    let stored = world.stream(3).await;
    let told = told(&stored);
    let ids: Vec<_> = told
        .iter()
        .map(|change| json!(change.after)["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(3)]);
}

#[tokio::test]
async fn a_table_that_no_longer_fits_stops_the_task_and_loses_nothing() {
    let script = "e_set(`phone`, str_upper(`phone`))";
    let mut world = Box::pin(World::applying(script, RowErrorAction::Drop)).await;
    world
        .sql("INSERT INTO shop.orders VALUES (1, 'a', 1, 'n')")
        .await;
    world.stream(2).await;
    world
        .sql(
            "ALTER TABLE shop.orders DROP COLUMN phone;
             INSERT INTO shop.orders VALUES (2, 1, 'n'), (3, 1, 'n')",
        )
        .await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "EtlFailed");
    assert!(error.message.contains("phone"), "{}", error.message);
    world.wish.etl = None;
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let stored = world.stream(5).await;
    let ids: Vec<_> = told(&stored)
        .iter()
        .map(|change| json!(change.after)["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(2), json!(3)]);
}
