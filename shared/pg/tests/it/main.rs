//! Against a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod server;
mod login;
mod stream;
mod tls;
mod catalog;
mod objects;
