//! The consumer-group process.

use std::process::ExitCode;

use consumer_group::Config;

fn main() -> ExitCode {
    rowcast_service::run(
        "consumer-group",
        env!("CARGO_PKG_VERSION"),
        Config::read,
        consumer_group::run,
    )
}
