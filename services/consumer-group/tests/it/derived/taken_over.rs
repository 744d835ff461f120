//! Copies of the service that are killed and paused: another one goes on, and what the paused one still sends is refused.

use std::time::Duration;

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_proto::message as m;
use tokio::process::{Child, Command};

use super::{all_expected, transaction, without_names};
use crate::fixture::Service;

/// What is done to copies, one after another.
const DEEDS: usize = 14;

/// Longer than a lease: another copy has taken over by then.
const PAUSE: Duration = Duration::from_millis(6500);

/// Sends a signal to a process that the test has started.
async fn signal(process: &Child, signal: &str) -> anyhow::Result<()> {
    let id = process.id().context("it has ended")?.to_string();
    let sent = Command::new("kill").args([signal, &id]).status().await?;
    anyhow::ensure!(sent.success(), "kill {signal} {id}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_stream_is_made_once_by_copies_that_are_killed_and_paused() -> anyhow::Result<()> {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut service = Service::start().await?;
    let (task, mut written) = service.begin_task().await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let mut copies = [service.copy()?, service.copy()?];
    service.stop().await?;
    let mut number = 0;
    for _deed in 0..DEEDS {
        let which = random.random_range(0..copies.len());
        let pauses = random.random_bool(0.3);
        let mut transactions = random.random_range(5..60);
        if pauses {
            signal(&copies[which], "-STOP").await?;
            tokio::time::sleep(PAUSE).await;
        }
        while transactions > 0 {
            transactions -= 1;
            number += 1;
            let rows = random.random_range(1..30);
            let paid: Vec<bool> = (0..rows).map(|_row| random.random_bool(0.4)).collect();
            let next = transaction(&task, number, &paid);
            service.write(&next).await?;
            written.extend(next);
        }
        if pauses {
            // From here on two believe that it is theirs.
            signal(&copies[which], "-CONT").await?;
        } else {
            copies[which].kill().await?;
            copies[which] = service.copy()?;
        }
    }
    let own = without_names(service.own(&member).await?);
    let expected = without_names(all_expected(&written));
    let differs = own
        .iter()
        .zip(&expected)
        .position(|(one, other)| one != other);
    assert_eq!(differs, None, "message {differs:?} of {}", own.len());
    assert_eq!(own.len(), expected.len());
    Ok(())
}
