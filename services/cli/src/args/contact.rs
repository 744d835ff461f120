//! `rowcast contact`.

use std::path::PathBuf;

use super::{Agreement, SharingArgs, Shown};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a contact, which tasks can name with --alert-contact
    Create(Create),
    /// Show all contacts
    List(Shown),
    /// Show a contact
    Show(Named),
    /// Change a contact
    Update(Update),
    /// Tell a contact something, to see whether it is heard
    Test(Named),
    /// Delete a contact that no task names
    Delete {
        /// Name or id of the contact
        contact: String,
        #[command(flatten)]
        agreement: Agreement,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Name or id of the contact
    pub(crate) contact: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What to call it, 1 to 64 characters
    pub(crate) name: String,
    /// The URL of the webhook that it is told by
    #[arg(
        long,
        value_name = "URL",
        required_unless_present = "email",
        requires = "secret_file"
    )]
    pub(crate) webhook: Option<String>,
    /// File with the secret that signs what the webhook is told, 16 to 256 characters
    #[arg(long, value_name = "FILE", requires = "webhook")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The address to which mail goes
    #[arg(long, value_name = "ADDRESS", conflicts_with = "webhook")]
    pub(crate) email: Option<String>,
    /// The name of those who share it
    #[arg(long, value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// Name or id of the contact
    pub(crate) contact: String,
    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The URL of the webhook that it is told by; with its secret
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// File with the secret that signs what it is told
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// The address to which mail goes
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    #[command(flatten)]
    pub(crate) sharing: SharingArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}
