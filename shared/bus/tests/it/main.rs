//! The bus against a real NATS server.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod batches;
mod ingest;
