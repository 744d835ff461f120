//! A real PostgreSQL and a real NATS per test, and helpers to wait for facts.
//!
//! Each server has a folder of its own, which goes with it when it is dropped.

mod postgres;
mod repair;
mod standby;
mod nats;
mod nats_cluster;
mod platform;
mod proxy;
mod blackhole;
mod eventually;
mod log;
mod openssl;
mod stream;

pub use blackhole::Blackhole;
pub use eventually::eventually;
pub use log::init_tracing;
pub use nats::Nats;
pub use nats_cluster::NatsCluster;
pub use openssl::openssl;
pub use platform::{Options as PlatformOptions, Platform};
pub use postgres::{Postgres, connect};
pub use proxy::{Proxy, Sender};
pub use repair::Repair;
pub use rowcast_local::Service;
pub use stream::{Stored, read_stream, read_stream_named, rows_in_order, stream_length};
