//! `rowcast context`.

use super::Shown;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Keep a platform's address (--api-url) and token (--token-file, `ROWCAST_TOKEN` or a prompt)
    Add {
        /// What to call it
        name: String,
        /// Put it in the place of one that has this name
        #[arg(long)]
        replace: bool,
    },
    /// Choose the platform that commands speak to
    Use {
        /// One of `list`, or `local` for what `rowcast up` runs on the state folder
        name: String,
    },
    /// Show what was added, without tokens
    List(Shown),
    /// Forget a platform and its token
    Remove {
        /// One of `list`
        name: String,
    },
}
