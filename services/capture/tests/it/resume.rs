//! Interruptions of every side: nothing is lost, nothing comes twice.

use std::time::Duration;

use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_testkit::rows_in_order;

use crate::world::World;

const COUNTER: &str = "CREATE SCHEMA shop; CREATE TABLE shop.counter (n bigint PRIMARY KEY);";

impl World {
    /// Single-row transactions with these numbers.
    async fn count(&self, numbers: std::ops::Range<u64>) {
        for n in numbers {
            self.sql
                .execute(&format!("INSERT INTO shop.counter VALUES ({n})"), &[])
                .await
                .unwrap();
        }
    }

    /// The stream holds the numbers below `end`, each once, in order.
    async fn holds(&self, end: u64) {
        let mut length = end;
        loop {
            let stored = self.stream(length).await;
            let numbers: Vec<u64> = rows_in_order(&stored)
                .iter()
                .map(|row| row.after.as_ref().unwrap()["n"].as_u64().unwrap())
                .collect();
            if numbers.len() as u64 >= end {
                assert!(numbers.iter().copied().eq(0..end), "{numbers:?}");
                return;
            }
            // Schemas and heartbeats are among them.
            length = stored.len() as u64 + 1;
        }
    }
}

#[tokio::test]
async fn a_stopped_capture_leaves_nothing_to_read_again() {
    let mut world = World::streaming(COUNTER).await;
    world.count(0..100).await;
    world.holds(100).await;
    world.stop_capture().await;
    world.count(100..200).await;
    world.start_capture();
    world.count(200..300).await;
    world.holds(300).await;
}

#[tokio::test]
async fn a_killed_capture_goes_on_behind_the_tail() {
    let mut world = World::streaming(COUNTER).await;
    let mut next = 0;
    for _ in 0..3 {
        world.count(next..next + 300).await;
        next += 300;
        world.kill_capture().await;
        world.count(next..next + 100).await;
        next += 100;
        world.start_capture();
    }
    world.holds(next).await;
}

#[tokio::test]
async fn a_killed_broker_loses_nothing_that_it_acknowledged() {
    let mut world = World::streaming(COUNTER).await;
    world.count(0..300).await;
    world.nats.kill().await.unwrap();
    world.count(300..600).await;
    world.nats.restart().await.unwrap();
    world.count(600..700).await;
    world.holds(700).await;
    world.reaches(CaptureState::Running).await;
    world.everything_is_confirmed().await;
}

#[tokio::test]
async fn a_source_that_restarts_is_retried_and_the_retry_is_told() {
    let mut world = World::streaming(COUNTER).await;
    world.count(0..100).await;
    world.holds(100).await;
    world.postgres.crash_and_restart().await.unwrap();
    world.sql = world.postgres.client("postgres").await.unwrap();
    world.count(100..200).await;
    world.holds(200).await;
    world.reaches(CaptureState::Running).await;
    assert!(world.log().contains("trying again"), "{}", world.log());
}

#[tokio::test]
async fn a_suspended_task_keeps_its_place() {
    let mut world = World::streaming(COUNTER).await;
    world.count(0..50).await;
    world.desire(DesiredState::Suspended).await;
    world.reaches(CaptureState::Suspended).await;
    world.count(50..100).await;
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    world.holds(100).await;
}

#[tokio::test]
async fn two_captures_share_and_the_second_takes_over() {
    let mut world = World::streaming(COUNTER).await;
    world.count(0..100).await;
    let first = world.status().await.unwrap().capture_id;
    let mut second = World::spare_capture(&mut world).await;
    world.count(100..200).await;
    second.kill().await.unwrap();
    world.count(200..300).await;
    world.holds(300).await;
    let status = world.reaches(CaptureState::Running).await;
    assert_ne!(status.capture_id, first);
}

impl World {
    /// Starts a second capture, then gives the first out of hand, to be killed.
    async fn spare_capture(world: &mut Self) -> rowcast_local::Child {
        let first = world.take_capture();
        world.start_capture();
        // Time for it to find the lease held.
        tokio::time::sleep(Duration::from_secs(2)).await;
        first
    }
}

#[tokio::test]
async fn a_released_task_leaves_nothing_behind() {
    let mut world = World::streaming(COUNTER).await;
    world.count(0..10).await;
    world.holds(10).await;
    world.desire(DesiredState::Released).await;
    world.reaches(CaptureState::Released).await;
    let left = world
        .one(
            "SELECT ((SELECT count(*) FROM pg_replication_slots)
                   + (SELECT count(*) FROM pg_publication))::text",
        )
        .await;
    assert_eq!(left, "0");
    let length = rowcast_testkit::stream_length(&world.data, &world.task)
        .await
        .unwrap();
    assert_eq!(length, 0);
    let read = rowcast_testkit::read_stream(&world.data, &world.task).await;
    assert!(read.is_err(), "the stream is still there");
}
