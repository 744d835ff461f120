//! The rowcast command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rowcast_cli::run()
}
