//! `rowcast task tail`.
//!
//! ```text
//! group (named, or for this once) ─▶ subscription ─▶ line ─▶ acknowledgement … Ctrl-C ─▶ group for this once deleted
//! ```

mod reader;

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _};
use rowcast_client::{Change, Delivery, Error, Operation, Subscription};

use crate::api::Api;
use crate::args::task::{LineFormat, Tail};
use crate::change_line::{is_shown, line};
use crate::failure::{Exit, Failure};
use crate::signals::Signals;
use crate::{find, output};
use reader::Reader;

/// Changes that are printed before they are acknowledged at the latest; a group may have 2000 messages
/// in flight.
const ACKNOWLEDGED_EVERY: u64 = 200;

pub(super) async fn run(api: &Api, wanted: Tail) -> anyhow::Result<()> {
    // From here on a signal ends the reading and not the process: the group must be deleted.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let task = find::task(api, &wanted.task).await?;
    let reader = Reader::open(api, &task, &wanted).await?;
    output::progress(format_args!(
        "changes of {} as group {}; Ctrl-C ends",
        task.name, reader.group
    ));
    let printed = Box::pin(print(&reader, &wanted, &mut signals)).await;
    let closed = tokio::select! {
        closed = reader.close(api) => closed,
        () = signals.next() => Err(reader.left_behind()),
    };
    printed?;
    closed
}

/// Prints until a signal, or until there are as many as wanted.
async fn print(reader: &Reader, wanted: &Tail, signals: &mut Signals) -> anyhow::Result<()> {
    let joined = tokio::select! {
        joined = Subscription::connect(reader.credentials.clone()) => joined,
        () = signals.next() => return Ok(()),
    };
    let mut changes = joined.map_err(|error| failure(&error))?;
    let mut printed = 0;
    // What is to be acknowledged, for everything that was dealt with since the last time; and how much that is.
    let (mut open, mut count): (Vec<Delivery>, u64) = (Vec::new(), 0);
    loop {
        let ready = changes.next().now_or_never();
        if ready.is_none() || count >= ACKNOWLEDGED_EVERY {
            acknowledge(&mut open).await?;
            count = 0;
        }
        let next = match ready {
            Some(next) => next,
            None => tokio::select! {
                next = changes.next() => next,
                () = signals.next() => {
                    changes.close().await;
                    return Ok(());
                }
            },
        };
        match next {
            None => return Ok(()),
            Some(Err(error @ Error::Malformed(_))) => output::trouble(error),
            Some(Err(error)) if error.is_final() => return Err(failure(&error)),
            Some(Err(error)) => output::trouble(error),
            Some(Ok(delivery)) => {
                if delivery.stream_sequence > reader.passed_over
                    && print_one(&delivery.change, wanted.output)?
                {
                    printed += 1;
                }
                count += 1;
                open.retain(|earlier| !delivery.covers(earlier));
                open.push(delivery);
                if wanted.count == Some(printed) {
                    acknowledge(&mut open).await?;
                    changes.close().await;
                    return Ok(());
                }
            }
        }
        // A reader with much to print is never without the next change.
        if signals.next().now_or_never().is_some() {
            acknowledge(&mut open).await?;
            changes.close().await;
            return Ok(());
        }
    }
}

/// Whether it was worth a line.
fn print_one(change: &Change, format: LineFormat) -> anyhow::Result<bool> {
    match format {
        LineFormat::Text if is_shown(change.op) => output::line(line(change))?,
        LineFormat::Json if change.op != Operation::Heartbeat => {
            output::line(serde_json::to_string(change)?)?;
        }
        LineFormat::Text | LineFormat::Json => return Ok(false),
    }
    Ok(true)
}

/// What is not known to be stored comes again, and is told of.
async fn acknowledge(open: &mut Vec<Delivery>) -> anyhow::Result<()> {
    for delivery in std::mem::take(open) {
        match delivery.ack().await {
            Ok(()) => {}
            Err(error) if error.is_final() => return Err(failure(&error)),
            Err(error) => output::trouble(format_args!("{error}; changes may come again")),
        }
    }
    Ok(())
}

fn failure(error: &Error) -> anyhow::Error {
    let (exit, advice) = match error {
        Error::LoginRefused { .. } => (Exit::Denied, ""),
        Error::GroupDeleted { .. } => (Exit::NotFound, ""),
        Error::Unreachable(_) => (
            Exit::Unreachable,
            ": see whether this machine reaches the address of `rowcast group connection`",
        ),
        Error::Malformed(_)
        | Error::TooManyPieces { .. }
        | Error::NotHeld { .. }
        | Error::Pushed { .. }
        | Error::Unreadable { .. }
        | Error::InOrder
        | Error::InPieces { .. }
        | Error::NotAcknowledged(_)
        | Error::NoMarkers { .. }
        | Error::NotOrdered { .. }
        | Error::PositionNotRead { .. }
        | Error::PositionMoved => (Exit::Failed, ""),
    };
    Failure::of(exit, format!("{error}{advice}"))
}
