//! A broker that takes less than the task has to give.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use rowcast_proto::message::CaptureState;
use rowcast_proto::stream::task_stream;
use rowcast_testkit::{read_stream, rows_in_order};

use crate::broker::load::{LOAD, transaction_of};
use crate::world::World;

#[tokio::test]
async fn a_full_stream_is_named_and_goes_on_once_it_may_grow() {
    let world = World::streaming(LOAD).await;
    world
        .sql
        .batch_execute(&transaction_of(0, 5))
        .await
        .unwrap();
    world.everything_is_confirmed().await;
    let streams = jetstream::new(world.data.clone());
    let name = task_stream(&world.task);
    let found = streams.get_stream(&name).await.unwrap();
    let before = found.cached_info().config.clone();
    let full = stream::Config {
        discard: stream::DiscardPolicy::New,
        max_bytes: i64::try_from(found.cached_info().state.bytes).unwrap() + 1000,
        ..before.clone()
    };
    streams.update_stream(&full).await.unwrap();
    for number in 1..20 {
        let transaction = transaction_of(number, 50);
        world.sql.batch_execute(&transaction).await.unwrap();
    }
    let status = world.reaches(CaptureState::Retrying).await;
    let message = status.error.unwrap().message;
    assert!(message.contains(&name), "{message}");
    assert!(message.contains("maximum bytes exceeded"), "{message}");
    world.ends_whole().await;
    world.confirms_nothing_for(Duration::from_secs(3)).await;
    streams.update_stream(&before).await.unwrap();
    world.holds_all(20).await;
    world.reaches(CaptureState::Running).await;
}

#[tokio::test]
async fn a_lowered_payload_limit_cuts_what_was_queued_into_pieces() {
    let mut world = World::streaming(
        "CREATE SCHEMA shop; CREATE TABLE shop.large (id int PRIMARY KEY, body text);",
    )
    .await;
    let insert = async |world: &World, id: i32, bytes: i32| {
        let row = format!("INSERT INTO shop.large VALUES ({id}, repeat('y', {bytes}))");
        world.sql.batch_execute(&row).await.unwrap();
    };
    insert(&world, 0, 600_000).await;
    world.everything_is_confirmed().await;
    world.nats.kill().await.unwrap();
    insert(&world, 1, 600_000).await;
    insert(&world, 2, 10).await;
    world.nats.restart_with("max_payload: 128KB").await.unwrap();
    world.everything_is_confirmed().await;
    world.nats.restart_with("").await.unwrap();
    insert(&world, 3, 600_000).await;
    world.everything_is_confirmed().await;
    let stored = read_stream(&world.data, &world.task).await.unwrap();
    let rows = rows_in_order(&stored);
    let sizes: Vec<usize> = rows
        .iter()
        .map(|row| row.after.as_ref().unwrap()["body"].as_str().unwrap().len())
        .collect();
    assert_eq!(sizes, [600_000, 600_000, 10, 600_000]);
    let pieces: Vec<bool> = stored
        .iter()
        .filter(|message| message.payload.len() > 100_000)
        .map(|message| message.pieces > 1)
        .collect();
    // The limit is read when a session begins: a raised one need not hold for the last row yet.
    assert_eq!(pieces.get(..2), Some([false, true].as_slice()));
}
