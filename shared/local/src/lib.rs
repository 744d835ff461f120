//! PostgreSQL, NATS and the Rowcast services as child processes on one machine.
//!
//! ```text
//! find ─▶ state (folders, credentials, ports) ─▶ postgres, nats ─▶ platform: the six services
//! ```
//!
//! Every process is a [`child::Child`]: its output goes to a log file, an early death is an error that
//! shows the log's end, and it does not outlive its owner.

pub mod error;
pub mod find;
pub mod port;
pub mod credentials;
pub mod state;
pub mod child;
pub mod orphan;
mod account;
mod probe;
pub mod postgres;
pub mod nats;
pub mod platform;

pub use child::{Child, Launch, Signal};
pub use credentials::Credentials;
pub use error::Error;
pub use nats::{Nats, NatsOptions, NatsPeer};
pub use platform::{Platform, PlatformOptions, Progress, Running, Service};
pub use postgres::{Postgres, PostgresOptions};
pub use state::{Ports, State};
