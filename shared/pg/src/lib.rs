//! Talking to a customer's PostgreSQL: connections, the replication protocol, catalog, slots,
//! publications.
//!
//! ```text
//!                     ┌─▶ connect ──────▶ Session: SQL ─▶ settings, slot, publication,
//!                     │                                  ddl_trigger, catalog
//! ConnectOptions ─────┤
//!                     └─▶ replication ──▶ FrameReader, StatusWriter
//! ```
//!
//! Both ways share one transport: the same dialling, TLS and refusal to give a password away.

mod connect;
pub mod hosts;
mod networks;
pub mod transport;
mod pace;
mod second_way;
mod tls;
mod channel_binding;
mod password_guard;
pub mod replication;
pub mod settings;
pub mod slot;
pub mod publication;
pub mod publishable;
pub mod ddl_trigger;
pub mod catalog;
mod error;

pub use connect::{
    ClientCertificate, ConnectOptions, ParseSslModeError, Session, SslMode, connect, log_in,
};
pub use error::{Error, ErrorClass, ServerError};
pub use networks::{Networks, ParseNetworksError};
pub use replication::ReplicationConnection;
/// The SQL client of a [`Session`], for crates that run statements of their own.
pub use tokio_postgres::{Client, Row, types::ToSql};
