//! What others do to a task's stream while the task runs.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use rowcast_proto::message::{CaptureState, TaskStatus};
use rowcast_proto::stream::{task_stream, task_stream_subjects};
use rowcast_testkit::eventually;

use crate::broker::load::{LOAD, transaction_of};
use crate::world::{PATIENCE, World};

impl World {
    fn streams(&self) -> jetstream::Context {
        jetstream::new(self.data.clone())
    }

    async fn writes(&self, number: i32) {
        let transaction = transaction_of(number, 5);
        self.sql.batch_execute(&transaction).await.unwrap();
    }

    /// The task stops for the broker's loss; what was written after it is not confirmed, and nobody makes the
    /// stream anew.
    async fn stops_without_confirming(&self, messages: Option<u64>) -> TaskStatus {
        let before: rowcast_domain::Lsn = self
            .one("SELECT pg_current_wal_insert_lsn()::text")
            .await
            .parse()
            .unwrap();
        self.writes(1000).await;
        let status = self.reaches(CaptureState::Stopped).await;
        let error = status.error.clone().unwrap();
        assert_eq!(error.code, "BrokerDataLoss", "{error:?}");
        assert!(self.confirmed().await <= before);
        let found = self.streams().get_stream(task_stream(&self.task)).await;
        let found = found.ok().map(|found| found.cached_info().state.messages);
        assert_eq!(found, messages);
        status
    }

    async fn warns(&self, words: &str) {
        eventually(words, PATIENCE, async || {
            let status = self.status().await.unwrap_or_default();
            status.warnings.iter().any(|text| text.contains(words))
        })
        .await;
    }
}

#[tokio::test]
async fn a_deleted_stream_stops_the_task_and_is_not_made_anew() {
    let world = World::streaming(LOAD).await;
    world.writes(0).await;
    world.everything_is_confirmed().await;
    let stream = task_stream(&world.task);
    world.streams().delete_stream(stream).await.unwrap();
    world.stops_without_confirming(None).await;
}

#[tokio::test]
async fn an_idle_task_notices_that_its_stream_is_gone() {
    let world = World::streaming(LOAD).await;
    world.writes(0).await;
    world.everything_is_confirmed().await;
    let stream = task_stream(&world.task);
    world.streams().delete_stream(stream).await.unwrap();
    let status = world.reaches(CaptureState::Stopped).await;
    assert_eq!(status.error.unwrap().code, "BrokerDataLoss");
}

#[tokio::test]
async fn a_stream_that_somebody_has_made_anew_has_lost_its_end() {
    let world = World::streaming(LOAD).await;
    world.writes(0).await;
    world.everything_is_confirmed().await;
    let streams = world.streams();
    let found = streams.get_stream(task_stream(&world.task)).await.unwrap();
    let config = found.cached_info().config.clone();
    streams.delete_stream(&config.name).await.unwrap();
    streams.create_stream(config).await.unwrap();
    world.stops_without_confirming(Some(0)).await;
}

#[tokio::test]
async fn a_purged_stream_stops_the_task() {
    let mut world = World::new(LOAD).await;
    // As somebody might make it: without what forbids a purge.
    let config = stream::Config {
        name: task_stream(&world.task),
        subjects: task_stream_subjects(&world.task),
        max_age: Duration::from_hours(24),
        allow_atomic_publish: true,
        ..stream::Config::default()
    };
    let found = world.streams().create_stream(config).await.unwrap();
    world.begin().await;
    world.warns("deny_purge").await;
    world.warns("deny_delete").await;
    world.writes(0).await;
    world.everything_is_confirmed().await;
    found.purge().await.unwrap();
    let status = world.reaches(CaptureState::Stopped).await;
    let error = status.error.unwrap();
    assert_eq!(error.code, "BrokerDataLoss", "{error:?}");
    assert!(error.message.contains("purged"), "{error:?}");
}

#[tokio::test]
async fn changed_limits_are_told_and_left_as_they_are() {
    let world = World::streaming(LOAD).await;
    let streams = world.streams();
    let name = task_stream(&world.task);
    let found = streams.get_stream(&name).await.unwrap();
    let before = found.cached_info().config.clone();
    let changed = stream::Config {
        max_age: Duration::from_hours(1),
        max_bytes: 100_000_000,
        ..before.clone()
    };
    streams.update_stream(&changed).await.unwrap();
    world
        .warns("max_age of the stream RC_t00000000001a is 3600 s, the task wants 86400 s")
        .await;
    world.warns("max_bytes").await;
    world.writes(0).await;
    world.everything_is_confirmed().await;
    let found = streams.get_stream(&name).await.unwrap();
    assert_eq!(found.cached_info().config.max_age, changed.max_age);
    streams.update_stream(&before).await.unwrap();
    eventually("nothing is told any more", PATIENCE, async || {
        let status = world.status().await;
        status.is_some_and(|status| status.warnings.is_empty())
    })
    .await;
    assert_eq!(world.status().await.unwrap().state(), CaptureState::Running);
}
