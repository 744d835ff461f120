//! `rowcast token`, `rowcast audit`.

use chrono::{DateTime, Utc};
use clap::ValueEnum;

use super::{Agreement, Shown};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token; its secret is shown this once
    Create(Create),
    /// Show all tokens
    List(Shown),
    /// End a token at once
    Revoke {
        /// Its name or id
        token: String,
        #[command(flatten)]
        agreement: Agreement,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Who will bear it, 1 to 64 characters; histories name them so
    pub(crate) name: String,
    /// What it may do
    #[arg(long, value_enum)]
    pub(crate) role: RoleName,
    /// Only tasks and sources of this resource group; said several times, of all of them
    #[arg(long = "resource-group", value_name = "NAME")]
    pub(crate) resource_groups: Vec<String>,
    /// Days until it ends [default: never]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=36500))]
    pub(crate) days: Option<u32>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// Looks
    Viewer,
    /// Makes and changes sources, tasks and groups
    Operator,
    /// Makes and revokes tokens too, and reads the audit log
    Admin,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// Only of this actor, as user:admin, login:reader-g… or service:consumer-group
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only about this source, task, group or token: its id
    #[arg(long, value_name = "ID")]
    pub(crate) about: Option<String>,
    /// Not before this time, as 2026-11-28T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Most entries, 1 to 200
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
