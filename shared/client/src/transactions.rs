//! Transactions as units.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use rowcast_domain::{Lsn, Position};
use rowcast_proto::change::Operation;

use crate::delivery::{Delivery, Order};
use crate::error::Error;
use crate::hold::{HoldName, Out};

/// Changes of a part of a transaction, at most. A consumer has 2000 messages in flight: a transaction that is larger is
/// never there as a whole before some of it is acknowledged.
const PART: usize = 1000;

/// Messages that a part may span at most: a change that comes in pieces is up to 1370 of them, and with the next one
/// that must still be fewer than are in flight.
const SPAN: u64 = 600;

/// A transaction of the source, as far as its tables are tracked; of a large one, a part.
#[derive(Debug)]
pub struct Transaction {
    /// Where its commit record is in the source's WAL.
    pub commit_lsn: Lsn,
    /// Its id; absent for what belongs to no transaction, as a message that an application wrote outside of one.
    pub xid: Option<u32>,
    /// When it was committed, RFC 3339 with microseconds.
    pub committed_at: String,
    /// Whether the transaction begins here. A part that does not goes on where the last one that was acknowledged has
    /// ended, perhaps by another member: what was not acknowledged of a part is not to be joined with it.
    pub begins: bool,
    /// Whether the transaction ends here. Otherwise the next part follows.
    pub ends: bool,
    changes: Vec<Delivery>,
    /// That it is committed; absent of a part that does not end it.
    marker: Option<Delivery>,
}

impl Transaction {
    /// What it changed, in its order: rows and what is not about rows, without the markers.
    #[must_use]
    pub fn changes(&self) -> &[Delivery] {
        &self.changes
    }

    /// The position of its last message: all up to it is dealt with once this is. To be stored with the effects; see
    /// [`behind`](crate::Changes::behind).
    #[must_use]
    pub fn position(&self) -> Position {
        self.last()
            .map_or_else(Position::default, |last| last.position)
    }

    /// Acknowledges it and everything before it.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn ack(&self) -> Result<(), Error> {
        match self.last() {
            Some(last) => last.ack().await,
            None => Ok(()),
        }
    }

    fn last(&self) -> Option<&Delivery> {
        self.marker.as_ref().or(self.changes.last())
    }

    /// Notes that the caller is given it, and with it all that was collected.
    fn let_out(&self) {
        if let Some(out) = self.last().and_then(Delivery::out) {
            out.hold().let_out();
        }
    }
}

/// A stream of transactions; see [`transactions`](crate::Changes::transactions).
pub struct Transactions {
    transactions: BoxStream<'static, Result<Transaction, Error>>,
}

impl Transactions {
    /// Of an ordered group's changes.
    pub(crate) fn of(
        changes: impl Stream<Item = Result<Delivery, Error>> + Send + Unpin + 'static,
    ) -> Self {
        let start = Some((changes, Collected::default()));
        let transactions = futures::stream::unfold(start, |state| async move {
            let (mut changes, mut collected) = state?;
            loop {
                let taken = match collected.put_off.take() {
                    Some(delivery) => collected.take(delivery),
                    None => match changes.next().await? {
                        Ok(delivery) => collected.take(delivery),
                        Err(error) => Err(error),
                    },
                };
                match taken {
                    Ok(Taken::More) => {}
                    Ok(Taken::Idle(heartbeat)) => acknowledge_idle(&heartbeat).await,
                    Ok(Taken::Part(part)) => {
                        part.let_out();
                        return Some((Ok(*part), Some((changes, collected))));
                    }
                    Err(error @ Error::NotOrdered { .. }) => return Some((Err(error), None)),
                    Err(error) => return Some((Err(error), Some((changes, collected)))),
                }
            }
        });
        Self {
            transactions: transactions.fuse().boxed(),
        }
    }
}

impl Stream for Transactions {
    type Item = Result<Transaction, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.transactions.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactions").finish_non_exhaustive()
    }
}

/// What a delivery makes of what was collected.
enum Taken {
    /// There is more to come.
    More,
    /// A heartbeat between transactions.
    Idle(Box<Delivery>),
    /// This is whole, or large enough.
    Part(Box<Transaction>),
}

/// What has come of a transaction.
#[derive(Default)]
struct Collected {
    open: Option<Open>,
    /// What comes behind the part that is being handed out.
    put_off: Option<Delivery>,
}

struct Open {
    /// By which all of it came.
    hold: HoldName,
    commit_lsn: Lsn,
    begins: bool,
    changes: Vec<Delivery>,
    /// Of the last message that was taken.
    position: Position,
    /// Of the first message of this part, in the stream.
    first: u64,
}

impl Open {
    /// Nothing yet of the transaction that `first` belongs to.
    fn new(first: &Delivery, hold: HoldName, begins: bool) -> Self {
        Self {
            hold,
            commit_lsn: first.change.lsn,
            begins,
            changes: Vec::new(),
            position: Position::default(),
            first: first.stream_sequence,
        }
    }

    /// Whether all that has come is behind `delivery`.
    fn is_behind(&self, delivery: &Delivery) -> bool {
        let first = self.changes.first();
        self.commit_lsn > delivery.change.lsn
            || first.is_some_and(|first| first.position > delivery.position)
    }
}

impl Collected {
    fn take(&mut self, delivery: Delivery) -> Result<Taken, Error> {
        let position = delivery.position;
        let Order::Everything(hold) = delivery.order() else {
            return Err(Error::NotOrdered { position });
        };
        if let Some(out) = delivery.out() {
            out.take_in(position, delivery.stream_sequence);
        }
        // What an earlier hold had has gone to another member, or comes again, perhaps from elsewhere: no acknowledgement
        // of what comes now covers it.
        self.open.take_if(|open| open.hold != hold);
        let lsn = delivery.change.lsn;
        let is_marker = matches!(delivery.change.op, Operation::Begin | Operation::Commit);
        if is_marker && self.is_without_end(lsn) {
            return Err(self.no_markers(delivery));
        }
        let is_open = |open: &Open| open.commit_lsn == lsn;
        match delivery.change.op {
            Operation::Begin => {
                // One that comes again begins anew.
                self.open = Some(Open {
                    position,
                    ..Open::new(&delivery, hold, true)
                });
                Ok(Taken::More)
            }
            Operation::Commit => {
                let open = self.open.take().filter(is_open);
                let (changes, begins) =
                    open.map_or_else(Default::default, |open| (open.changes, open.begins));
                Ok(part(changes, Some(delivery), begins, true))
            }
            Operation::Heartbeat if self.open.is_none() => Ok(Taken::Idle(Box::new(delivery))),
            Operation::Heartbeat => Ok(Taken::More),
            Operation::Message if !is_transactional(&delivery) => {
                Ok(part(vec![delivery], None, true, true))
            }
            Operation::Gap if self.open.is_none() => Ok(part(vec![delivery], None, true, true)),
            Operation::Gap if self.open.as_ref().is_some_and(|open| !is_open(open)) => {
                // The rest of the transaction is missing.
                self.put_off = Some(delivery);
                Ok(self.part_so_far())
            }
            Operation::Insert
            | Operation::Update
            | Operation::Delete
            | Operation::Truncate
            | Operation::Schema
            | Operation::Ddl
            | Operation::Message
            | Operation::Gap
            | Operation::Part
            | Operation::Pack
            | Operation::Unknown => self.within(delivery, hold),
        }
    }

    /// Whether changes have come of a transaction that ends before `lsn`, and not its end.
    fn is_without_end(&self, lsn: Lsn) -> bool {
        let open = self.open.as_ref();
        open.is_some_and(|open| open.commit_lsn < lsn && !open.changes.is_empty())
    }

    /// Gives up what has come; `next` is of the next transaction, which goes on.
    fn no_markers(&mut self, next: Delivery) -> Error {
        let position = next.position;
        self.open = None;
        self.put_off = Some(next);
        Error::NoMarkers { position }
    }

    /// Takes a change of a transaction.
    fn within(&mut self, delivery: Delivery, hold: HoldName) -> Result<Taken, Error> {
        let lsn = delivery.change.lsn;
        if self.open.as_ref().is_some_and(|open| open.commit_lsn < lsn) {
            return Err(self.no_markers(delivery));
        }
        // What comes again from before this part comes with everything behind it that is not acknowledged.
        self.open.take_if(|open| open.is_behind(&delivery));
        let open = self
            .open
            .get_or_insert_with(|| Open::new(&delivery, hold, false));
        // A shape has the position of the change before it.
        let is_repeat = if delivery.change.op == Operation::Schema {
            delivery.position < open.position
        } else {
            delivery.position <= open.position
        };
        if is_repeat && !open.changes.is_empty() {
            // It comes again.
            return Ok(Taken::More);
        }
        let span = delivery.stream_sequence.saturating_sub(open.first);
        open.position = delivery.position;
        open.changes.push(delivery);
        if open.changes.len() < PART && span < SPAN {
            return Ok(Taken::More);
        }
        Ok(self.part_so_far())
    }

    /// What has come; the next part goes on where it ends.
    fn part_so_far(&mut self) -> Taken {
        let Some(open) = &mut self.open else {
            return Taken::More;
        };
        let begins = std::mem::replace(&mut open.begins, false);
        let changes = std::mem::take(&mut open.changes);
        if let Some(last) = changes.last() {
            open.first = last.stream_sequence;
        }
        if self.put_off.is_some() {
            self.open = None;
        }
        part(changes, None, begins, false)
    }
}

/// Acknowledges a heartbeat, which nobody else would, unless that acknowledged what the caller has, and has not stored yet.
/// What comes next covers it then, or it comes again.
async fn acknowledge_idle(heartbeat: &Delivery) {
    let is_free = |out: &Out| out.hold().is_acknowledged_outside();
    if heartbeat.out().is_some_and(is_free)
        && let Err(error) = heartbeat.ack().await
    {
        tracing::debug!(%error, "a heartbeat is not acknowledged");
    }
}

/// A part of a transaction; `ends` is for what has no marker.
fn part(changes: Vec<Delivery>, marker: Option<Delivery>, begins: bool, ends: bool) -> Taken {
    let Some(told) = marker.as_ref().or(changes.last()) else {
        return Taken::More;
    };
    Taken::Part(Box::new(Transaction {
        commit_lsn: told.change.lsn,
        xid: told.change.xid,
        committed_at: told.change.committed_at.clone(),
        begins,
        ends: ends || marker.is_some(),
        changes,
        marker,
    }))
}

fn is_transactional(delivery: &Delivery) -> bool {
    let message = delivery.change.message.as_ref();
    message.is_none_or(|message| message.transactional)
}
