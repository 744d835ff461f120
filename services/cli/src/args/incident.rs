//! `rowcast incident`.

use super::Shown;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Show incidents, newest first
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this task
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Only those that have not ended
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
