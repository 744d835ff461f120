//! What can be made of a stream of changes.

use std::collections::HashMap;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use rowcast_domain::Position;
use rowcast_proto::change::Operation;
use tokio::time::Instant;

use crate::delivery::{Delivery, Order};
use crate::error::Error;
use crate::hold::{HoldName, Out};
use crate::transactions::Transactions;

/// Changes that are left out before they are acknowledged, at most: far fewer than the 2000 that a consumer has in flight.
const MOST_TOGETHER: usize = 256;

/// And for so long, which is far shorter than the ack wait.
const TOGETHER: Duration = Duration::from_secs(1);

/// What can be made of the changes of a group.
pub trait Changes: Stream<Item = Result<Delivery, Error>> + Send + Sized + Unpin + 'static {
    /// Only what comes behind `applied`, which is the position of the last change whose effects are stored; `None` for
    /// all. For an ordered group.
    ///
    /// An effect is exactly once where the caller stores it and the position in one transaction of the same store,
    /// acknowledges after that, and begins with the stored position: what was stored and not acknowledged before
    /// comes again, and is acknowledged here without the caller's seeing it. Where the group has more members than one, the
    /// position is to be stored only where it is still the one that the caller read, or stored last: another member may
    /// have gone on, and one that stood by, or stood still, must begin again behind that. Positions only rise along an ordered group's
    /// stream, so one comparison tells; what comes behind the first one that is new is handed out whatever it is. See `examples/materialize.rs`.
    ///
    /// The stream ends, without an error, where what comes does not follow on what it has handed out: another member had the
    /// group in between, the group's position was moved, or a change comes again whose acknowledgement has failed or was put off
    /// for longer than the ack wait (not what [`transactions`](Self::transactions) is collecting: that comes again as often as it
    /// must until the transaction is whole). Of that only the store knows what is applied. So whoever reads the stream stores what it has
    /// got of it, reads the stored position, connects again, and calls this with it: in a loop, as the guide of this crate does. An
    /// acknowledgement that fails needs no other care, unless its error is [final](Error::is_final).
    ///
    /// Of a keyed group, whose partitions are each at a position of their own, [`behind_in`](Self::behind_in) is the way.
    /// There, in a shared group and of dead letters that are redriven one position tells nothing: the first change is
    /// [`Error::NotOrdered`], and the stream ends.
    fn behind(self, applied: Option<Position>) -> BoxStream<'static, Result<Delivery, Error>> {
        let start: Option<(Self, Option<Known>)> = Some((self, None));
        let changes = stream::unfold(start, move |state| async move {
            let (mut changes, mut known) = state?;
            let mut left_out = Unacknowledged::default();
            loop {
                let delivery = match left_out.next(&mut changes).await? {
                    Ok(delivery) => delivery,
                    Err(error) => {
                        left_out.acknowledge().await;
                        return Some((Err(error), Some((changes, known))));
                    }
                };
                let Order::Everything(hold) = delivery.order() else {
                    let position = delivery.position;
                    return Some((Err(Error::NotOrdered { position }), None));
                };
                let all = known.get_or_insert_with(|| Known::new(hold.clone(), applied));
                if !all.is_followed_by(&delivery, &hold) {
                    return None;
                }
                if all.leaves_out(&delivery) {
                    left_out.add(delivery);
                } else {
                    left_out.acknowledge().await;
                    return Some((Ok(delivery), Some((changes, known))));
                }
            }
        });
        changes.fuse().boxed()
    }

    /// As [`behind`](Self::behind), for a keyed group: only what comes behind the position up to which the effects of its
    /// partition are stored, of each partition by itself.
    ///
    /// `stored` is asked for that position with the partition's token ([`Delivery::partition`]), before the first change
    /// of a partition is handed out, and again each time this member has got the partition back, for another one may have
    /// stored more in between, and where a change comes again. So it is to read the store, and not what this process knows,
    /// and what is handed out is to be stored before the stream is read on. Where it fails, the stream
    /// tells [`Error::PositionNotRead`], keeps the change, and asks again when it is read on.
    ///
    /// ```no_run
    /// use std::convert::Infallible;
    /// use std::future::ready;
    /// use std::time::Duration;
    ///
    /// use futures::StreamExt as _;
    /// use rowcast_client::{Changes as _, Error, GroupCredentials, Position, Subscription};
    ///
    /// /// Stands for a database: each partition's position is in it, beside what the changes did.
    /// #[derive(Clone)]
    /// struct Store;
    ///
    /// impl Store {
    ///     fn position(&self, partition: &str) -> Option<Position> {
    /// #       let _ = partition;
    ///         // SELECT position FROM applied WHERE partition = $1
    /// #       None
    ///     }
    ///
    ///     fn apply(&self, row: &rowcast_client::Change, partition: &str) {
    /// #       let _ = (row, partition);
    ///         // BEGIN; …; UPDATE applied SET position = $1 WHERE partition = $2 AND position = $3; COMMIT
    ///     }
    /// }
    ///
    /// # async fn follow(credentials: GroupCredentials, store: Store) -> Result<(), Error> {
    /// let known = store.clone();
    /// let mut changes = Subscription::connect(credentials)
    ///     .await?
    ///     .behind_in(move |partition| ready(Ok::<_, Infallible>(known.position(&partition))));
    /// while let Some(delivery) = changes.next().await {
    ///     let delivery = match delivery {
    ///         Ok(delivery) => delivery,
    ///         // The change is kept, and the store is asked again.
    ///         Err(Error::PositionNotRead { .. }) => {
    ///             tokio::time::sleep(Duration::from_secs(1)).await;
    ///             continue;
    ///         }
    ///         Err(error) => return Err(error),
    ///     };
    ///     store.apply(&delivery.change, delivery.partition().unwrap_or_default());
    ///     match delivery.ack().await {
    ///         Err(error) if error.is_final() => return Err(error),
    ///         // What is not acknowledged comes again, and is left out.
    ///         Ok(()) | Err(_) => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// In a group that is not keyed the first change is [`Error::NotOrdered`], and the stream ends.
    fn behind_in<F, R, E>(self, stored: F) -> BoxStream<'static, Result<Delivery, Error>>
    where
        F: FnMut(String) -> R + Send + 'static,
        R: Future<Output = Result<Option<Position>, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
    {
        let start = Some(Partitions {
            changes: self,
            stored,
            known: HashMap::new(),
            put_off: None,
        });
        let changes = stream::unfold(start, |state| async move {
            let mut partitions = state?;
            match partitions.next().await? {
                Err(error @ Error::NotOrdered { .. }) => Some((Err(error), None)),
                item => Some((item, Some(partitions))),
            }
        });
        changes.fuse().boxed()
    }

    /// The transactions that the changes belong to, each handed out once it is there as a whole, or in parts of some
    /// hundred messages where it is large.
    ///
    /// For an ordered group of a task that was made with `"transactions": true`: what ends a transaction is the marker
    /// that such a task tells. Without it the stream tells [`Error::NoMarkers`], and in a group that is not ordered it
    /// ends with [`Error::NotOrdered`].
    fn transactions(self) -> Transactions {
        Transactions::of(self)
    }
}

impl<S> Changes for S where S: Stream<Item = Result<Delivery, Error>> + Send + Unpin + 'static {}

/// Up to where changes are left out; `None` where everything is handed out from here on.
struct LeftOut(Option<Position>);

impl LeftOut {
    /// Whether the caller has stored the effects of this one.
    fn has(&mut self, delivery: &Delivery) -> bool {
        let Some(applied) = self.0 else {
            return false;
        };
        if delivery.position > applied {
            self.0 = None;
        }
        is_applied(delivery, applied)
    }
}

/// What is known of a group, or of a partition, as long as it is held and its changes follow on each other.
struct Known {
    hold: HoldName,
    left_out: LeftOut,
    /// The last change that was handed out, and its place in the stream.
    last: Option<(Position, u64)>,
}

impl Known {
    const fn new(hold: HoldName, applied: Option<Position>) -> Self {
        Self {
            hold,
            left_out: LeftOut(applied),
            last: None,
        }
    }

    /// Whether this one comes by the same hold, and the caller has not seen it before: [`Transactions`] may have, which
    /// collects it anew.
    ///
    /// Position and place must agree that it was: a source that was replaced begins with low positions, and a stream that
    /// was made anew with low places.
    fn is_followed_by(&self, delivery: &Delivery, hold: &HoldName) -> bool {
        let was_handed_out = self.last.is_some_and(|(position, sequence)| {
            delivery.position <= position && delivery.stream_sequence <= sequence
        });
        let is_inside = |out: &Out| {
            let hold = out.hold();
            hold.is_inside(delivery.position, delivery.stream_sequence)
        };
        self.hold == *hold && (!was_handed_out || delivery.out().is_some_and(is_inside))
    }

    /// Whether the caller has stored the effects of this one; otherwise it is handed out.
    fn leaves_out(&mut self, delivery: &Delivery) -> bool {
        let is_stored = self.left_out.has(delivery);
        if !is_stored {
            self.last = Some((delivery.position, delivery.stream_sequence));
        }
        is_stored
    }
}

/// The changes of a keyed group, and who knows what of them is stored.
struct Partitions<S, F> {
    changes: S,
    stored: F,
    /// By the partition's token.
    known: HashMap<String, Known>,
    /// Of a partition whose position could not be read.
    put_off: Option<Delivery>,
}

impl<S, F, R, E> Partitions<S, F>
where
    S: Changes,
    F: FnMut(String) -> R,
    R: Future<Output = Result<Option<Position>, E>>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// The next change whose effects are not stored.
    async fn next(&mut self) -> Option<Result<Delivery, Error>> {
        let mut left_out = Unacknowledged::default();
        let next = self.next_new(&mut left_out).await;
        left_out.acknowledge().await;
        next
    }

    async fn next_new(&mut self, left_out: &mut Unacknowledged) -> Option<Result<Delivery, Error>> {
        loop {
            let delivery = match self.put_off.take() {
                Some(delivery) => delivery,
                None => match left_out.next(&mut self.changes).await? {
                    Ok(delivery) => delivery,
                    Err(error) => return Some(Err(error)),
                },
            };
            let Order::Partition(partition, hold) = delivery.order() else {
                let position = delivery.position;
                return Some(Err(Error::NotOrdered { position }));
            };
            let partition = partition.to_owned();
            let goes_on = |known: &Known| known.is_followed_by(&delivery, &hold);
            if !self.known.get(&partition).is_some_and(goes_on) {
                match (self.stored)(partition.clone()).await {
                    Ok(applied) => {
                        let known = Known::new(hold, applied);
                        self.known.insert(partition.clone(), known);
                    }
                    Err(error) => {
                        self.put_off = Some(delivery);
                        let source = error.into();
                        return Some(Err(Error::PositionNotRead { partition, source }));
                    }
                }
            }
            let known = self.known.get_mut(&partition);
            if known.is_some_and(|known| known.leaves_out(&delivery)) {
                left_out.add(delivery);
            } else {
                return Some(Ok(delivery));
            }
        }
    }
}

/// What was applied before, is left out, and is still to be acknowledged: together, for each acknowledgement is waited for.
#[derive(Default)]
struct Unacknowledged {
    /// The last one of each partition, whose acknowledgement covers the others; an ordered group is one.
    last: HashMap<String, Delivery>,
    count: usize,
    /// When they are acknowledged at the latest; `None` where there are none.
    due: Option<Instant>,
}

impl Unacknowledged {
    fn add(&mut self, delivery: Delivery) {
        let partition = delivery.partition().unwrap_or_default().to_owned();
        self.last.insert(partition, delivery);
        self.count += 1;
        self.due.get_or_insert_with(|| Instant::now() + TOGETHER);
    }

    /// The next change, with what is due acknowledged meanwhile.
    async fn next<S: Changes>(&mut self, changes: &mut S) -> Option<Result<Delivery, Error>> {
        while let Some(due) = self.due {
            if self.count < MOST_TOGETHER
                && let Ok(next) = tokio::time::timeout_at(due, changes.next()).await
            {
                return next;
            }
            self.acknowledge().await;
        }
        changes.next().await
    }

    async fn acknowledge(&mut self) {
        self.count = 0;
        self.due = None;
        for delivery in std::mem::take(&mut self.last).into_values() {
            // Where that fails, the acknowledgement of what comes next covers it.
            if let Err(error) = delivery.ack().await {
                tracing::debug!(%error, "what was applied before is not acknowledged");
            }
        }
    }
}

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
