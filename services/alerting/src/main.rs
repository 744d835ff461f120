//! Incidents when a task fails.

use std::process::ExitCode;

fn main() -> ExitCode {
    rowcast_service::run(
        "alerting",
        env!("CARGO_PKG_VERSION"),
        alerting::Config::read,
        alerting::start,
    )
}
