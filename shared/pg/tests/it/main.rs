//! Against a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod server;
mod source;
mod login;
mod stream;
mod tls;
mod networks;
mod hosts;
mod catalog;
mod objects;
mod ddl;
mod install;
mod membership;
mod versions;
