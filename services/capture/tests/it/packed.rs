//! Several rows of a transaction in one message.

use rowcast_proto::message::{CaptureState, DesiredState, Format, Packing};
use rowcast_testkit::{eventually, rows_in_order, stream_length};

use crate::world::{PATIENCE, World};

const SHOP: &str = "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int PRIMARY KEY, note text);
    CREATE TABLE shop.lines (id int PRIMARY KEY);";

async fn packing(schema: &str, format: Format) -> World {
    let mut world = World::new(schema).await;
    world.wish.partitions = 1;
    world.wish.set_packing(Packing::Transaction);
    world.wish.set_format(format);
    world.start_capture();
    world.desire(DesiredState::Running).await;
    world.reaches(CaptureState::Running).await;
    world
}

impl World {
    /// The `id` of each row, once that of the last is there.
    async fn ids_up_to(&self, last: u64) -> Vec<u64> {
        let mut ids = Vec::new();
        for _look in 0..600 {
            if stream_length(&self.data, &self.task).await.unwrap_or(0) > 0 {
                let stored = rowcast_testkit::read_stream(&self.data, &self.task)
                    .await
                    .unwrap();
                let id =
                    |row: &rowcast_proto::change::Change| row.after.as_ref()?.get("id")?.as_u64();
                ids = rows_in_order(&stored).into_iter().filter_map(id).collect();
                if ids.last() == Some(&last) {
                    return ids;
                }
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{:?} of {last}\n{}", ids.last(), self.log())
    }
}

#[tokio::test]
async fn packed_rows_are_the_rows_in_their_order_and_take_few_messages() {
    let world = packing(SHOP, Format::Json).await;
    let transaction = "INSERT INTO shop.orders SELECT n, 'note' FROM generate_series(1, 1000) n;
        INSERT INTO shop.lines VALUES (1001);
        INSERT INTO shop.orders VALUES (1002, 'a'); INSERT INTO shop.lines VALUES (1003);";
    world
        .sql
        .batch_execute(&format!("BEGIN; {transaction} COMMIT"))
        .await
        .unwrap();
    world
        .sql
        .batch_execute("INSERT INTO shop.orders VALUES (1004, 'alone')")
        .await
        .unwrap();
    assert!(world.ids_up_to(1004).await.into_iter().eq(1..=1004));
    // Ten packs, two shapes with what stands around them, and the last row.
    let length = stream_length(&world.data, &world.task).await.unwrap();
    assert!(length <= 16, "{length} messages");
    world.everything_is_confirmed().await;
}

#[tokio::test]
async fn kills_between_packs_lose_nothing_and_repeat_nothing() {
    Box::pin(kills_between_packs(Format::Json)).await;
}

#[tokio::test]
async fn kills_between_packs_of_protobuf_lose_nothing_and_repeat_nothing() {
    Box::pin(kills_between_packs(Format::Protobuf)).await;
}

async fn kills_between_packs(format: Format) {
    let mut world = packing(SHOP, format).await;
    let mut last = 0;
    for kill in 0..4 {
        for _transaction in 0..20 {
            let insert = format!(
                "INSERT INTO shop.orders SELECT n, 'note' FROM generate_series({}, {}) n",
                last + 1,
                last + 250
            );
            world.sql.batch_execute(&insert).await.unwrap();
            last += 250;
        }
        let before = stream_length(&world.data, &world.task).await.unwrap();
        eventually("the stream grows", PATIENCE, async || {
            kill > 0 || stream_length(&world.data, &world.task).await.unwrap() > before
        })
        .await;
        world.kill_capture().await;
        world.start_capture();
    }
    assert!(world.ids_up_to(last).await.into_iter().eq(1..=last));
}
