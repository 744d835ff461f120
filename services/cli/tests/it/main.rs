//! The command itself.

#![expect(clippy::unwrap_used, reason = "a test")]

mod nothing_runs;
mod contexts;
mod completion;
