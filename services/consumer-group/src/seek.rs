//! Finds the message at which a group is to go on.
//!
//! Positions never go back in a stream, nor do commit times while the source's clock does not, so both are found by
//! halving: 25 messages are read of ten million. Ids of transactions are given out before they commit and are in order
//! only roughly; the place where one should be is found by halving, and then its surroundings are searched. They are 32 bits
//! of a counter that goes on: what is behind another is so within half of them.

pub(crate) mod own;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rowcast_domain::Lsn;
use rowcast_service::BoxError;
use tokio::time::Instant;

use crate::head::Head;
use crate::held::{self, Range, Stored, TaskStream};

/// Messages read to either side of where a transaction should be.
const AROUND: u32 = 2000;

/// How long the search for a transaction may take.
const SEARCH: Duration = Duration::from_secs(6);

/// A transaction of which so many messages were read is passed over as a whole.
const LARGE: u32 = 16;

/// Heartbeats passed over, in steps that double, to find a message that names a transaction.
const HEARTBEATS: u32 = 20;

/// What a group is to be sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The first change committed at this time or later.
    Time(DateTime<Utc>),
    /// The first change with this commit LSN or a greater one.
    Lsn(Lsn),
    /// The first change of this transaction.
    Transaction(u32),
    /// This message.
    Sequence(u64),
    /// The first that is there.
    Earliest,
    /// The next one to come.
    Latest,
}

/// Where that is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The message with this sequence.
    Next(u64),
    /// Before or behind everything that is held, or cut by the beginning of that.
    Outside,
    /// The transaction is not in the stream, all of which was searched.
    Nowhere,
    /// The transaction is not among those that were searched.
    NotNear,
    /// A message on the way cannot be read.
    Unreadable(u64),
}

/// Why there is no message.
enum Stop {
    Unreadable(u64),
    Failed(BoxError),
}

impl From<BoxError> for Stop {
    fn from(error: BoxError) -> Self {
        Self::Failed(error)
    }
}

/// Finds the message in what the stream holds.
pub(crate) async fn find(
    stream: &TaskStream,
    range: &Range,
    target: Target,
) -> Result<Found, BoxError> {
    match Box::pin(search(stream, range, target)).await {
        Ok(found) => Ok(found),
        Err(Stop::Unreadable(sequence)) => Ok(Found::Unreadable(sequence)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

async fn search(stream: &TaskStream, range: &Range, target: Target) -> Result<Found, Stop> {
    let (first, last) = (range.held.first, range.held.last);
    match target {
        Target::Earliest => return Ok(Found::Next(first)),
        Target::Latest => return Ok(Found::Next(last + 1)),
        Target::Sequence(sequence) => {
            let is_held = (first..=last + 1).contains(&sequence);
            return Ok(if is_held {
                Found::Next(sequence)
            } else {
                Found::Outside
            });
        }
        Target::Time(_) | Target::Lsn(_) | Target::Transaction(_) => {}
    }
    let (Some(oldest), Some(newest)) = (&range.first, &range.last) else {
        return Ok(Found::Outside);
    };
    let ends = (head(oldest)?, head(newest)?);
    match target {
        Target::Time(time) => {
            let of = |head: &Head| head.committed_at;
            halve(stream, range, ends, time, of).await
        }
        Target::Lsn(lsn) => {
            let of = |head: &Head| head.position.commit_lsn;
            halve(stream, range, ends, lsn, of).await
        }
        Target::Transaction(xid) => transaction(stream, range, xid).await,
        Target::Sequence(_) | Target::Earliest | Target::Latest => Ok(Found::Outside),
    }
}

/// The first message that is not before `wanted`, where what is wanted lies within what is held.
async fn halve<T: Ord + Copy>(
    stream: &TaskStream,
    range: &Range,
    (oldest, newest): (Head, Head),
    wanted: T,
    of: impl Fn(&Head) -> T,
) -> Result<Found, Stop> {
    let is_cut = wanted == of(&oldest) && begins_cut(range, &oldest);
    if wanted < of(&oldest) || wanted > of(&newest) || is_cut {
        return Ok(Found::Outside);
    }
    let ends = (range.held.first, range.held.last);
    let found = first_where(stream, ends, |head| of(head) >= wanted).await?;
    Ok(found.map_or(Found::Outside, |(sequence, _head)| Found::Next(sequence)))
}

/// Whether the beginning of the first transaction that is held may have been removed.
fn begins_cut(range: &Range, oldest: &Head) -> bool {
    range.held.first > 1 && !oldest.is_begin && oldest.position.ordinal > 1
}

/// The first message between two sequences, both included, of which something is true that stays true.
async fn first_where(
    stream: &TaskStream,
    (from, until): (u64, u64),
    is_reached: impl Fn(&Head) -> bool,
) -> Result<Option<(u64, Head)>, Stop> {
    let (mut low, mut high) = (from, until + 1);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        match held::at_or_after(stream, middle).await? {
            Some(stored) if stored.sequence < high => {
                let head = head(&stored)?;
                if is_reached(&head) {
                    found = Some((stored.sequence, head));
                    high = middle;
                } else {
                    low = stored.sequence + 1;
                }
            }
            Some(_) | None => high = middle,
        }
    }
    Ok(found)
}

/// The begin of a transaction.
async fn transaction(stream: &TaskStream, range: &Range, xid: u32) -> Result<Found, Stop> {
    let (first, last) = (range.held.first, range.held.last);
    let near = near(stream, (first, last), xid).await?;
    let until = Instant::now() + SEARCH;
    let mut back = Walk::new(near.saturating_sub(1));
    let mut on = Walk::new(near);
    for _ in 0..AROUND {
        if Instant::now() > until || (back.is_over && on.is_over) {
            break;
        }
        let behind = back.step_back(stream, first, xid).await?;
        let ahead = on.step_on(stream, last, xid).await?;
        if let Some(lsn) = behind.or(ahead) {
            return begin(stream, range, lsn).await;
        }
    }
    Ok(if back.is_over && on.is_over {
        Found::Nowhere
    } else {
        Found::NotNear
    })
}

/// Where the transaction that committed at `lsn` begins.
async fn begin(stream: &TaskStream, range: &Range, lsn: Lsn) -> Result<Found, Stop> {
    let ends = (range.held.first, range.held.last);
    let found = first_where(stream, ends, |head| head.position.commit_lsn >= lsn).await?;
    Ok(match found {
        Some((sequence, head)) if sequence == range.held.first && begins_cut(range, &head) => {
            Found::Outside
        }
        Some((sequence, _head)) => Found::Next(sequence),
        None => Found::Outside,
    })
}

/// About where a transaction is: transactions with a lower id stand before it, but for those that took longer.
async fn near(stream: &TaskStream, (first, last): (u64, u64), xid: u32) -> Result<u64, Stop> {
    let (mut low, mut high) = (first, last + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match named(stream, middle, high).await? {
            Some((_sequence, found)) if is_reached(found, xid) => high = middle,
            Some((sequence, _lower)) => low = sequence + 1,
            None => high = middle,
        }
    }
    Ok(low)
}

/// Whether an id of a transaction is `wanted` or was given out behind it, as PostgreSQL compares them: the counter begins anew
/// behind the last of 32 bits.
const fn is_reached(xid: u32, wanted: u32) -> bool {
    xid.wrapping_sub(wanted) < 1 << 31
}

/// A message at or behind `sequence` that names its transaction, as heartbeats do not.
async fn named(stream: &TaskStream, sequence: u64, end: u64) -> Result<Option<(u64, u32)>, Stop> {
    let (mut next, mut step) = (sequence, 1);
    for _ in 0..HEARTBEATS {
        let stored = match held::at_or_after(stream, next).await? {
            Some(stored) if stored.sequence < end => stored,
            Some(_) | None => return Ok(None),
        };
        if let Some(xid) = head(&stored)?.xid {
            return Ok(Some((stored.sequence, xid)));
        }
        next = stored.sequence + step;
        step *= 2;
    }
    Ok(None)
}

/// A search in one direction.
struct Walk {
    next: u64,
    /// The transaction passed last, and how many of its messages were read.
    within: Option<(Lsn, u32)>,
    is_over: bool,
}

impl Walk {
    const fn new(next: u64) -> Self {
        Self {
            next,
            within: None,
            is_over: false,
        }
    }

    /// Looks at the message before; the commit LSN of the transaction where it is the one.
    async fn step_back(
        &mut self,
        stream: &TaskStream,
        first: u64,
        xid: u32,
    ) -> Result<Option<Lsn>, Stop> {
        if self.is_over || self.next < first {
            self.is_over = true;
            return Ok(None);
        }
        let stored = held::exactly(stream, self.next).await?;
        let at = self.next;
        self.next = at.saturating_sub(1);
        let Some(stored) = stored else {
            return Ok(None);
        };
        let head = head(&stored)?;
        let lsn = head.position.commit_lsn;
        if head.xid == Some(xid) {
            return Ok(Some(lsn));
        }
        if self.is_large(lsn) {
            let begin = first_where(stream, (first, at), |head| head.position.commit_lsn >= lsn);
            if let Some((sequence, _head)) = begin.await? {
                self.next = sequence.saturating_sub(1);
            }
        }
        Ok(None)
    }

    /// Looks at the message behind; the commit LSN of the transaction where it is the one.
    async fn step_on(
        &mut self,
        stream: &TaskStream,
        last: u64,
        xid: u32,
    ) -> Result<Option<Lsn>, Stop> {
        if self.is_over || self.next > last {
            self.is_over = true;
            return Ok(None);
        }
        let Some(stored) = held::at_or_after(stream, self.next).await? else {
            self.is_over = true;
            return Ok(None);
        };
        let head = head(&stored)?;
        let lsn = head.position.commit_lsn;
        if head.xid == Some(xid) {
            return Ok(Some(lsn));
        }
        self.next = stored.sequence + 1;
        if self.is_large(lsn) {
            let behind = first_where(stream, (self.next, last), |head| {
                head.position.commit_lsn > lsn
            });
            self.next = behind.await?.map_or(last + 1, |(sequence, _head)| sequence);
        }
        Ok(None)
    }

    fn is_large(&mut self, lsn: Lsn) -> bool {
        let read = match self.within {
            Some((before, read)) if before == lsn => read + 1,
            Some(_) | None => 1,
        };
        self.within = Some((lsn, read));
        read == LARGE
    }
}

fn head(stored: &Stored) -> Result<Head, Stop> {
    stored.head.ok_or(Stop::Unreadable(stored.sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_keep_their_order_where_their_ids_begin_anew() {
        assert!(is_reached(7, 7) && is_reached(8, 7) && !is_reached(7, 8));
        // PostgreSQL gives out 3 behind the last one.
        let in_order = [u32::MAX - 1, u32::MAX, 3, 4];
        for (at, wanted) in in_order.into_iter().enumerate() {
            let behind = in_order.partition_point(|xid| !is_reached(*xid, wanted));
            assert_eq!(behind, at, "{wanted}");
        }
    }
}
