//! `rowcast group dead-letter`.

use super::super::{Agreement, Shown};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List them, those first that were put away first
    List(List),
    /// Show one with its change
    Show(Show),
    /// Send the group one of them, or all, once more
    Redrive(Redrive),
    /// Remove one of them, or all, for good
    Discard(Discard),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) of: Of,
    /// Only those with a greater number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) after: Option<u64>,
    /// Most letters, 1 to 500
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    pub(crate) of: Of,
    /// The letter's number
    pub(crate) letter: u64,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// One letter or all.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// The letter's number
    pub(crate) letter: Option<u64>,
    /// All of the group
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(crate) of: Of,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Discard {
    #[command(flatten)]
    pub(crate) of: Of,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
}
