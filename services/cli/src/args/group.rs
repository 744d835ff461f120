//! `rowcast group`.

use super::{Agreement, Shown};
use crate::secret::PasswordArgs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a reader of a task's changes
    Create(Create),
    /// Show the groups of a task
    List {
        /// Name or id of the task
        task: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show one group: how far it has read, what waits
    Show(Named),
    /// Show what a client of the group must know, all but the password
    Connection(Named),
    /// Give a group another name or password; another password closes its connections
    Update(Update),
    /// Remove a group: its login, its position, its connections
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// Name or id of the task
    pub(crate) task: String,
    /// What to call the group, 1 to 64 characters
    pub(crate) name: String,
    /// 1 to 16 characters of a-z, 0-9 and `_`, a letter first; a part of the login
    #[arg(long)]
    pub(crate) account: String,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Another password
    #[arg(long)]
    pub(crate) password: bool,
    #[command(flatten)]
    pub(crate) password_from: PasswordArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
}
