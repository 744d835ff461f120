//! What containers use, against what this crate expects.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod secrets;
