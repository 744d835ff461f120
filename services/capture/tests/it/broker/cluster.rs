//! Three NATS servers, with three copies of every stream and bucket.

use std::time::Duration;

use rowcast_proto::message::CaptureState;
use rowcast_proto::stream::task_stream;
use rowcast_testkit::{NatsCluster, Postgres, eventually};

use crate::broker::load::{LOAD, Writer};
use crate::load::seed;
use crate::world::{PATIENCE, World};

async fn clustered() -> World<NatsCluster> {
    let postgres = Box::pin(Postgres::start()).await.unwrap();
    let cluster = Box::pin(NatsCluster::start()).await.unwrap();
    let mut world = Box::pin(World::between(postgres, cluster, LOAD)).await;
    world.begin().await;
    world
}

impl World<NatsCluster> {
    /// The server that leads the task's stream.
    async fn leader(&self) -> usize {
        let stream = task_stream(&self.task);
        let find = async || self.nats.leader(&self.data, &stream).await;
        eventually("the stream has a leader", PATIENCE, async || {
            find().await.is_some()
        })
        .await;
        find().await.unwrap()
    }
}

#[tokio::test]
async fn every_stream_and_bucket_has_a_copy_on_each_server() {
    use futures::TryStreamExt as _;

    let world = clustered().await;
    for user in ["capture-data", "capture"] {
        let client = world.nats.client(user).await.unwrap();
        let context = async_nats::jetstream::new(client);
        let streams: Vec<_> = context.streams().try_collect().await.unwrap();
        assert!(!streams.is_empty());
        for stream in streams {
            let config = stream.config;
            assert_eq!(config.num_replicas, 3, "{}", config.name);
            // Those two the test has made itself.
            let made_here = ["KV_rowcast_tasks", "KV_rowcast_task_status"].contains(&&*config.name);
            assert!(made_here || !config.allow_direct, "{}", config.name);
        }
    }
    let context = async_nats::jetstream::new(world.data.clone());
    let stream = context.get_stream(task_stream(&world.task)).await.unwrap();
    let mut config = stream.cached_info().config.clone();
    config.num_replicas = 1;
    context.update_stream(config).await.unwrap();
    eventually("another number of copies is told", PATIENCE, async || {
        let status = world.status().await.unwrap_or_default();
        status
            .warnings
            .iter()
            .any(|text| text.starts_with("num_replicas"))
    })
    .await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced_and_nothing_is_lost() {
    let world = clustered().await;
    Box::pin(leaders_are_killed(world)).await;
}

#[tokio::test]
async fn a_killed_leader_is_replaced_where_messages_are_stored_one_by_one() {
    let postgres = Box::pin(Postgres::start()).await.unwrap();
    let mut cluster = Box::pin(NatsCluster::start()).await.unwrap();
    let lazily = "jetstream { store_dir: $ROWCAST_NATS_STORE, sync_interval: 5s }";
    cluster.restart_with(lazily).await.unwrap();
    let mut world = Box::pin(World::between(postgres, cluster, LOAD)).await;
    world.begin().await;
    let warned = world.log().contains("acknowledges before it syncs");
    assert!(warned, "{}", world.log());
    Box::pin(leaders_are_killed(world)).await;
}

async fn leaders_are_killed(mut world: World<NatsCluster>) {
    let writer = Writer::start(&world.postgres, seed()).await;
    let mut sequence = 0;
    for _ in 0..4 {
        sequence = world.grows_beyond(sequence).await;
        let leader = world.leader().await;
        world.nats.kill(leader).await.unwrap();
        // Two servers are enough.
        sequence = world.grows_beyond(sequence).await;
        world.nats.restart(leader).await.unwrap();
        world.nats.settled().await;
    }
    let transactions = writer.stop().await;
    world.holds_all(transactions).await;
    world.reaches(CaptureState::Running).await;
    eprintln!("{} unknown outcomes", world.unknown_outcomes());
}

#[tokio::test]
async fn without_a_quorum_nothing_is_confirmed_and_the_task_comes_back_by_itself() {
    let mut world = clustered().await;
    let writer = Writer::start(&world.postgres, seed()).await;
    world.grows_beyond(0).await;
    let leader = world.leader().await;
    let other = (leader + 1) % world.nats.size();
    world.nats.kill(leader).await.unwrap();
    world.nats.kill(other).await.unwrap();
    // Without a quorum there is no lease, and without it nobody may publish.
    eventually("the task is dropped", PATIENCE, async || {
        world.log().contains("task dropped")
    })
    .await;
    world.confirms_nothing_for(Duration::from_secs(10)).await;
    assert!(!world.log().contains("BrokerDataLoss"), "{}", world.log());
    world.nats.restart(leader).await.unwrap();
    world.nats.restart(other).await.unwrap();
    world.nats.settled().await;
    let transactions = writer.stop().await;
    world.holds_all(transactions).await;
    world.reaches(CaptureState::Running).await;
    world.unknown_outcomes();
}

#[tokio::test]
async fn a_task_starts_while_one_server_of_three_is_down() {
    let mut world = clustered().await;
    world.stop_capture().await;
    let leader = world.leader().await;
    world.nats.kill(leader).await.unwrap();
    world.start_capture();
    let writer = Writer::start(&world.postgres, seed()).await;
    let sequence = world.last_sequence().await.unwrap_or_default();
    world.grows_beyond(sequence).await;
    let transactions = writer.stop().await;
    world.holds_all(transactions).await;
}
