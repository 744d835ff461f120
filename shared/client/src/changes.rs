//! What can be made of a stream of changes.

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use rowcast_domain::Position;
use rowcast_proto::change::Operation;

use crate::delivery::Delivery;
use crate::error::Error;
use crate::transactions::Transactions;

/// What can be made of the changes of an ordered group.
pub trait Changes: Stream<Item = Result<Delivery, Error>> + Send + Sized + Unpin + 'static {
    /// Only what comes behind `applied`, which is the position of the last change whose effects are stored; `None` for
    /// all.
    ///
    /// An effect is exactly once where the caller stores it and the position in one transaction of the same store,
    /// acknowledges after that, and begins with the stored position: what was stored and not acknowledged before a crash
    /// comes again, and is acknowledged here without the caller's seeing it. Where the group has more members than one, the
    /// position is to be stored only where it is still the one that the caller read, or stored last: another member may
    /// have gone on, and one that stood by, or stood still, must begin again behind that. Positions only rise along an ordered group's
    /// stream, so one comparison tells; what comes behind the first one that is new is handed out whatever it is. See `examples/materialize.rs`.
    fn behind(self, applied: Option<Position>) -> BoxStream<'static, Result<Delivery, Error>> {
        let Some(applied) = applied else {
            return self.boxed();
        };
        let mut is_behind = false;
        self.filter_map(move |delivery| {
            let known = match &delivery {
                Ok(delivery) if !is_behind => {
                    let known = is_applied(delivery, applied);
                    is_behind = delivery.position > applied;
                    known
                }
                Ok(_) | Err(_) => false,
            };
            async move {
                match delivery {
                    Ok(delivery) if known => {
                        // Where that fails, the acknowledgement of what comes next covers it.
                        if let Err(error) = delivery.ack().await {
                            tracing::debug!(%error, "what was applied before is not acknowledged");
                        }
                        None
                    }
                    other => Some(other),
                }
            }
        })
        .boxed()
    }

    /// The transactions that the changes belong to, each handed out once it is there as a whole, or in parts of some
    /// hundred messages where it is large.
    ///
    /// For an ordered group of a task that was made with `"transactions": true`: what ends a transaction is the marker
    /// that such a task tells. Without it the stream tells [`Error::NoMarkers`].
    fn transactions(self) -> Transactions {
        Transactions::of(self)
    }
}

impl<S> Changes for S where S: Stream<Item = Result<Delivery, Error>> + Send + Unpin + 'static {}

/// A shape has the position of the change before it, and a transaction's begin may have that of a heartbeat: these are
/// handed out once more rather than never.
fn is_applied(delivery: &Delivery, applied: Position) -> bool {
    match delivery.change.op {
        Operation::Schema | Operation::Begin => delivery.position < applied,
        Operation::Insert
        | Operation::Update
        | Operation::Delete
        | Operation::Truncate
        | Operation::Commit
        | Operation::Heartbeat
        | Operation::Ddl
        | Operation::Message
        | Operation::Gap
        | Operation::Part
        | Operation::Pack
        | Operation::Unknown => delivery.position <= applied,
    }
}
