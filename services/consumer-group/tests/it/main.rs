//! Consumer-group as a process, with a real PostgreSQL and a real NATS that asks it about logins.

#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

mod broker;
mod fixture;
mod groups;
mod login;
mod login_limits;
mod servers;
mod tls;
mod permission;
mod attempts;
mod aimed;
mod push;
mod deletion;
mod update;
mod status;
mod moving;
mod gap;
mod modes;
mod membership;
mod derived;
mod blocked;
mod dead_letters;
mod letters_told;
mod pressure;
