//! Starts that take long, and why.

use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_testkit::eventually;

use crate::world::{PATIENCE, World};

#[tokio::test]
async fn a_start_that_waits_tells_what_for() {
    let mut world = World::new("CREATE TABLE a (n int PRIMARY KEY)").await;
    let other = world.postgres.client("postgres").await.unwrap();
    // A slot begins behind every transaction that has written and is open.
    other
        .batch_execute("BEGIN; CREATE TABLE open_for_long (n int)")
        .await
        .unwrap();
    world.start_capture();
    world.desire(DesiredState::Running).await;
    eventually("the step is told", PATIENCE, async || {
        let status = world.status().await.unwrap_or_default();
        status.state() == CaptureState::Starting && status.step == "slot"
    })
    .await;
    other.batch_execute("ROLLBACK").await.unwrap();
    let running = world.reaches(CaptureState::Running).await;
    assert_eq!(running.step, "");
}
