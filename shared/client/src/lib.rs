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
//! time, as long as dealing with a change is over when the lease is. While the service is away members keep what they have, but
//! not behind a NATS server that is cut off from most others of its cluster.
//!
//! [`Changes::behind`] leaves out what the caller has stored the effects of, so that they are exactly once, and ends where
//! the stored position is to be read again; [`Changes::behind_in`] does so for each partition of a keyed group, and asks for its
//! position itself; [`Changes::transactions`] hands out transactions instead of changes. See `examples/materialize.rs`.
//!
//! A member reconnects by itself. Where its logins are refused, because the service that checks them is away or because the
//! password was changed, it goes on asking for as long as [`GroupCredentials::with_login_patience`] says. For as long it waits
//! where its consumer is missing, because the task was reset, and reads on once that is started again.
//!
//! A change of a shared group that was given back as often as the group allows ([`Delivery::nack_because`]), or given up
//! ([`Delivery::give_up`]), is a dead letter. One that is redriven comes to the group's members like any other change, with
//! [`Delivery::is_redriven`]; of another group [`Subscription::redriven`] reads it.
//!
//! A change that is larger than a message of the broker comes in pieces. The subscription joins them:
//! the caller sees the whole, and its acknowledgement covers all pieces. For such a change the process
//! needs memory for its JSON and for the [`Change`] read from it, one at a time and partition. Pieces of a shared group go to
//! several members: there it is an error, [`Error::InPieces`].

#![doc = include_str!("guide.md")]

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
mod absence;
mod delivery;
mod hold;
mod consumer;
mod share;
mod unfinished;
mod shared;
mod asking;
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
pub use rowcast_proto::rest::{
    GroupConnection, GroupDelivery, GroupFormat, GroupMode, PartitionConsumer,
};
pub use subscription::Subscription;
pub use transactions::{Transaction, Transactions};
