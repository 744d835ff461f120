//! What cannot be repaired by waiting stops the task, with its name.

use rowcast_proto::message::{CaptureState, DesiredState};
use rowcast_proto::stream::source_object;

use crate::world::World;

const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY);";

impl World {
    async fn stops_as(&self, code: &str) {
        let error = self.reaches(CaptureState::Stopped).await.error.unwrap();
        assert_eq!(error.code, code, "{error:?}");
        assert!(!error.advice.is_empty());
    }
}

#[tokio::test]
async fn a_slot_that_vanished_is_a_gap() {
    let mut world = World::streaming(SHOP).await;
    world
        .sql
        .batch_execute("INSERT INTO shop.orders VALUES (1)")
        .await
        .unwrap();
    world.everything_is_confirmed().await;
    world.stop_capture().await;
    let slot = source_object(&world.task);
    world
        .one(&format!("SELECT pg_drop_replication_slot('{slot}')::text"))
        .await;
    world.start_capture();
    world.stops_as("Gap").await;
}

#[tokio::test]
async fn a_slot_that_someone_moved_is_a_gap() {
    let mut world = World::streaming(SHOP).await;
    world.stop_capture().await;
    world
        .sql
        .batch_execute("INSERT INTO shop.orders VALUES (1), (2)")
        .await
        .unwrap();
    let slot = source_object(&world.task);
    world
        .one(&format!(
            "SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())::text"
        ))
        .await;
    world.start_capture();
    world.stops_as("Gap").await;
}

#[tokio::test]
async fn a_publication_that_vanished_is_named_while_streaming() {
    let world = World::streaming(SHOP).await;
    let publication = source_object(&world.task);
    world
        .sql
        .batch_execute(&format!("DROP PUBLICATION {publication}"))
        .await
        .unwrap();
    world
        .sql
        .batch_execute("INSERT INTO shop.orders VALUES (1)")
        .await
        .unwrap();
    world.stops_as("PublicationMissing").await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_at_once_and_a_new_start_goes_on() {
    let mut world = World::new(SHOP).await;
    world.start_capture();
    world
        .sql
        .batch_execute("ALTER ROLE postgres PASSWORD 'another one'")
        .await
        .unwrap();
    world.desire(DesiredState::Running).await;
    world.stops_as("SourceRefused").await;
    let right = format!(
        "ALTER ROLE postgres PASSWORD '{}'",
        world.postgres.password()
    );
    world.sql.batch_execute(&right).await.unwrap();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
}

#[tokio::test]
async fn a_table_that_does_not_exist_is_named() {
    let mut world = World::new(SHOP).await;
    let objects = world.wish.objects.as_mut().unwrap();
    objects.schemas[0].all = false;
    objects.schemas[0].tables = vec!["orders".to_owned(), "oders".to_owned()];
    world.start_capture();
    world.desire(DesiredState::Running).await;
    let error = world.reaches(CaptureState::Stopped).await.error.unwrap();
    assert_eq!(error.code, "TableMissing");
    assert!(error.message.contains("oders"), "{error:?}");
}

#[tokio::test]
async fn a_stream_that_lost_its_end_is_the_brokers_loss() {
    let mut world = World::streaming(SHOP).await;
    world
        .sql
        .batch_execute("INSERT INTO shop.orders VALUES (1)")
        .await
        .unwrap();
    world.everything_is_confirmed().await;
    world.stop_capture().await;
    let context = async_nats::jetstream::new(world.data.clone());
    let stream = rowcast_proto::stream::task_stream(&world.task);
    context.delete_stream(stream).await.unwrap();
    world.start_capture();
    world.stops_as("BrokerDataLoss").await;
}
