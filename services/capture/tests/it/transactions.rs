//! Transactions of every form: whole, in the order of their commits, each change once and in its place.

use std::fmt::Write as _;

use rowcast_domain::Lsn;
use rowcast_proto::change::{Change, Operation};
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_testkit::{eventually, stream_length};

use crate::told::{DEBIAN, numbers, rows};
use crate::world::{PATIENCE, World};

const NUMBERS: &str = "CREATE TABLE shop.t (n int PRIMARY KEY, note text);";

/// That these changes are one transaction, numbered without a hole from 1.
fn is_one_transaction(changes: &[Change]) {
    let (lsn, xid) = (changes[0].lsn, changes[0].xid);
    for (ordinal, change) in (1_u64..).zip(changes) {
        assert_eq!(
            (change.lsn, change.xid, change.ordinal),
            (lsn, xid, ordinal)
        );
    }
}

#[tokio::test]
async fn a_transaction_of_a_hundred_thousand_savepoints_is_one_transaction() {
    let world = World::streaming_shop(DEBIAN, NUMBERS).await;
    world.execute("BEGIN").await;
    for block in 0..100 {
        let mut statements = String::new();
        for n in block * 1000..(block + 1) * 1000 {
            write!(
                statements,
                "SAVEPOINT s; INSERT INTO shop.t VALUES ({n}); RELEASE s;"
            )
            .unwrap();
        }
        world.execute(&statements).await;
    }
    world.execute("COMMIT").await;
    let told = world.rows().await;
    assert!(numbers(&told, "n").into_iter().eq(0..100_000));
    is_one_transaction(&told);
}

/// Statements of nested savepoints, and the numbers that they leave.
fn nested_savepoints(rounds: i64) -> (String, Vec<i64>) {
    let (mut statements, mut left) = ("BEGIN;".to_owned(), Vec::new());
    let insert = |statements: &mut String, n: i64| {
        write!(statements, "INSERT INTO shop.t VALUES ({n});").unwrap();
    };
    for round in 0..rounds {
        let n = round * 10;
        insert(&mut statements, n);
        statements.push_str("SAVEPOINT a;");
        insert(&mut statements, n + 1);
        statements.push_str("SAVEPOINT b;");
        insert(&mut statements, n + 2);
        statements.push_str("SAVEPOINT c;");
        insert(&mut statements, n + 3);
        left.push(n);
        // Every third time all of it stays, the inner goes, or all goes and is written again.
        match round % 3 {
            0 => {
                statements.push_str("RELEASE a;");
                left.extend([n + 1, n + 2, n + 3]);
            }
            1 => {
                statements.push_str("ROLLBACK TO b; RELEASE b;");
                insert(&mut statements, n + 4);
                statements.push_str("RELEASE a;");
                left.extend([n + 1, n + 4]);
            }
            _ => {
                statements.push_str("ROLLBACK TO a;");
                insert(&mut statements, n + 1);
                statements.push_str("RELEASE a;");
                left.push(n + 1);
            }
        }
    }
    statements.push_str("COMMIT;");
    (statements, left)
}

async fn what_is_rolled_back_to_a_savepoint_is_not_told(version: u32) {
    let world = World::streaming_shop(version, NUMBERS).await;
    let (statements, left) = nested_savepoints(3000);
    world.execute(&statements).await;
    let told = world.rows().await;
    assert_eq!(numbers(&told, "n"), left);
    is_one_transaction(&told);
}

#[tokio::test]
async fn what_is_rolled_back_to_a_savepoint_is_not_told_on_10() {
    what_is_rolled_back_to_a_savepoint_is_not_told(10).await;
}

#[tokio::test]
async fn what_is_rolled_back_to_a_savepoint_is_not_told_on_18() {
    what_is_rolled_back_to_a_savepoint_is_not_told(18).await;
}

#[tokio::test]
async fn savepoints_may_nest_a_thousand_deep() {
    let world = World::streaming_shop(DEBIAN, NUMBERS).await;
    let mut statements = "BEGIN;".to_owned();
    for n in 0..1000 {
        write!(
            statements,
            "SAVEPOINT s{n}; INSERT INTO shop.t VALUES ({n});"
        )
        .unwrap();
    }
    statements.push_str("ROLLBACK TO s500; INSERT INTO shop.t VALUES (5000); COMMIT;");
    world.execute(&statements).await;
    let told = world.rows().await;
    assert!(numbers(&told, "n").into_iter().eq((0..500).chain([5000])));
    is_one_transaction(&told);
}

impl World {
    /// That the server did not keep a large transaction in memory.
    async fn has_spilled(&self) {
        let query =
            "SELECT (COALESCE(sum(spill_bytes), 0) > 0)::text FROM pg_stat_replication_slots";
        eventually("the server writes to disk", PATIENCE, async || {
            self.one(query).await == "true"
        })
        .await;
    }
}

#[tokio::test]
async fn a_spilled_transaction_that_is_rolled_back_is_not_told_and_its_neighbours_are() {
    let mut world = World::shop(DEBIAN, NUMBERS).await;
    world.set(&["logical_decoding_work_mem = '64kB'"]).await;
    world.run().await;
    let large = world.postgres.client("postgres").await.unwrap();
    large.batch_execute("BEGIN").await.unwrap();
    for block in 0..3 {
        let from = 1000 + block * 100_000;
        large
            .batch_execute(&format!(
                "INSERT INTO shop.t SELECT n, 'gone' FROM generate_series({from}, {from} + 99999) n"
            ))
            .await
            .unwrap();
        world
            .execute(&format!("INSERT INTO shop.t VALUES ({block})"))
            .await;
    }
    large.batch_execute("ROLLBACK").await.unwrap();
    world.execute("INSERT INTO shop.t VALUES (3)").await;
    assert_eq!(numbers(&world.rows().await, "n"), [0, 1, 2, 3]);
    world.has_spilled().await;
    world.everything_is_confirmed().await;
}

#[tokio::test]
async fn a_spilled_transaction_that_is_committed_comes_whole_after_the_small_ones_within_it() {
    let mut world = World::shop(DEBIAN, NUMBERS).await;
    world.set(&["logical_decoding_work_mem = '64kB'"]).await;
    world.run().await;
    let large = world.postgres.client("postgres").await.unwrap();
    large
        .batch_execute("BEGIN; INSERT INTO shop.t SELECT n, repeat('x', 50) FROM generate_series(1000, 20999) n")
        .await
        .unwrap();
    world.execute("INSERT INTO shop.t VALUES (0)").await;
    large
        .batch_execute("INSERT INTO shop.t SELECT n FROM generate_series(21000, 30999) n")
        .await
        .unwrap();
    world.execute("INSERT INTO shop.t VALUES (1)").await;
    large.batch_execute("COMMIT").await.unwrap();
    let told = world.rows().await;
    assert!(
        numbers(&told, "n")
            .into_iter()
            .eq([0, 1].into_iter().chain(1000..31_000))
    );
    is_one_transaction(&told[2..]);
    world.has_spilled().await;
}

async fn a_prepared_transaction_comes_where_it_is_committed(version: u32) {
    let mut world = World::shop(version, NUMBERS).await;
    world.set(&["max_prepared_transactions = 10"]).await;
    world.run().await;
    world
        .execute("BEGIN; INSERT INTO shop.t VALUES (1); INSERT INTO shop.t VALUES (2); PREPARE TRANSACTION 'kept'")
        .await;
    world
        .execute("BEGIN; INSERT INTO shop.t VALUES (3); PREPARE TRANSACTION 'gone'")
        .await;
    world.execute("INSERT INTO shop.t VALUES (4)").await;
    assert_eq!(numbers(&world.rows().await, "n"), [4]);
    world.execute("COMMIT PREPARED 'kept'").await;
    world.execute("ROLLBACK PREPARED 'gone'").await;
    world.execute("INSERT INTO shop.t VALUES (5)").await;
    let told = world.rows().await;
    assert_eq!(numbers(&told, "n"), [4, 1, 2, 5]);
    is_one_transaction(&told[1..3]);
}

#[tokio::test]
async fn a_prepared_transaction_comes_where_it_is_committed_on_10() {
    a_prepared_transaction_comes_where_it_is_committed(10).await;
}

#[tokio::test]
async fn a_prepared_transaction_comes_where_it_is_committed_on_15() {
    a_prepared_transaction_comes_where_it_is_committed(15).await;
}

#[tokio::test]
async fn a_prepared_transaction_comes_where_it_is_committed_on_18() {
    a_prepared_transaction_comes_where_it_is_committed(18).await;
}

#[tokio::test]
async fn a_transaction_that_was_prepared_while_capture_was_down_comes_once() {
    let mut world = World::shop(DEBIAN, NUMBERS).await;
    world.set(&["max_prepared_transactions = 10"]).await;
    world.run().await;
    world
        .execute("BEGIN; INSERT INTO shop.t VALUES (1); PREPARE TRANSACTION 'before'")
        .await;
    world.kill_capture().await;
    world
        .execute("BEGIN; INSERT INTO shop.t VALUES (2); PREPARE TRANSACTION 'down'")
        .await;
    world.postgres.crash_and_restart().await.unwrap();
    world.sql = world.postgres.client("postgres").await.unwrap();
    world.execute("COMMIT PREPARED 'before'").await;
    world.start_capture();
    world.execute("INSERT INTO shop.t VALUES (3)").await;
    assert_eq!(numbers(&world.rows().await, "n"), [1, 3]);
    world.execute("COMMIT PREPARED 'down'").await;
    assert_eq!(numbers(&world.rows().await, "n"), [1, 3, 2]);
}

#[tokio::test]
async fn postgresql_makes_a_first_start_wait_for_a_prepared_transaction() {
    let mut world = World::shop(DEBIAN, NUMBERS).await;
    world.set(&["max_prepared_transactions = 10"]).await;
    world
        .execute("BEGIN; INSERT INTO shop.t VALUES (1); PREPARE TRANSACTION 'early'")
        .await;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    eventually("the slot waits", PATIENCE, async || {
        world
            .one(
                "SELECT count(*)::text FROM pg_replication_slots WHERE confirmed_flush_lsn IS NULL",
            )
            .await
            == "1"
    })
    .await;
    world.execute("COMMIT PREPARED 'early'").await;
    world.reaches(CaptureState::Running).await;
    world.execute("INSERT INTO shop.t VALUES (2)").await;
    // What committed before the slot was consistent belongs to no change stream.
    assert_eq!(numbers(&world.rows().await, "n"), [2]);
}

#[tokio::test]
async fn interleaved_transactions_come_in_the_order_of_their_commits() {
    let world = World::streaming_shop(DEBIAN, NUMBERS).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(world.postgres.client("postgres").await.unwrap());
    }
    for client in &clients {
        client.batch_execute("BEGIN").await.unwrap();
    }
    for round in 0..10 {
        for (client, number) in clients.iter().zip(0..) {
            let n = number * 100 + round;
            client
                .batch_execute(&format!("INSERT INTO shop.t VALUES ({n})"))
                .await
                .unwrap();
        }
    }
    for index in [2, 0, 1] {
        clients[index].batch_execute("COMMIT").await.unwrap();
    }
    let told = world.rows().await;
    let expected = (200..210).chain(0..10).chain(100..110);
    assert!(numbers(&told, "n").into_iter().eq(expected));
    let mut lsns: Vec<Lsn> = Vec::new();
    for changes in told.chunks(10) {
        is_one_transaction(changes);
        lsns.push(changes[0].lsn);
    }
    assert!(lsns.is_sorted_by(|one, other| one < other), "{lsns:?}");
}

#[tokio::test]
async fn rows_of_one_copy_and_of_one_insert_have_positions_of_their_own() {
    let world = World::streaming_shop(DEBIAN, NUMBERS).await;
    world
        .execute("COPY shop.t (n) FROM PROGRAM 'seq 1 5000'")
        .await;
    let values: Vec<String> = (5001..=7000).map(|n| format!("({n})")).collect();
    world
        .execute(&format!("INSERT INTO shop.t VALUES {}", values.join(",")))
        .await;
    let told = world.rows().await;
    assert!(numbers(&told, "n").into_iter().eq(1..=7000));
    is_one_transaction(&told[..5000]);
    is_one_transaction(&told[5000..]);
}

#[tokio::test]
async fn a_transaction_of_many_batches_survives_kills_in_its_middle() {
    const ROWS: i64 = 50_000;
    let mut world = World::streaming_shop(DEBIAN, NUMBERS).await;
    world
        .execute(&format!(
            "INSERT INTO shop.t SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) n"
        ))
        .await;
    let mut cut = Vec::new();
    for _ in 0..3 {
        let before = stream_length(&world.data, &world.task).await.unwrap_or(0);
        eventually("more is told", PATIENCE, async || {
            stream_length(&world.data, &world.task).await.unwrap() > before
        })
        .await;
        world.kill_capture().await;
        cut.push(stream_length(&world.data, &world.task).await.unwrap());
        world.start_capture();
    }
    assert!(cut[0] < ROWS as u64, "no kill was in the middle: {cut:?}");
    world.execute("INSERT INTO shop.t VALUES (0)").await;
    let told = world.rows().await;
    assert!(numbers(&told, "n").into_iter().eq((1..=ROWS).chain([0])));
    is_one_transaction(&told[..told.len() - 1]);
}

#[tokio::test]
async fn messages_within_savepoints_go_with_them() {
    let world = World::streaming_shop(DEBIAN, NUMBERS).await;
    world
        .execute(
            "BEGIN;
             INSERT INTO shop.t VALUES (1);
             SAVEPOINT a;
             SELECT pg_logical_emit_message(true, 'app', 'stays');
             INSERT INTO shop.t VALUES (2);
             SAVEPOINT b;
             SELECT pg_logical_emit_message(true, 'app', 'goes');
             INSERT INTO shop.t VALUES (3);
             ROLLBACK TO b;
             SELECT pg_logical_emit_message(true, 'app', 'last');
             COMMIT;
             BEGIN;
             SELECT pg_logical_emit_message(false, 'app', 'of no transaction');
             INSERT INTO shop.t VALUES (4);
             ROLLBACK;",
        )
        .await;
    let told = world.told().await;
    assert_eq!(numbers(&rows(&told), "n"), [1, 2]);
    let order: Vec<String> = told
        .iter()
        .filter(|message| message.change.op != Operation::Schema)
        .map(|message| match &message.change.message {
            Some(message) => message.text.clone().unwrap(),
            None => message.change.after.as_ref().unwrap()["n"].to_string(),
        })
        .collect();
    assert_eq!(order, ["1", "stays", "2", "last", "of no transaction"]);
    let changes: Vec<Change> = told
        .into_iter()
        .map(|message| message.change)
        .filter(|change| change.op != Operation::Schema)
        .collect();
    is_one_transaction(&changes[..4]);
}
