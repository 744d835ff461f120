//! Consume Rowcast changes from Rust.
//!
//! ```text
//! credentials ─▶ subscription ─▶ membership: what may be read? ─▶ a share for each consumer ─┐
//!                      ▲                                                                   ▼
//!                      └── Delivery ◀─ pieces (whole changes) ◀─ fence (repeats) ◀─ gate (order)
//! ```
//!
//! A [`Subscription`] is a stream of [`Delivery`], as one more member of the group. What was never acknowledged comes
//! again, also after a crash of this process. See `examples/tail.rs`. How members share the changes is the group's
//! mode:
//!
//! | mode | order | members | [`Delivery::ack`] covers |
//! |---|---|---|---|
//! | ordered | commit order | one is active, the others stand by | every change before it |
//! | keyed | commit order of each key | they share the task's partitions | every change before it in its partition |
//! | shared | none | each change goes to one of them | itself |
//!
//! In the first two the service says once a second what this member holds, for 6 seconds. Whoever leaves, by
//! [`Subscription::close`] or by dropping it, is replaced at once, and whoever dies after that time. What is to go to
//! another member is handed out no further, and goes once everything handed out is acknowledged, or dropped: a caller
//! that keeps a [`Delivery`] keeps its partition. The time is counted from when this process asked, and when it is over
//! nothing is handed out and [`Delivery::ack`] says [`Error::NotHeld`], so that no two members deal with one key at a
//! time, as long as dealing with a change is over when the lease is. While the service is away members keep what they have.
//!
//! [`Changes::behind`] leaves out what the caller has stored the effects of, so that they are exactly once, and
//! [`Changes::behind_in`] does so for each partition of a keyed group; [`Changes::transactions`] hands out transactions instead
//! of changes. See `examples/materialize.rs`.
//!
//! A member reconnects by itself. Where its logins are refused, because the service that checks them is away or because the
//! password was changed, it goes on asking for as long as [`GroupCredentials::with_login_patience`] says.
//!
//! A change of a shared group that was given back as often as the group allows ([`Delivery::nack_because`]), or given up
//! ([`Delivery::give_up`]), is a dead letter. One that is redriven comes to the group's members like any other change, with
//! [`Delivery::is_redriven`]; of another group [`Subscription::redriven`] reads it.
//!
//! A change that is larger than a message of the broker comes in pieces. The subscription joins them:
//! the caller sees the whole, and its acknowledgement covers all pieces. For such a change the process
//! needs memory for its JSON and for the [`Change`] read from it, one at a time and partition. Pieces of a shared group go to
//! several members: there it is an error, [`Error::InPieces`].
//!
//! # Depend on it
//!
//! ```toml
//! [dependencies]
//! rowcast-client = { git = "https://github.com/rowcast/rowcast" }
//! futures = "0.3"
//! tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
//! ```
//!
//! It needs Rust 1.95 or later, and runs on Tokio. Where NATS's certificate is of a private authority, or NATS asks clients for
//! one, see [`GroupCredentials::with_root_certificates`] and [`GroupCredentials::with_client_certificate`].
//!
//! # Rows as types
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use rowcast_client::{GroupCredentials, Secret, Subscription, TypedRows as _};
//!
//! #[derive(serde::Deserialize)]
//! struct Order {
//!     id: i64,
//!     total: Option<String>,
//! }
//!
//! # async fn follow() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! // The answer of `GET /tasks/{id}/groups/{gid}/connection`.
//! let connection = serde_json::from_slice(&std::fs::read("connection.json")?)?;
//! let password = Secret::new(std::fs::read_to_string("password.txt")?.trim_end());
//! let mut changes = Subscription::connect(GroupCredentials::new(connection, password)).await?;
//! while let Some(delivery) = changes.next().await {
//!     let delivery = delivery?;
//!     if delivery.change.table.as_deref() == Some("orders")
//!         && let Some(order) = delivery.change.after_as::<Order>()?
//!     {
//!         println!("{} costs {:?}", order.id, order.total);
//!     }
//!     delivery.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Transactions
//!
//! Of a task that was made with `"transactions": true`, by an ordered group:
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use rowcast_client::{Changes as _, GroupCredentials, Subscription};
//!
//! # async fn follow(credentials: GroupCredentials) -> Result<(), rowcast_client::Error> {
//! let mut transactions = Subscription::connect(credentials).await?.transactions();
//! while let Some(transaction) = transactions.next().await {
//!     let transaction = transaction?;
//!     for delivery in transaction.changes() {
//!         println!("{:?} {:?}", delivery.change.op, delivery.change.key);
//!     }
//!     // A large transaction comes in parts, of which the last one ends it.
//!     if transaction.ends {
//!         println!("committed at {}", transaction.committed_at);
//!     }
//!     transaction.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Effects that are exactly once
//!
//! What a change does and its position are stored together; what was stored and not acknowledged before a crash is left out.
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use rowcast_client::{Changes as _, GroupCredentials, Position, Subscription};
//! use tokio_postgres::Client;
//!
//! # async fn follow(
//! #     credentials: GroupCredentials,
//! #     store: &mut Client,
//! # ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let stored = store.query_one("SELECT position FROM applied", &[]).await?;
//! let stored: Option<String> = stored.try_get(0)?;
//! let mut applied: Option<Position> = stored.map(|text| text.parse()).transpose()?;
//! let mut changes = Subscription::connect(credentials).await?.behind(applied);
//! while let Some(delivery) = changes.next().await {
//!     let delivery = delivery?;
//!     let (from, to) = (applied.map(|at| at.to_string()), delivery.position.to_string());
//!     let transaction = store.transaction().await?;
//!     // First: of two members the second waits here, and finds that the other one has gone on.
//!     let update = "UPDATE applied SET position = $1 WHERE position IS NOT DISTINCT FROM $2";
//!     if transaction.execute(update, &[&to, &from]).await? == 0 {
//!         return Ok(());
//!     }
//!     // … what the change does, in the same transaction …
//!     transaction.commit().await?;
//!     applied = Some(delivery.position);
//!     delivery.ack().await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Again, later, or not at all
//!
//! In a shared group:
//!
//! ```no_run
//! use std::io::{Error, ErrorKind};
//! use std::time::Duration;
//!
//! use futures::StreamExt as _;
//! use rowcast_client::{Change, GroupCredentials, Subscription};
//!
//! /// Tells a warehouse of a change.
//! async fn tell(change: &Change) -> Result<(), Error> {
//! #   let _ = change;
//!     // …
//!     Ok(())
//! }
//!
//! # async fn follow(credentials: GroupCredentials) -> Result<(), rowcast_client::Error> {
//! let mut changes = Subscription::connect(credentials).await?;
//! while let Some(delivery) = changes.next().await {
//!     let delivery = delivery?;
//!     match tell(&delivery.change).await {
//!         Ok(()) => delivery.ack().await?,
//!         // To try again would not help: it is a dead letter now.
//!         Err(error) if error.kind() == ErrorKind::InvalidData => delivery.give_up(&error).await?,
//!         // It comes again in a minute, and is a dead letter after as many attempts as the group allows.
//!         Err(error) => {
//!             let delay = Duration::from_secs(60);
//!             delivery.nack_because(&error, Some(delay)).await?;
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Who takes longer for a change than the group's ack wait of 30 s says so in between, by [`Delivery::in_progress`].

mod credentials;
mod error;
mod typed;
mod row;
mod fence;
mod gate;
mod pieces;
mod patience;
mod generation;
mod session;
mod delivery;
mod hold;
mod consumer;
mod share;
mod shared;
mod membership;
mod login;
mod subscription;
mod transactions;
mod changes;

pub use changes::Changes;
pub use credentials::{ClientCertificate, GroupCredentials};
pub use delivery::Delivery;
pub use error::{Error, MalformedChange};
pub use row::TypedRows;
pub use rowcast_domain::{Lsn, Position, Secret};
pub use rowcast_proto::change::{
    BeforeImage, Change, Ddl, DocumentForm, Documents, Gap, LogicalMessage, Operation, Row,
    TableSchema,
};
pub use rowcast_proto::rest::{GroupConnection, GroupDelivery, GroupMode, PartitionConsumer};
pub use subscription::Subscription;
pub use transactions::{Transaction, Transactions};
