//! Answers whether a source is fit for a task.

use std::process::ExitCode;

fn main() -> ExitCode {
    rowcast_service::run(
        "precheck",
        env!("CARGO_PKG_VERSION"),
        precheck::Config::read,
        precheck::start,
    )
}
