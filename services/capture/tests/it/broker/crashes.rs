//! A NATS server that is killed again and again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use crate::broker::load::{LOAD, Writer};
use crate::load::seed;
use crate::world::World;

const KILLS: usize = 25;

#[tokio::test]
async fn many_kills_of_the_broker_lose_nothing_and_tear_no_batch() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::streaming(LOAD).await;
    let writer = Writer::start(&world.postgres, seed).await;
    let mut seen = Vec::new();
    let mut sequence = 0;
    for _ in 0..KILLS {
        world.grows_beyond(sequence).await;
        // Anywhere between two batches, or within one.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..150))).await;
        world.nats.kill().await.unwrap();
        // So that nobody writes before the stream was looked at as the crash has left it.
        world.signal_capture("STOP");
        let confirmed = world.confirmed().await;
        world.nats.restart().await.unwrap();
        let end = world.ends_whole().await;
        sequence = end.sequence;
        seen.push((end.position.commit_lsn, confirmed));
        world.signal_capture("CONT");
    }
    let transactions = writer.stop().await;
    let rows = world.holds_all(transactions).await;
    for (end, confirmed) in seen {
        // A confirmed transaction begins its commit record before the LSN that was confirmed.
        let missed = rows
            .iter()
            .find(|row| row.id.commit_lsn > end && row.id.commit_lsn < confirmed);
        assert!(
            missed.is_none(),
            "{confirmed} was confirmed while the stream ended with {end}: {missed:?}"
        );
    }
    let unknown = world.unknown_outcomes();
    eprintln!("{KILLS} kills, {unknown} unknown outcomes, {transactions} transactions");
    assert!(unknown > 0, "no kill has hit a batch in flight");
}
