//! A source that goes back to an earlier state of itself.

use std::path::Path;
use std::process::Command;

use rowcast_proto::message::CaptureState;
use rowcast_testkit::stream_length;

use crate::world::World;

const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY);";

/// With owners and permissions.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

impl World {
    async fn orders(&self, ids: std::ops::Range<u32>) {
        for id in ids {
            self.sql
                .batch_execute(&format!("INSERT INTO shop.orders VALUES ({id})"))
                .await
                .unwrap();
        }
    }

    async fn source_is_back(&mut self) {
        self.postgres.restart().await.unwrap();
        self.sql = self.postgres.client("postgres").await.unwrap();
    }
}

impl World {
    /// Tracks on behind a backup, and puts the backup in the place of the source.
    async fn goes_back(&mut self) {
        self.orders(0..10).await;
        self.grows_to(10).await;
        self.postgres.stop().await.unwrap();
        let data = self.postgres.data_folder();
        let backup = data.with_extension("backup");
        copy(&data, &backup);
        self.source_is_back().await;
        self.orders(10..200).await;
        self.grows_to(200).await;
        self.stop_capture().await;
        self.postgres.stop().await.unwrap();
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&backup, &data).unwrap();
        self.source_is_back().await;
    }

    /// The task stops, and nothing of the other history is in the stream.
    async fn notices_the_other_history(&mut self) {
        let before = stream_length(&self.data, &self.task).await.unwrap();
        self.start_capture();
        let error = self.reaches(CaptureState::Stopped).await.error.unwrap();
        assert_eq!(error.code, "HistoryDiverged", "{error:?}");
        let after = stream_length(&self.data, &self.task).await.unwrap();
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn a_restored_backup_is_another_history_and_nothing_of_it_is_published() {
    let mut world = Box::pin(World::streaming(SHOP)).await;
    world.goes_back().await;
    world.orders(1000..1010).await;
    world.notices_the_other_history().await;
}

#[tokio::test]
async fn a_restored_backup_that_has_written_more_than_was_read_is_noticed_too() {
    let mut world = Box::pin(World::streaming(SHOP)).await;
    world.goes_back().await;
    // Other transactions than were read: the same ones would commit at the same LSNs.
    for id in 1..200 {
        let rows = format!("INSERT INTO shop.orders SELECT generate_series({id}001, {id}007)");
        world.sql.batch_execute(&rows).await.unwrap();
    }
    world.notices_the_other_history().await;
    assert!(world.log().contains("has none there"), "{}", world.log());
}

#[tokio::test]
async fn a_restored_backup_with_no_rows_but_more_wal_is_noticed_too() {
    let mut world = Box::pin(World::streaming(SHOP)).await;
    world.goes_back().await;
    world.one("SELECT pg_switch_wal()::text").await;
    world
        .sql
        .batch_execute("CREATE TABLE public.other AS SELECT 1 AS id")
        .await
        .unwrap();
    world.notices_the_other_history().await;
    assert!(world.log().contains("has none there"), "{}", world.log());
}
