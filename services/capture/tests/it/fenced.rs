//! Two captures that both believe to hold a task: the slot and the stream let one of them write.

use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use rowcast_local::Child;
use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::LEASES;
use rowcast_testkit::eventually;

use crate::load::{Load, TABLES};
use crate::world::{PATIENCE, World};

impl World {
    /// Takes the lease away from whoever holds it.
    pub(crate) async fn delete_lease(&self) {
        self.leases().await.purge(self.task.as_str()).await.unwrap();
    }

    async fn leases(&self) -> kv::Store {
        let control = jetstream::new(self.nats.client("task-api").await.unwrap());
        control.get_key_value(LEASES.name).await.unwrap()
    }

    /// Takes the lease away from this holder until another capture runs the task: the same one may be the
    /// next, also where another had it for a moment and could not run.
    async fn passes_from(&self, holder: &str) {
        let leases = self.leases().await;
        let key = self.task.as_str();
        eventually("another capture runs the task", PATIENCE, async || {
            if self.is_run_by_another(holder).await {
                return true;
            }
            let present = leases.get(key).await.unwrap();
            if present.is_some_and(|present| present == holder.as_bytes()) {
                leases.purge(key).await.unwrap();
            }
            false
        })
        .await;
    }

    async fn holder(&self) -> String {
        self.status().await.unwrap_or_default().capture_id
    }

    /// Waits until another capture than this one runs the task.
    async fn is_taken_over_from(&self, holder: &str) {
        eventually("another capture runs the task", PATIENCE, async || {
            self.is_run_by_another(holder).await
        })
        .await;
    }

    async fn is_run_by_another(&self, holder: &str) -> bool {
        let status = self.status().await.unwrap_or_default();
        status.capture_id != holder && status.state() == CaptureState::Running
    }
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    let sent = Command::new("kill").args(["-s", signal, &id]).status();
    assert!(sent.unwrap().success());
}

#[tokio::test]
async fn a_capture_that_was_paused_publishes_nothing_once_it_wakes() {
    let mut world = Box::pin(World::new(TABLES)).await;
    // The paused one answers no more: the server ends its connection soon.
    world.set_on_source("wal_sender_timeout", "3s").await;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let load = Load::new(&world.postgres);
    let mut paused = world.take_capture();
    let second = load.during(async {
        let first = world.holder().await;
        world.start_capture();
        world.grows_by(200).await;
        signal(&paused, "STOP");
        world.is_taken_over_from(&first).await;
        let second = world.holder().await;
        world.grows_by(200).await;
        signal(&paused, "CONT");
        eventually(
            "the woken one says it has lost the task",
            PATIENCE,
            async || world.log_of(1).contains("lease lost, task dropped"),
        )
        .await;
        world.grows_by(200).await;
        second
    });
    let second = Box::pin(second).await;
    Box::pin(load.is_told(&world)).await;
    assert!(paused.poll().unwrap().is_none(), "{}", world.log_of(1));
    world.reaches(CaptureState::Running).await;
    assert_eq!(world.holder().await, second);
}

#[tokio::test]
async fn of_two_captures_one_runs_a_task_and_the_other_stands_by() {
    let mut world = Box::pin(World::new(TABLES)).await;
    world.start_capture();
    let _other = world.take_capture();
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    let load = Load::new(&world.postgres);
    let story = load.during(async {
        let holder = world.holder().await;
        for _ in 0..10 {
            world.grows_by(50).await;
            assert_eq!(world.holder().await, holder);
        }
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
    let taken = [1, 2].map(|nth| world.log_of(nth).matches("task taken").count());
    assert!(
        matches!(taken, [1, 0] | [0, 1]),
        "{taken:?} {}",
        world.log()
    );
}

#[tokio::test]
async fn two_captures_that_both_believe_to_hold_the_lease_write_everything_once() {
    let world = Box::pin(World::new(TABLES)).await;
    Box::pin(two_captures_write_everything_once(world)).await;
}

#[tokio::test]
async fn two_captures_write_everything_once_where_messages_are_stored_one_by_one() {
    let world = Box::pin(World::lazy(TABLES, Duration::from_secs(120))).await;
    Box::pin(two_captures_write_everything_once(world)).await;
}

async fn two_captures_write_everything_once(mut world: World) {
    world.begin().await;
    let _other = world.take_capture();
    world.start_capture();
    let load = Load::new(&world.postgres);
    let story = load.during(async {
        for _ in 0..5 {
            let holder = world.holder().await;
            world.grows_by(100).await;
            world.passes_from(&holder).await;
            world.grows_by(100).await;
        }
        // It has come to rest.
        let holder = world.holder().await;
        world.grows_by(1000).await;
        assert_eq!(world.holder().await, holder, "{}", world.log());
    });
    Box::pin(story).await;
    Box::pin(load.is_told(&world)).await;
}
