//! What is about no row: schema changes, messages of applications, gaps.

use rowcast_proto::change::Operation;
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::{PARKED, source_object};
use rowcast_testkit::{Postgres, eventually};

use crate::world::{PATIENCE, World, told};

const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY);";

async fn schema_changes_stand_between_the_rows_they_separate(postgres: Postgres) {
    let mut world = World::on(postgres, SHOP).await;
    world.wish.change_types.as_mut().unwrap().schema = true;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    world
        .sql
        .batch_execute(
            "INSERT INTO shop.orders VALUES (1);
             ALTER TABLE shop.orders ADD COLUMN note text DEFAULT 'x';
             INSERT INTO shop.orders VALUES (2);
             CREATE SCHEMA other; CREATE TABLE other.t (id int);
             DO $$ BEGIN EXECUTE 'ALTER TABLE shop.orders RENAME note TO remark'; END $$;
             INSERT INTO shop.orders VALUES (3);
             CREATE TEMPORARY TABLE scratch (id int);
             DROP TABLE shop.orders;",
        )
        .await
        .unwrap();
    // Three shapes, three rows, three commands.
    let stored = world.stream(9).await;
    let told = told(&stored);
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    use Operation::{Ddl, Insert};
    assert_eq!(ops, [Insert, Ddl, Insert, Ddl, Insert, Ddl], "{told:#?}");
    let commands: Vec<_> = told
        .iter()
        .filter_map(|change| change.ddl.as_ref())
        .collect();
    assert_eq!(
        commands
            .iter()
            .map(|ddl| ddl.command.as_str())
            .collect::<Vec<_>>(),
        ["ALTER TABLE", "ALTER TABLE", "DROP TABLE"]
    );
    assert_eq!(commands[2].object, "shop.orders");
    assert!(commands[2].dropped && commands[0].text.contains("ADD COLUMN note"));
    assert_eq!(commands[0].user, "postgres");
    assert_eq!(told[1].table.as_deref(), Some("orders"));
    let subject = &stored.iter().find(|m| m.change.op == Ddl).unwrap().subject;
    assert!(subject.ends_with(".tx.shop.orders.ddl"), "{subject}");
    let row = told[4].after.as_ref().unwrap();
    assert_eq!(row["remark"], "x");

    world.desire(DesiredState::Released).await;
    world.reaches(CaptureState::Released).await;
    let left = "SELECT (count(*) + (SELECT count(*) FROM pg_namespace WHERE nspname = 'rowcast')
                       + (SELECT count(*) FROM pg_publication))::text FROM pg_event_trigger";
    assert_eq!(world.one(left).await, "0");
}

#[tokio::test]
async fn schema_changes_come_as_messages_where_the_server_has_them() {
    let postgres = Box::pin(Postgres::start_version(17)).await.unwrap();
    Box::pin(schema_changes_stand_between_the_rows_they_separate(
        postgres,
    ))
    .await;
}

#[tokio::test]
async fn schema_changes_come_by_a_table_where_the_server_has_no_messages() {
    let postgres = Box::pin(Postgres::start_version(12)).await.unwrap();
    Box::pin(schema_changes_stand_between_the_rows_they_separate(
        postgres,
    ))
    .await;
}

#[tokio::test]
async fn messages_of_applications_keep_their_place() {
    let world = World::streaming(SHOP).await;
    world
        .sql
        .batch_execute(
            "BEGIN;
             INSERT INTO shop.orders VALUES (1);
             SELECT pg_logical_emit_message(true, 'app', 'between');
             SELECT pg_logical_emit_message(true, 'rowcast.ddl', 'forged');
             INSERT INTO shop.orders VALUES (2);
             COMMIT;
             SELECT pg_logical_emit_message(false, 'app', '\\xff00'::bytea);
             SELECT pg_logical_emit_message(false, 'app', 'last');
             INSERT INTO shop.orders VALUES (3);",
        )
        .await
        .unwrap();
    let stored = world.stream(8).await;
    let told = told(&stored);
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    use Operation::{Insert, Message};
    assert_eq!(
        ops,
        [Insert, Message, Message, Insert, Message, Message, Insert]
    );
    let message = |index: usize| told[index].message.clone().unwrap();
    assert_eq!(message(1).text.as_deref(), Some("between"));
    assert_eq!(message(2).prefix, "rowcast.ddl");
    assert_eq!(message(4).base64.as_deref(), Some("/wA="));
    assert!(!message(5).transactional && told[5].xid.is_none());
    assert_eq!(told[1].ordinal, 2);
}

#[tokio::test]
async fn an_accepted_gap_is_told_and_the_task_goes_on_once() {
    let mut world = World::streaming(SHOP).await;
    let insert = async |world: &World, id: i32| {
        world
            .sql
            .execute("INSERT INTO shop.orders VALUES ($1)", &[&id])
            .await
            .unwrap();
    };
    insert(&world, 1).await;
    world.everything_is_confirmed().await;
    let lose = async |world: &mut World, id: i32| {
        world.stop_capture().await;
        let slot = source_object(&world.task);
        world
            .one(&format!("SELECT pg_drop_replication_slot('{slot}')::text"))
            .await;
        insert(world, id).await;
        world.start_capture();
    };
    lose(&mut world, 2).await;
    world.reaches(CaptureState::Stopped).await;
    world.wish.accepted_stop = "Gap".to_owned();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    insert(&world, 3).await;
    let stored = world.stream(5).await;
    let told_first = told(&stored);
    let ops: Vec<Operation> = told_first.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Operation::Insert, Operation::Gap, Operation::Insert]);
    let gap = told_first[1].gap.clone().unwrap();
    assert!(gap.code == "Gap" && gap.from < gap.to, "{gap:?}");
    assert_eq!(told_first[2].after.as_ref().unwrap()["id"], 3);
    // The decision was for that stop, not for the next one.
    world.everything_is_confirmed().await;
    lose(&mut world, 4).await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "Gap");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_parked_and_the_others_go_on() {
    let mut world = World::new(
        "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    .await;
    let sql = world.postgres.client("raw").await.unwrap();
    sql.batch_execute(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, note text)",
    )
    .await
    .unwrap();
    world.wish.source.as_mut().unwrap().database = "raw".to_owned();
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    sql.batch_execute(r"INSERT INTO shop.orders VALUES (1, 'ä'), (2, E'\xe4'), (3, 'o')")
        .await
        .unwrap();
    let stored = world.stream(4).await;
    let told = told(&stored);
    let ops: Vec<Operation> = told.iter().map(|change| change.op).collect();
    assert_eq!(ops, [Operation::Insert, Operation::Gap, Operation::Insert]);
    assert_eq!(
        (told[1].ordinal, told[1].table.as_deref()),
        (2, Some("orders"))
    );
    let gap = told[1].gap.as_ref().unwrap();
    assert_eq!(gap.code, "UndecodableChange");
    assert!(gap.cause.contains("UTF-8"), "{}", gap.cause);

    let control = world.nats.client("capture").await.unwrap();
    let parked = async_nats::jetstream::new(control)
        .get_stream(PARKED.name)
        .await
        .unwrap();
    let message = parked.get_raw_message(1).await.unwrap();
    let id = message.headers.get("Rowcast-Id").unwrap().as_str();
    assert_eq!(id, told[1].id.to_string());
    assert!(message.payload.windows(1).any(|byte| byte == b"\xe4"));
    eventually("the task says so", PATIENCE, async || {
        let warnings = world.status().await.unwrap().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("shop.orders"))
    })
    .await;
}
