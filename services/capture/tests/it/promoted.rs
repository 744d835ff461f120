//! A standby takes the place of the source, under the same address.

use async_nats::jetstream;
use rowcast_proto::change::Checkpoint;
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::CHECKPOINTS;
use rowcast_testkit::{Postgres, Proxy, eventually};

use crate::load::{Load, TABLES};
use crate::world::{PATIENCE, World};

/// A running task whose source has a standby, and its link.
async fn with_standby(postgres: Postgres, syncs_slots: bool) -> (World, Postgres, Proxy) {
    let mut world = Box::pin(World::on(postgres, TABLES)).await;
    let link = Proxy::start(world.postgres.port()).await.unwrap();
    world.reach_source_through(&link);
    let standby = Box::pin(world.postgres.standby(syncs_slots)).await.unwrap();
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    (world, standby, link)
}

impl World {
    /// Stops the source, which sends its standby everything first; the standby takes its place.
    async fn fail_over(&mut self, standby: Postgres, link: &Proxy) {
        link.refuse().await;
        self.postgres.stop().await.unwrap();
        standby.promote().await.unwrap();
        link.redirect(standby.port());
        self.sql = standby.client("postgres").await.unwrap();
        self.postgres = standby;
        link.resume().await;
    }

    async fn timeline(&self) -> u32 {
        let control = jetstream::new(self.nats.client("task-api").await.unwrap());
        let checkpoints = control.get_key_value(CHECKPOINTS.name).await.unwrap();
        let value = checkpoints.get(self.task.as_str()).await.unwrap().unwrap();
        let checkpoint: Checkpoint = serde_json::from_slice(&value).unwrap();
        checkpoint.timeline
    }
}

#[tokio::test]
async fn a_promoted_standby_with_a_copy_of_the_slot_goes_on_where_the_source_was() {
    let postgres = Box::pin(Postgres::start_version(17)).await.unwrap();
    let (mut world, standby, link) = Box::pin(with_standby(postgres, true)).await;
    let load = Load::over(&link, &world.postgres);
    let story = load.during(async {
        world.grows_by(200).await;
        let copies = standby.client("postgres").await.unwrap();
        eventually("the standby keeps the slot", PATIENCE, async || {
            // The copy is kept once the standby has caught up with where the slot reads from.
            world.one("SELECT pg_log_standby_snapshot()::text").await;
            let query = "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary";
            copies.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        world.grows_by(200).await;
        world.fail_over(standby, &link).await;
        // Killed before anything of the new timeline is confirmed: what was read of it is no other branch.
        world.grows_by(1).await;
        world.kill_capture().await;
        world.start_capture();
        world.grows_by(200).await;
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
    eventually("the new timeline is written down", PATIENCE, async || {
        world.timeline().await == 2
    })
    .await;
}

#[tokio::test]
async fn of_several_hosts_the_one_that_takes_writes_is_read() {
    let postgres = Box::pin(Postgres::start_version(17)).await.unwrap();
    let mut world = Box::pin(World::on(postgres, TABLES)).await;
    let link = Proxy::start(world.postgres.port()).await.unwrap();
    let standby = Box::pin(world.postgres.standby(true)).await.unwrap();
    // The standby is named first, and nobody moves an address.
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", standby.port(), link.port());
    world.wish.source.as_mut().unwrap().host = hosts;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let load = Load::over(&link, &world.postgres);
    let story = load.during(async {
        world.grows_by(200).await;
        let copies = standby.client("postgres").await.unwrap();
        eventually("the standby keeps the slot", PATIENCE, async || {
            world.one("SELECT pg_log_standby_snapshot()::text").await;
            let query = "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT temporary";
            copies.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 1
        })
        .await;
        let place = standby.port();
        link.refuse().await;
        world.postgres.stop().await.unwrap();
        eventually("the task waits for a primary", PATIENCE, async || {
            let error = world.status().await.and_then(|status| status.error);
            error.is_some_and(|error| error.message.contains("is a standby"))
        })
        .await;
        standby.promote().await.unwrap();
        // For the load alone, which knows one address.
        link.redirect(place);
        world.sql = standby.client("postgres").await.unwrap();
        world.postgres = standby;
        link.resume().await;
        world.grows_by(200).await;
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
}

#[tokio::test]
async fn a_promoted_standby_without_a_copy_of_the_slot_is_a_gap() {
    let postgres = Box::pin(Postgres::start()).await.unwrap();
    let (mut world, standby, link) = Box::pin(with_standby(postgres, false)).await;
    let load = Load::over(&link, &world.postgres);
    let story = load.during(async {
        world.grows_by(100).await;
        world.fail_over(standby, &link).await;
    });
    Box::pin(story).await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "Gap", "{error:?}");
    assert!(error.message.contains("slot is gone"), "{error:?}");
}
