//! Kills, with a checker that knows every row.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod killed_capture;
mod groups;
