//! The API as a process, with a real PostgreSQL and a real NATS. No other service runs.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod fixture;
mod access;
mod bodies;
mod idempotency;
mod sources;
mod lifecycle;
mod peers;
