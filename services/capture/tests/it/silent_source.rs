//! A link to the source that passes nothing and says nothing.

use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_testkit::{Proxy, eventually};

use crate::load::{Load, TABLES};
use crate::world::{PATIENCE, World};

/// A task whose link to the source goes silent, of a server that is patient for 5 s at most.
async fn streaming_over_a_link() -> (World, Proxy) {
    let mut world = Box::pin(World::new(TABLES)).await;
    world.set_on_source("wal_sender_timeout", "5s").await;
    let link = Proxy::start(world.postgres.port()).await.unwrap();
    world.reach_source_through(&link);
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    (world, link)
}

async fn is_noticed(world: &World) {
    eventually("the silence is told", PATIENCE, async || {
        let status = world.status().await.unwrap_or_default();
        let error = status.error.clone().unwrap_or_default();
        status.state() == CaptureState::Retrying && error.message.contains("has said nothing")
    })
    .await;
}

#[tokio::test]
async fn a_half_open_link_under_load_is_given_up_and_nothing_is_lost() {
    let (world, link) = Box::pin(streaming_over_a_link()).await;
    let load = Load::new(&world.postgres);
    let story = load.during(async {
        for _ in 0..2 {
            world.grows_by(200).await;
            link.stall();
            is_noticed(&world).await;
            link.resume().await;
        }
        world.grows_by(200).await;
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
}

#[tokio::test]
async fn an_idle_source_that_answers_is_not_given_up() {
    let (world, link) = Box::pin(streaming_over_a_link()).await;
    // Three times as long as a silent one is waited for.
    tokio::time::sleep(std::time::Duration::from_secs(15)).await;
    assert!(!world.log().contains("trying again"), "{}", world.log());
    link.stall();
    is_noticed(&world).await;
    link.resume().await;
    world.reaches(CaptureState::Running).await;
}
