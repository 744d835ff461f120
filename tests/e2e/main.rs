//! User stories, over the wire only.

#![expect(
    clippy::unwrap_used,
    reason = "a step of a test that fails fails the test"
)]

mod first_change;
mod refused;
mod trace;
mod operations;
mod objects;
mod schema_changes;
mod accepted_stop;
mod sources;
mod client_certificate;
mod precheck;
mod wrong;
mod recheck;
mod rules;
mod service_log;
mod reset;
mod subscription;
mod measured;
mod command_line;
mod described;
mod versions;
mod websocket;
mod dead_letters;
mod materialize;
mod samples;
mod logins;
mod cache;
mod modes;
mod sdk;
mod slow_groups;
mod outage;
mod derived;
