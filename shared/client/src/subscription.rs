//! The stream of a group's changes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::jetstream;
use futures::stream::{self, SelectAll};
use futures::{Stream, StreamExt as _};
use rowcast_proto::rest::{GroupDelivery, GroupMode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::consumer::look;
use crate::credentials::GroupCredentials;
use crate::delivery::Delivery;
use crate::error::Error;
use crate::login::{Refused, log_in, refused_for_good};
use crate::membership::{Joined, Membership, WAITING};
use crate::shared;

/// A group's changes, in the order that its mode promises.
///
/// A [`Stream`] of [`Delivery`]. It reconnects by itself and asks for more only as deliveries are
/// taken: of each consumer at most a batch of 256 changes or 8 MiB waits in memory, and after a lost connection what
/// the group has in flight (2000 messages). A change that comes in pieces is joined in memory.
///
/// Dropped, it leaves the group: what it held goes on with other members at once, and what was handed out and not
/// acknowledged comes again there. That is said to NATS in the background, which takes a moment: a process that ends says it
/// by [`close`](Self::close).
///
/// In a shared group what was sent to this member and not acknowledged is given back in the same way, also what it was never
/// handed out: up to 96 messages. A member that is killed gives nothing back: all of that comes again after the
/// consumer's ack wait of 30 s. Either way each of these changes has had one of the attempts that the group's `max_deliver` allows, since
/// NATS counts what it has sent.
pub struct Subscription {
    deliveries: SelectAll<Joined>,
    /// What comes to be read.
    joined: mpsc::Receiver<Joined>,
    /// Dropped with this: the member leaves.
    leave: Option<oneshot::Sender<()>>,
    /// What leaves, once this is dropped.
    asking: JoinSet<()>,
    has_ended: bool,
}

impl Subscription {
    /// Logs in as a new member and begins after the last change that the group has acknowledged.
    ///
    /// # Errors
    /// [`Error::LoginRefused`], [`Error::GroupDeleted`], [`Error::Unreachable`]; [`Error::Pushed`] and [`Error::Unreadable`]
    /// for a group that is not read by this.
    pub async fn connect(credentials: GroupCredentials) -> Result<Self, Error> {
        if credentials.delivery == GroupDelivery::Push {
            let group = credentials.group_id;
            return Err(Error::Pushed { group });
        }
        credentials.refuse_unreadable()?;
        let member = member_name()?;
        let (client, refused) = log_in(&credentials, &member).await?;
        let credentials = Arc::new(credentials);
        let jetstream = jetstream::new(client.clone());
        let first = match credentials.mode {
            GroupMode::Ordered | GroupMode::Shared => Some(credentials.consumer.as_str()),
            GroupMode::Keyed => credentials.consumers.first().map(|of| of.consumer.as_str()),
        };
        look(&jetstream, &credentials, first.unwrap_or_default()).await?;

        let connected = refused.clone();
        let mut deliveries = SelectAll::new();
        let patience = credentials.login_patience;
        deliveries.push(refusal(refused, credentials.login.clone(), patience));
        let (sender, joined) = mpsc::channel(WAITING);
        let (leave, left) = oneshot::channel();
        let mut asking = JoinSet::new();
        match credentials.mode {
            GroupMode::Shared => {
                let redriven = shared::read_redriven(&credentials, jetstream.clone());
                for reading in [redriven, shared::read(credentials, jetstream)] {
                    deliveries.push(reading.changes);
                    asking.spawn(reading.leaves);
                }
            }
            GroupMode::Ordered | GroupMode::Keyed => {
                let membership = Membership::new(client, credentials, member, connected, sender);
                asking.spawn(membership.run(left));
            }
        }
        Ok(Self {
            deliveries,
            joined,
            leave: Some(leave),
            asking,
            has_ended: false,
        })
    }

    /// What of the group's dead letters is redriven, by itself: for an ordered or a keyed group, whose changes have an order
    /// in which these are no more. One at a time, in the order in which they were put away, to any process that asks.
    /// Members of a shared group get them among the others.
    ///
    /// # Errors
    /// [`Error::LoginRefused`], [`Error::Unreachable`], [`Error::Unreadable`].
    pub async fn redriven(credentials: GroupCredentials) -> Result<Self, Error> {
        credentials.refuse_unreadable()?;
        let (client, refused) = log_in(&credentials, &member_name()?).await?;
        let redriven = shared::read_redriven(&credentials, jetstream::new(client));
        let (_nothing_joins, joined) = mpsc::channel(1);
        let mut deliveries = SelectAll::new();
        deliveries.push(refusal(
            refused,
            credentials.login,
            credentials.login_patience,
        ));
        deliveries.push(redriven.changes);
        let mut asking = JoinSet::new();
        asking.spawn(redriven.leaves);
        Ok(Self {
            deliveries,
            joined,
            leave: None,
            asking,
            has_ended: false,
        })
    }

    /// Leaves the group, and waits until the service knows it or has not answered for two seconds; of a shared group until what
    /// is not acknowledged is given back.
    pub async fn close(mut self) {
        self.leave = None;
        self.deliveries.clear();
        while let Some(ended) = self.asking.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "the member has not left");
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.leave = None;
        // They say that the member leaves, and end.
        self.asking.detach_all();
    }
}

impl Stream for Subscription {
    type Item = Result<Delivery, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        while let Poll::Ready(Some(joined)) = self.joined.poll_recv(context) {
            self.deliveries.push(joined);
        }
        match self.deliveries.poll_next_unpin(context) {
            Poll::Ready(Some(item)) => {
                if item.as_ref().is_err_and(Error::is_final) {
                    self.has_ended = true;
                    // Others may have what it holds, however long the caller keeps the stream.
                    self.leave = None;
                }
                Poll::Ready(Some(item))
            }
            // What is refused for good is always there.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// Ends with an error once the login is refused for good.
fn refusal(refused: Refused, login: String, patience: Duration) -> Joined {
    let refused = stream::once(async move {
        refused_for_good(refused, patience).await;
        Err(Error::LoginRefused { login })
    });
    refused.boxed()
}

/// Sixteen hexadecimal digits that no other member has.
fn member_name() -> Result<String, Error> {
    let mut bytes = [0; 8];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut bytes)
        .map_err(|_unspecified| Error::Unreachable("the system has no random numbers".into()))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}
