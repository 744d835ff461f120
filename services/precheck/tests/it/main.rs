//! The service's process against a real PostgreSQL, asked over a real NATS.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod service;
mod wrong;
mod reachable;
mod pooler;
mod provider;
mod jetstream;
mod silent;
mod lanes;
mod values;
mod leftovers;
mod rights;
mod tables;
mod patterns;
mod old_server;
mod schema_changes;
mod etl;
mod kept;
mod started;
mod steps;
mod open_transactions;
mod browse;
