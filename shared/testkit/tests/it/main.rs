//! The engines of the test kit, and what `nats.conf` promises.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod callout;
mod login;
mod data;
mod members;
mod postgres;
mod proxy;
