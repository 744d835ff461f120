//! Consume Rowcast changes from Rust.
//!
//! ```text
//! credentials ─▶ subscription ─▶ gate (order) ─▶ fence (repeats) ─▶ pieces (whole changes) ─▶ Delivery { change, .. } ─▶ ack
//! ```
//!
//! A [`Subscription`] is a stream of [`Delivery`]. Changes come in commit order. [`Delivery::ack`]
//! acknowledges a change and every one before it; what was never acknowledged comes again, also after
//! a crash of this process. See `examples/tail.rs`.
//!
//! A change that is larger than a message of the broker comes in pieces. The subscription joins them:
//! the caller sees the whole, and its acknowledgement covers all pieces. For such a change the process
//! needs memory for its JSON and for the [`Change`] read from it, one at a time.
//!
//! Where the group's position is moved with force, its members are cut off. A subscription comes back by itself and goes on at
//! the new position, whatever it had before; [`Delivery::ack`] of a change from before then is refused as
//! [`Error::PositionMoved`].
//!
//! A group has one active member. While two are connected neither gets anything: each waits, for the
//! sake of order, for what the other was sent. The one that stays goes on when the other has gone and
//! what it had been sent comes back, within the 30 s that a change may stay unacknowledged.

mod credentials;
mod error;
mod generation;
mod login;
mod row;
mod fence;
mod gate;
mod pieces;
mod patience;
mod delivery;
mod subscription;

pub use credentials::GroupCredentials;
pub use delivery::Delivery;
pub use error::{Error, MalformedChange};
pub use row::TypedRows;
pub use rowcast_domain::{Lsn, Position, Secret};
pub use rowcast_proto::change::{
    BeforeImage, Change, Ddl, DocumentForm, Documents, Gap, LogicalMessage, Operation, Row,
    TableSchema,
};
pub use rowcast_proto::rest::GroupConnection;
pub use subscription::Subscription;
