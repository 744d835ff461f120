//! The capture binary against a real PostgreSQL and a real NATS.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod world;
mod changes;
mod values;
mod resume;
mod large;
mod stops;
mod starting;
mod retention;
mod broker;
mod objects;
mod packed;
mod change_types;
mod etl;
mod events;
mod old_server;
mod told;
mod transactions;
mod statements;
mod schema_drift;
mod types_drift;
mod identity;
mod partitions;
mod truncates;
mod generated;
mod every_type;
mod corpus;
mod load;
mod fenced;
mod source_crashes;
mod silent_source;
mod lost_wal;
mod restored;
mod promoted;
