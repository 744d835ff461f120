//! Policies as their users see them: scripts, tables, rows.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod shop;
mod functions;
mod policies;
mod logic;
mod mistakes;
mod failures;
mod retyping;
mod tables;
mod limits;
mod random;
mod documentation;
