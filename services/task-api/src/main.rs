//! The task-api process.

use std::process::ExitCode;

fn main() -> ExitCode {
    rowcast_service::run(
        "task-api",
        env!("CARGO_PKG_VERSION"),
        task_api::Config::read,
        task_api::start,
    )
}
