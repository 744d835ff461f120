//! `rowcast task precheck`, `recheck` and `ignore-alerts`.

use super::{Shown, Waiting};

#[derive(Debug, clap::Args)]
pub(crate) struct Precheck {
    /// Name or id of the task
    pub(crate) task: String,
    /// Show the last report instead of making one
    #[arg(long, conflicts_with = "wait")]
    pub(crate) last: bool,
    /// Run only what failed, was skipped or alerts and is not ignored in the last one
    #[arg(long, conflicts_with = "last")]
    pub(crate) only_failed: bool,
    /// Run only these checks, as `wal_keep`; what the last one found of the others is kept
    #[arg(long, value_name = "CODE,…", value_delimiter = ',', conflicts_with_all = ["last", "only_failed"])]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Recheck {
    /// Name or id of the task
    pub(crate) task: String,
    /// Show what was found the last time
    #[arg(long)]
    pub(crate) last: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ignore {
    /// Name or id of the task
    pub(crate) task: String,
    /// Codes of the alerts, as `wal_keep`; they stand in parentheses in the report
    #[arg(required_unless_present = "all", value_name = "CODE")]
    pub(crate) codes: Vec<String>,
    /// All alerts of the last precheck that may be ignored and are not
    #[arg(long, conflicts_with = "codes")]
    pub(crate) all: bool,
    /// The person who answers for it
    #[arg(long, value_name = "NAME")]
    pub(crate) by: String,
    /// Why it does not matter here, in a sentence
    #[arg(long)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
