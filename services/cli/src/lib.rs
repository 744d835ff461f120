//! The `rowcast` command: PostgreSQL, NATS, the six services and a demo on one machine.
//!
//! ```text
//! up ─▶ lock ─▶ platform ─▶ demo (database, REST API, groups) ─▶ platform.json ─▶ writer + live view, until a signal
//! status, down, reset: read the lock and platform.json
//! ```

mod args;
mod output;
mod lock;
mod platform_file;
mod signals;
mod up;
mod down;
mod status;
mod reset;
mod demo;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};

/// `status` where nothing runs.
const NOT_RUNNING: u8 = 3;

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(Box::pin(execute(args))),
        Err(error) => Err(error.into()),
    };
    done.unwrap_or_else(|error| output::failed(&error))
}

async fn execute(args: Args) -> anyhow::Result<ExitCode> {
    let state = args.state;
    match args.command {
        Command::Up(up) => up::run(&state, args.bin, !up.no_demo).await?,
        Command::Down => down::run(&state).await?,
        Command::Status(wanted) => {
            if !status::run(&state, wanted.output).await? {
                return Ok(ExitCode::from(NOT_RUNNING));
            }
        }
        Command::Reset(reset) => reset::run(&state, reset.yes).await?,
    }
    Ok(ExitCode::SUCCESS)
}
