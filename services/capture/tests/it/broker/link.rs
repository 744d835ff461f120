//! A link to NATS that breaks at any byte, or falls silent.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_proto::message::CaptureState;
use rowcast_testkit::{Proxy, Sender, eventually};

use crate::broker::load::{LOAD, Writer};
use crate::load::seed;
use crate::world::{PATIENCE, World};

/// Links that break beside each other: most of the time each waits for the next attempt.
const LINKS: u64 = 4;

/// How often each breaks.
const CUTS: usize = 50;

/// How often a broker syncs that does so later.
const SYNCS_EVERY: Duration = Duration::from_secs(5);

/// Bytes of a stall's load; far more than capture may hold.
const BACKLOG_ROWS: u32 = 300_000;

/// Megabytes that capture may take, of which its queues are a few.
const MEMORY_MB: u64 = 200;

/// A running task whose way to NATS goes through a proxy.
async fn linked(mut world: World) -> (World, Proxy) {
    let port = world
        .nats
        .url()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let proxy = Proxy::start(port).await.unwrap();
    world.nats_url = format!("nats://127.0.0.1:{}", proxy.port());
    world.begin().await;
    (world, proxy)
}

#[tokio::test]
async fn links_that_break_at_any_byte_lose_nothing() {
    let seed = seed();
    let links = (0..LINKS).map(|link| {
        Box::pin(async move {
            let world = World::new(LOAD).await;
            Box::pin(breaks_at_any_byte(world, seed.wrapping_add(link), CUTS)).await
        })
    });
    some_hit(&futures::future::join_all(links).await);
}

#[tokio::test]
async fn links_that_break_lose_nothing_where_messages_are_stored_one_by_one() {
    let seed = seed();
    let links = (0..LINKS / 2).map(|link| {
        Box::pin(async move {
            let world = World::lazy(LOAD, SYNCS_EVERY).await;
            Box::pin(breaks_at_any_byte(world, seed.wrapping_add(link), CUTS / 2)).await
        })
    });
    some_hit(&futures::future::join_all(links).await);
}

/// Of one link all cuts may have come between two batches.
fn some_hit(unknown: &[usize]) {
    assert!(
        unknown.iter().any(|&number| number > 0),
        "no cut has hit a batch in flight"
    );
}

/// How often the outcome of a batch was not known.
async fn breaks_at_any_byte(world: World, seed: u64, cuts: usize) -> usize {
    let mut random = StdRng::seed_from_u64(seed);
    let (world, proxy) = Box::pin(linked(world)).await;
    let writer = Writer::start(&world.postgres, seed).await;
    for _ in 0..cuts {
        // The broker says little: acknowledgements.
        let (sender, most) = if random.random_bool(0.5) {
            (Sender::Client, 15.0)
        } else {
            (Sender::Upstream, 11.0)
        };
        // Of every order of size alike: in a greeting, in a batch, behind several.
        let bytes = 2_f64.powf(random.random_range(0.0..most));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 32768"
        )]
        proxy.cut_after(sender, bytes as u64);
        eventually("the link is cut", PATIENCE, async || !proxy.is_armed()).await;
    }
    let transactions = writer.stop().await;
    world.holds_all(transactions).await;
    let unknown = world.unknown_outcomes();
    eprintln!("{cuts} cuts, {unknown} unknown outcomes, {transactions} transactions");
    unknown
}

#[tokio::test]
async fn a_silent_broker_holds_up_neither_memory_nor_what_comes_after() {
    let world = World::new(LOAD).await;
    let (world, proxy) = Box::pin(linked(world)).await;
    let load = "INSERT INTO shop.load VALUES (0, 1, 1, '')";
    world.sql.batch_execute(load).await.unwrap();
    world.everything_is_confirmed().await;
    proxy.stall();
    let rows = format!(
        "INSERT INTO shop.load
         SELECT n, 1, 1, repeat('z', 200) FROM generate_series(1, {BACKLOG_ROWS}) n"
    );
    world.sql.batch_execute(&rows).await.unwrap();
    // Longer than an acknowledgement may take.
    world.confirms_nothing_for(Duration::from_secs(15)).await;
    let memory = world.peak_memory();
    assert!(memory < MEMORY_MB, "{memory} MB");
    proxy.resume().await;
    let transactions = i32::try_from(BACKLOG_ROWS).unwrap() + 1;
    world.holds_all(transactions).await;
    world.reaches(CaptureState::Running).await;
    world.unknown_outcomes();
    let memory = world.peak_memory();
    assert!(memory < MEMORY_MB, "{memory} MB");
}
