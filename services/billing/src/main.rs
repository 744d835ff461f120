//! The billing process.

use std::process::ExitCode;

use billing::Config;

fn main() -> ExitCode {
    rowcast_service::run(
        "billing",
        env!("CARGO_PKG_VERSION"),
        Config::read,
        billing::run,
    )
}
