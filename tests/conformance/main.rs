//! What the stream says is what the source holds: replayed into an empty schema, on every version.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod readme;
mod workload;
mod compare;
mod replay;
mod versions;
