//! The API as a process, with a real PostgreSQL and a real NATS. No other service runs;
//! `stand_in` answers for those that a test needs.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod fixture;
mod stand_in;
mod access;
mod dts;
mod tokens;
mod logins;
mod letters_put_away;
mod bodies;
mod idempotency;
mod sources;
mod carried;
mod contacts;
mod rules;
mod changes;
mod prechecks;
mod open_alerts;
mod following;
mod rechecks;
mod reference;
mod listing;
mod sorting;
mod lifecycle;
mod states;
mod objects;
mod dead_letters;
mod groups;
mod stops;
mod instances;
mod peers;
