//! Consume Rowcast changes from Rust.
//!
//! ```text
//! credentials ─▶ subscription ─▶ gate (order) ─▶ fence (repeats) ─▶ Delivery { change, .. } ─▶ ack
//! ```
//!
//! A [`Subscription`] is a stream of [`Delivery`]. Changes come in commit order. [`Delivery::ack`]
//! acknowledges a change and every one before it; what was never acknowledged comes again, also after
//! a crash of this process. See `examples/tail.rs`.
//!
//! A group has one active member. A second one at the same time takes no harm and makes no sense:
//! both wait for what the other was sent.

mod credentials;
mod error;
mod row;
mod fence;
mod gate;
mod delivery;
mod subscription;

pub use credentials::GroupCredentials;
pub use delivery::Delivery;
pub use error::{Error, MalformedChange};
pub use row::TypedRows;
pub use rowcast_domain::{Lsn, Position, Secret};
pub use rowcast_proto::change::{BeforeImage, Change, Operation, Row, TableSchema};
pub use rowcast_proto::rest::GroupConnection;
pub use subscription::Subscription;
