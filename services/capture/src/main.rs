//! The capture service.

use std::process::ExitCode;

fn main() -> ExitCode {
    rowcast_service::run(
        "capture",
        env!("CARGO_PKG_VERSION"),
        capture::Config::read,
        capture::start,
    )
}
