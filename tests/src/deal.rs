//! What a member of a group does: it deals with each change, notes that, and acknowledges it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_client::{Error, GroupCredentials, Operation, Secret, Subscription};
use tokio::sync::oneshot;

use crate::log::{Note, Outcome, Pen};

/// Time that dealing with a change takes.
const DEALING: Duration = Duration::from_micros(500);

/// Deals with a group's changes until standard input is closed.
///
/// The arguments are the files of the group's connection and of its password, the log, and the member's number.
///
/// # Errors
/// Where the group does not let it in, or ends.
pub async fn run() -> anyhow::Result<()> {
    rowcast_testkit::init_tracing();
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || arguments.next().context("too few arguments");
    let connection = serde_json::from_slice(&std::fs::read(next()?)?)?;
    let password = std::fs::read_to_string(next()?)?;
    let (log, number) = (next()?, next()?);
    let number = number.to_string_lossy().parse()?;
    let pen = Pen::open(&log, number)?;
    let credentials = GroupCredentials::new(connection, Secret::new(password));
    let changes = Subscription::connect(credentials).await?;
    deal(changes, &pen).await
}

async fn deal(mut changes: Subscription, pen: &Pen) -> anyhow::Result<()> {
    let mut closed = input_closed();
    loop {
        let delivery = tokio::select! {
            _closed = &mut closed => {
                changes.close().await;
                return Ok(());
            }
            next = changes.next() => next
                .context("the subscription ended")?
                .context("the subscription has failed")?,
        };
        let change = &delivery.change;
        anyhow::ensure!(
            !matches!(change.op, Operation::Gap | Operation::Unknown),
            "{:?} was told at {}: {:?}",
            change.op,
            delivery.position,
            change.gap
        );
        let note = Note::of(&delivery);
        if let Some(note) = &note {
            pen.begin(note)?;
            tokio::time::sleep(DEALING).await;
            pen.done()?;
        }
        let outcome = match delivery.ack().await {
            Ok(()) => Outcome::Acknowledged,
            Err(Error::NotHeld { .. } | Error::NotAcknowledged(_)) => Outcome::Refused,
            Err(error) => return Err(error.into()),
        };
        if note.is_some() {
            pen.ended(outcome)?;
        }
    }
}

/// Ends once standard input is closed.
fn input_closed() -> oneshot::Receiver<()> {
    let (open, closed) = oneshot::channel();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap_or_default();
        drop(open);
    });
    closed
}
