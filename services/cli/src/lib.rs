//! The `rowcast` command: the platform on one machine, and every platform's tasks over its REST API.
//!
//! ```text
//! source, task, group, usage, incident, contact, token, audit: connect (which platform, which token) ─▶ api ─▶ table or JSON
//! apply ─▶ document (YAML) ─▶ plan ─▶ api; export: the other way
//! up ─▶ lock ─▶ platform ─▶ demo (database, REST API, groups) ─▶ platform.json ─▶ writer + live view, until a signal
//! status, down, reset: read the lock and platform.json
//! ```

mod args;
mod failure;
mod output;
mod bar;
mod table;
mod confirm;
mod secret;
mod api;
mod context_file;
mod connect;
mod find;
mod checks;
mod tags;
mod change_line;
mod context;
mod source;
mod task;
mod group;
mod usage;
mod prices;
mod incident;
mod contact;
mod rule;
mod token;
mod audit;
mod apply;
mod export;
mod completion;
mod lock;
mod platform_file;
mod quantity;
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
    let (state, place) = (args.state, args.place);
    match args.command {
        Command::Up(up) => up::run(&state, args.bin, !up.no_demo).await?,
        Command::Down => down::run(&state).await?,
        Command::Status(wanted) => {
            if !status::run(&state, wanted.output).await? {
                return Ok(ExitCode::from(NOT_RUNNING));
            }
        }
        Command::Reset(reset) => reset::run(&state, reset.yes).await?,
        Command::Context(command) => context::run(command, &place, &state)?,
        Command::Source(command) => source::run(&place.connect(&state)?, command).await?,
        Command::Task(command) => Box::pin(task::run(&place.connect(&state)?, command)).await?,
        Command::Group(command) => group::run(&place.connect(&state)?, command).await?,
        Command::Prices(shown) => prices::run(&place.connect(&state)?, shown.output).await?,
        Command::Usage(wanted) => {
            let api = place.connect(&state)?;
            usage::run(&api, wanted.task.as_deref(), &wanted.shown).await?;
        }
        Command::Incident(command) => incident::run(&place.connect(&state)?, command).await?,
        Command::Contact(command) => contact::run(&place.connect(&state)?, command).await?,
        Command::Rule(command) => rule::run(&place.connect(&state)?, command).await?,
        Command::Token(command) => token::run(&place.connect(&state)?, command).await?,
        Command::Audit(wanted) => audit::run(&place.connect(&state)?, wanted).await?,
        Command::Apply(wanted) => Box::pin(apply::run(&place.connect(&state)?, wanted)).await?,
        Command::Export(wanted) => export::run(&place.connect(&state)?, &wanted).await?,
        Command::Completion { shell } => completion::run(shell)?,
    }
    Ok(ExitCode::SUCCESS)
}
