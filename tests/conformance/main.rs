//! What the stream says is what the source holds: replayed into an empty schema, on every version.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod regression;
mod script;
mod told;
mod versions;
mod workload;
mod readme;
mod subject;
mod replay;
mod compare;
