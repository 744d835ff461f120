//! The service's process with a real PostgreSQL and a real NATS.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod service;
mod incidents;
mod delay;
mod groups;
mod contacts;
mod mail;
mod rules;
