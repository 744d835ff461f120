//! The command line. The doc comments are its help.

pub(crate) mod context;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod history;
mod fixed;
mod etl;
mod alerting;
pub(crate) mod group;
pub(crate) mod incident;
pub(crate) mod instance;
pub(crate) mod precheck;
pub(crate) mod contact;
pub(crate) mod rule;
pub(crate) mod token;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::connect::PlaceArgs;

/// What a script can go by.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 refused or failed; 2 wrong command line; 3 not reachable, or nothing runs;
4 not found; 5 token missing, wrong, or not for this; 6 not over within --timeout.";

/// Change tracking for PostgreSQL, delivered over NATS: a platform on this machine, and the sources,
/// tasks and groups of any.
#[derive(Debug, Parser)]
#[command(name = "rowcast", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Folder that keeps everything between two starts
    #[arg(
        long,
        global = true,
        env = "ROWCAST_STATE",
        default_value = ".rowcast",
        value_name = "FOLDER"
    )]
    pub(crate) state: PathBuf,
    /// Folder of the services' programs [default: the folder of this program]
    #[arg(long, global = true, value_name = "FOLDER")]
    pub(crate) bin: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything, with a demo, and show changes until Ctrl-C
    Up(Up),
    /// Stop what runs
    Down,
    /// Show what runs where; ends with 3 where nothing runs
    Status(Shown),
    /// Remove the state folder: databases, streams, secrets
    Reset(Agreement),
    /// Name platforms and choose the one that commands speak to
    #[command(subcommand)]
    Context(context::Command),
    /// Databases whose changes can be tracked
    #[command(subcommand)]
    Source(source::Command),
    /// What is tracked of a source, from creation to release
    #[command(subcommand)]
    Task(task::Command),
    /// Readers of a task's changes
    #[command(subcommand)]
    Group(group::Command),
    /// Show what an instance costs, by the hour and by the month
    Prices(Shown),
    /// Show billed hours: of one task, or the sums of all
    Usage(Usage),
    /// What needs a person
    #[command(subcommand)]
    Incident(incident::Command),
    /// Who is told of incidents
    #[command(subcommand)]
    Contact(contact::Command),
    /// When somebody is to know of tasks and their groups
    #[command(subcommand)]
    Rule(rule::Command),
    /// Who else may use the API; for admins
    #[command(subcommand)]
    Token(token::Command),
    /// Show who asked for what, newest first; for admins
    Audit(token::Audit),
    /// Make sources, tasks and groups as a YAML file says
    Apply(Apply),
    /// Write the YAML of what is there, without passwords
    Export(Export),
    /// Print a script that completes command lines, for a shell to read at its start
    Completion {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Start without the demo database, its task and its consumer groups
    #[arg(long)]
    pub(crate) no_demo: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Shown {
    /// For people, or for scripts: the body that the REST API gives
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON document
    Json,
    /// A table
    Table,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Agreement {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Who shares a thing from now on.
#[derive(Debug, clap::Args)]
pub(crate) struct SharingArgs {
    /// The name of those who share it
    #[arg(long, value_name = "NAME")]
    resource_group: Option<String>,
    /// Nobody shares it any more
    #[arg(long, conflicts_with = "resource_group")]
    no_resource_group: bool,
}

impl SharingArgs {
    /// As the API takes it: an empty name for nobody; `None` where nothing was said.
    pub(crate) fn patch(&self) -> Option<String> {
        if self.no_resource_group {
            return Some(String::new());
        }
        self.resource_group.clone()
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Waiting {
    /// Wait until it is done, and show each state on standard error
    #[arg(long)]
    pub(crate) wait: bool,
    /// Longest wait in seconds; then the command ends with 6
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub(crate) timeout: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// The YAML file, `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) plan: bool,
    /// Release tasks and delete sources that the file once named and names no longer; it must say `set: NAME`
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
    /// How long each task may take to run, in seconds
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    pub(crate) timeout: u64,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Only these tasks, with their sources [default: everything but released tasks]
    pub(crate) tasks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Usage {
    /// Name or id of the task [default: all tasks]
    pub(crate) task: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_stand_on_either_side() {
        for line in [
            ["rowcast", "--state", "a", "up"],
            ["rowcast", "up", "--state", "a"],
        ] {
            let args = Args::try_parse_from(line).unwrap();
            assert_eq!(args.state, PathBuf::from("a"));
        }
    }
}
