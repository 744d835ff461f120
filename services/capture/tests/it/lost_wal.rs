//! A slot that the server gives up, or that somebody drops: told before, where it can be, and never
//! made again without a decision.

use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::source_object;
use rowcast_testkit::{Postgres, eventually};

use crate::world::{PATIENCE, World};

const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY);
    CREATE TABLE public.other (id int, text text);";

impl World {
    /// Writes so many segments of WAL (16 MB) that concern no task.
    async fn write_wal(&self, segments: u32) {
        for _ in 0..segments {
            self.sql
                .batch_execute("INSERT INTO public.other VALUES (1, 'x')")
                .await
                .unwrap();
            self.one("SELECT pg_switch_wal()::text").await;
        }
    }

    async fn slots(&self) -> String {
        self.one("SELECT count(*)::text FROM pg_replication_slots")
            .await
    }
}

async fn a_slot_that_keeps_too_much_is_warned_of_and_its_loss_named(
    postgres: Postgres,
    reason: &str,
) {
    let mut world = Box::pin(World::on(postgres, SHOP)).await;
    world.set_on_source("max_slot_wal_keep_size", "160MB").await;
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    // An open transaction holds the slot back, however much of it is confirmed.
    let open = world.postgres.client("postgres").await.unwrap();
    open.batch_execute("BEGIN; INSERT INTO public.other VALUES (0, 'open')")
        .await
        .unwrap();
    world.write_wal(9).await;
    eventually("the warning comes", PATIENCE, async || {
        let warnings = world.status().await.unwrap_or_default().warnings;
        warnings
            .iter()
            .any(|warning| warning.contains("max_slot_wal_keep_size"))
    })
    .await;
    open.batch_execute("COMMIT").await.unwrap();
    world.desire(DesiredState::Suspended).await;
    world.reaches(CaptureState::Suspended).await;
    world.write_wal(24).await;
    world.sql.batch_execute("CHECKPOINT").await.unwrap();
    world.desire(DesiredState::Running).await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "Gap", "{error:?}");
    let told = format!("invalidated the replication slot: {reason}");
    assert!(error.message.contains(&told), "{error:?}");
}

#[tokio::test]
async fn postgresql_17_names_the_reason_of_a_lost_slot() {
    let postgres = Box::pin(Postgres::start_version(17)).await.unwrap();
    a_slot_that_keeps_too_much_is_warned_of_and_its_loss_named(postgres, "wal_removed").await;
}

#[tokio::test]
async fn before_17_a_lost_slot_is_lost() {
    let postgres = Box::pin(Postgres::start()).await.unwrap();
    a_slot_that_keeps_too_much_is_warned_of_and_its_loss_named(postgres, "lost").await;
}

#[tokio::test]
async fn a_slot_dropped_under_a_running_task_is_a_gap_and_is_not_made_again() {
    let world = Box::pin(World::streaming(SHOP)).await;
    let slot = source_object(&world.task);
    // In one go: capture comes back half a second after its connection is ended.
    world
        .sql
        .batch_execute(&format!(
            "DO $$ BEGIN
               LOOP
                 PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots
                  WHERE slot_name = '{slot}' AND active;
                 BEGIN
                   PERFORM pg_drop_replication_slot('{slot}');
                   EXIT;
                 EXCEPTION WHEN object_in_use THEN
                   PERFORM pg_sleep(0.01);
                 END;
               END LOOP;
             END $$"
        ))
        .await
        .unwrap();
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "Gap", "{error:?}");
    assert!(error.message.contains("slot is gone"), "{error:?}");
    world
        .sql
        .batch_execute("INSERT INTO shop.orders VALUES (1)")
        .await
        .unwrap();
    assert_eq!(world.slots().await, "0");
}
