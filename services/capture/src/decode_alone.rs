//! The pure stages alone, at the end of a slot: what reading, decoding and encoding cost without a
//! broker. For measurements.

use std::sync::Arc;
use std::time::Duration;

use rowcast_domain::{Lsn, TaskId};
use rowcast_pg::ConnectOptions;
use rowcast_pg::replication::{Encoding, Frame, ReplicationConnection, Status};
use rowcast_service::BoxError;
use tokio::time::Instant;

use crate::pipeline::decode::kind::TypeCatalog;
use crate::pipeline::decode::relation::Shape;
use crate::pipeline::decode::{Decoded, Decoder};
use crate::pipeline::encode::Encoder;

/// Largest message in bytes: the default of a broker.
const LIMIT: usize = 1 << 20;

/// Between two words to the server, which ends a connection that says nothing for a minute.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Reads a slot of `pgoutput` from where it stands to `end`, and gives the number of messages.
///
/// Every change is encoded as a task with 16 partitions would, and dropped. Nothing is confirmed: the
/// slot stays where it is.
///
/// # Errors
/// Where the server does not let us in, or sends what cannot be read. A table whose key only the
/// catalog knows, or with a type of the user's own, is read as a task would not.
pub async fn run(
    options: &ConnectOptions,
    slot: &str,
    publication: &str,
    end: Lsn,
) -> Result<u64, BoxError> {
    let connection = ReplicationConnection::connect(options, Encoding::Utf8).await?;
    let plugin = [("proto_version", "1"), ("publication_names", publication)];
    let streaming = connection.start_logical(slot, Lsn::INVALID, &plugin);
    let (mut frames, mut status) = streaming.await?;
    let mut decoder = Decoder::default();
    let task: TaskId = "t00000000001a".parse()?;
    let mut encoder = Encoder::new(task, &options.database, 16, false, LIMIT);
    let (mut messages, mut said) = (0, Instant::now());
    loop {
        frames.fill().await?;
        while let Some(frame) = frames.next_buffered()? {
            let Frame::XLogData { start, data, .. } = frame else {
                continue;
            };
            match decoder.decode(start, data)? {
                Decoded::Change(change) => encoder.encode(&change, |_message| messages += 1)?,
                Decoded::Shape(body) => {
                    let shape = Shape::from(body);
                    let relation = Arc::new(shape.resolve(&TypeCatalog::default(), &[]));
                    encoder.define(&relation);
                    decoder.define(relation);
                }
                Decoded::Undecodable(_) | Decoded::Nothing => {}
            }
            if start >= end && !decoder.in_transaction() {
                status.finish().await;
                return Ok(messages);
            }
        }
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            let nothing = Status {
                written: Lsn::INVALID,
                flushed: Lsn::INVALID,
                applied: Lsn::INVALID,
                reply_requested: false,
            };
            status.send(nothing).await?;
        }
    }
}
