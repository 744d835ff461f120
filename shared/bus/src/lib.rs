//! NATS and `JetStream` over the contracts of `rowcast-proto`.
//!
//! Questions ([`request`], [`serve`]), facts ([`publish`], [`consume`]), wishes and reports (buckets from
//! [`provision`]), leases ([`lease`]), what is done at common moments ([`beat`]) and the atomic batches of the data path ([`batch`]). Every
//! message carries the trace that it belongs to. With the feature `monitor`, what the servers say of
//! themselves.

pub mod connect;
pub mod replicas;
pub mod provision;
pub mod request;
pub mod serve;
pub mod refuse;
pub mod publish;
pub mod park;
pub mod task_log;
pub mod consume;
pub mod beat;
pub mod lease;
pub mod batch;
#[cfg(feature = "monitor")]
pub mod monitor;
pub mod trace_context;

pub use async_nats;
pub use connect::{Bus, BusConfig, ConnectError};
pub use consume::{Outcome, consume};
pub use publish::event_meta;
pub use replicas::Replicas;
pub use serve::Server;

/// Any error, as handlers return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
