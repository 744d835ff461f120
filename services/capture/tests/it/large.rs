//! Rows that are larger than a message of the broker.

use std::time::Duration;

use async_nats::jetstream;
use rowcast_proto::change::Change;
use rowcast_proto::message::{CaptureState, Format};
use rowcast_proto::stream::task_stream;
use rowcast_testkit::{Stored, read_stream, rows_in_order, stream_length};

use crate::world::{PATIENCE, World};

const DOCUMENTS: &str =
    "CREATE SCHEMA shop; CREATE TABLE shop.documents (id bigint PRIMARY KEY, body text);";

/// A disk that syncs slowly takes a while for hundreds of batches.
const LARGE_PATIENCE: Duration = Duration::from_secs(90);

/// Sizes of the rows of one transaction, in bytes, with small ones between.
const SIZES: [usize; 12] = [
    1, 900_000, 2, 20_000_000, 3, 3_000_000, 100_000, 12_345_678, 1_044_000, 4, 20_000_000, 5,
];

/// Differs at every piece's edge, so that no two pieces are alike.
fn body(id: usize, size: usize) -> String {
    let mut text = String::with_capacity(size + 16);
    let mut line = id * 1_000_000;
    while text.len() < size {
        text.push_str(&line.to_string());
        text.push('\n');
        line += 1;
    }
    text.truncate(size);
    text
}

impl World {
    async fn write(&mut self, sizes: &[usize]) {
        let transaction = self.sql.transaction().await.unwrap();
        for (id, size) in sizes.iter().enumerate() {
            let id = i64::try_from(id).unwrap();
            let text = body(usize::try_from(id).unwrap(), *size);
            transaction
                .execute("INSERT INTO shop.documents VALUES ($1, $2)", &[&id, &text])
                .await
                .unwrap();
        }
        transaction.commit().await.unwrap();
    }

    /// Waits until the stream holds the row with this id, and gives all of it.
    async fn up_to_row(&self, id: usize) -> Vec<Stored> {
        let limit = tokio::time::timeout(LARGE_PATIENCE, async {
            while self
                .newest()
                .await
                .is_none_or(|newest| row_id(&newest) != Some(id))
            {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
        if limit.await.is_err() {
            panic!("{:?}\n{}", self.status().await, self.log());
        }
        read_stream(&self.data, &self.task).await.unwrap()
    }

    /// The newest message, or piece.
    async fn newest(&self) -> Option<Change> {
        let stream = jetstream::new(self.data.clone())
            .get_stream(task_stream(&self.task))
            .await
            .ok()?;
        let message = stream
            .get_raw_message(stream.cached_info().state.last_sequence)
            .await
            .ok()?;
        Change::read(&message.payload).ok()
    }
}

fn row_id(change: &Change) -> Option<usize> {
    let id = change.after.as_ref()?.get("id")?.as_u64()?;
    usize::try_from(id).ok()
}

fn is_half(change: &Change) -> bool {
    let size = |part: &rowcast_proto::change::Part| part.data.len() as u64 / 4 * 3;
    let part = change.part.as_ref();
    part.is_some_and(|part| part.offset + size(part) < part.bytes)
}

#[tokio::test]
async fn rows_of_any_size_survive_kills_between_their_pieces() {
    Box::pin(rows_survive_kills(Format::Json, 790_000)).await;
}

#[tokio::test]
async fn rows_of_protobuf_of_any_size_survive_kills_between_their_pieces() {
    Box::pin(rows_survive_kills(Format::Protobuf, 1_048_000)).await;
}

/// A piece holds at most so many bytes.
async fn rows_survive_kills(format: Format, piece: usize) {
    let mut world = World::new(DOCUMENTS).await;
    world.wish.set_format(format);
    world.begin().await;
    world.write(&SIZES).await;
    let mut halves = 0;
    for kill in 1..=4 {
        let length = 12 * kill;
        let limit = tokio::time::timeout(PATIENCE, async {
            while stream_length(&world.data, &world.task).await.unwrap_or(0) < length {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(limit.await.is_ok(), "{length} messages; {}", world.log());
        world.kill_capture().await;
        halves += usize::from(world.newest().await.is_some_and(|newest| is_half(&newest)));
        world.start_capture();
    }
    let stored = world.up_to_row(SIZES.len() - 1).await;
    let rows = rows_in_order(&stored);
    assert_eq!(rows.len(), SIZES.len());
    for ((id, size), row) in SIZES.iter().enumerate().zip(&rows) {
        assert_eq!(row_id(row), Some(id));
        let row = row.after.as_ref().unwrap();
        assert!(row["body"] == body(id, *size), "row {id} is another");
    }
    let pieces = |size: usize| {
        let of_size = |stored: &&Stored| {
            let row = stored.change.after.as_ref();
            row.is_some_and(|row| row["body"].as_str().unwrap().len() == size)
        };
        stored.iter().find(of_size).unwrap().pieces
    };
    assert_eq!((pieces(1), pieces(900_000)), (1, 1));
    assert!(pieces(20_000_000) >= 20_000_000 / piece);
    assert!(halves > 0, "no kill came between two pieces");
    // Nothing was begun anew: the pieces are all that there is.
    let pieces: usize = stored.iter().map(|stored| stored.pieces).sum();
    let length = stream_length(&world.data, &world.task).await.unwrap();
    assert_eq!(length, pieces as u64);
}

#[tokio::test]
async fn a_row_of_200_mb_passes_and_its_memory_is_given_back() {
    const SIZE: usize = 200_000_000;
    let world = World::streaming(DOCUMENTS).await;
    let before = world.peak_memory();
    world
        .sql
        .batch_execute(&format!(
            "INSERT INTO shop.documents VALUES (0, repeat('0123456789', {}));
             INSERT INTO shop.documents VALUES (1, 'small');",
            SIZE / 10
        ))
        .await
        .unwrap();
    let stored = world.up_to_row(1).await;
    let rows = rows_in_order(&stored);
    let large = rows[0].after.as_ref().unwrap()["body"].as_str().unwrap();
    assert_eq!(large.len(), SIZE);
    assert!(
        large
            .as_bytes()
            .chunks(10)
            .all(|digits| digits == b"0123456789")
    );
    let peak = world.peak_memory();
    tracing::info!(before, peak, "memory of capture in MB");
    // The frame and the JSON made of it, and never the whole of its pieces.
    assert!(peak < 3 * 200, "{peak} MB, {before} MB before");
    world.reaches(CaptureState::Running).await;
    let third = "INSERT INTO shop.documents VALUES (2, 'later')";
    world.sql.batch_execute(third).await.unwrap();
    world.up_to_row(2).await;
    assert!(!world.log().contains("lease lost"), "{}", world.log());
}
