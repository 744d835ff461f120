//! Source and capture die again and again under load.

use std::time::Duration;

use rand::Rng as _;
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_testkit::{Proxy, read_stream, rows_in_order};

use crate::load::{Load, TABLES};
use crate::world::World;

const SERVER_CRASHES: u32 = 20;

const KILLS: u32 = 50;

/// A kill comes up to so many milliseconds after capture has begun to publish.
const KILLED_WITHIN_MS: u64 = 300;

#[tokio::test]
async fn crashes_of_the_source_lose_repeat_and_tear_nothing() {
    let mut world = Box::pin(World::streaming(TABLES)).await;
    let load = Load::new(&world.postgres);
    let story = load.during(async {
        for _ in 0..SERVER_CRASHES {
            // Each falls into the middle of publishing.
            world.grows_by(30).await;
            world.postgres.crash_and_restart().await.unwrap();
        }
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
    let retries = world.log().matches("trying again").count();
    assert!(retries >= SERVER_CRASHES as usize, "{retries} retries");
}

#[tokio::test]
async fn kills_of_capture_lose_repeat_and_tear_nothing() {
    let mut world = Box::pin(World::streaming(TABLES)).await;
    let load = Load::new(&world.postgres);
    let story = load.during(async {
        for _ in 0..KILLS {
            // What was written meanwhile comes at all, before each kill.
            world.grows_by(30).await;
            let wait = rand::rng().random_range(0..KILLED_WITHIN_MS);
            tokio::time::sleep(Duration::from_millis(wait)).await;
            world.kill_capture().await;
            // As if its time had run out: this is not a test of the broker's clock.
            world.delete_lease().await;
            world.start_capture();
        }
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
}

#[tokio::test]
async fn a_source_that_shuts_down_does_not_wait_for_a_capture_that_cannot_publish() {
    let mut world = Box::pin(World::new(TABLES)).await;
    let broker_port = world.nats.url().rsplit(':').next().unwrap().parse();
    let link = Proxy::start(broker_port.unwrap()).await.unwrap();
    world.nats_url = format!("nats://127.0.0.1:{}", link.port());
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let load = Load::new(&world.postgres);
    Box::pin(load.during(world.grows_by(100))).await;
    world
        .sql
        .batch_execute("CREATE TABLE shop.large (id int PRIMARY KEY, text text)")
        .await
        .unwrap();
    link.stall();
    world
        .sql
        .batch_execute("INSERT INTO shop.large SELECT n, repeat('x', 10000) FROM generate_series(1, 10000) n; DROP TABLE shop.large")
        .await
        .unwrap();
    let kills = |log: &str| log.matches("received fast shutdown request").count();
    let ends = |log: &str| log.matches("database system is shut down").count();
    let before = world.postgres.log().unwrap();
    world.postgres.stop().await.unwrap();
    let after = world.postgres.log().unwrap();
    assert_eq!(kills(&after), kills(&before) + 1);
    // By itself: one that takes too long is killed, and writes no last line.
    assert_eq!(ends(&after), ends(&before) + 1, "{after}");
    link.resume().await;
    world.postgres.restart().await.unwrap();
    world.grows_by(10_000).await;
    let stored = read_stream(&world.data, &world.task).await.unwrap();
    let rows = rows_in_order(&stored).into_iter();
    let large = rows.filter(|row| row.table.as_deref() == Some("large"));
    let ids = large.map(|row| row.after.as_ref().unwrap()["id"].as_u64().unwrap());
    assert!(ids.eq(1..=10_000));
}
