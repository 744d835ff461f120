//! `rowcast source`.

use std::path::PathBuf;

use rowcast_proto::rest::{SslMode, default_port};

use super::Shown;
use crate::secret::PasswordArgs;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Register a database
    Create(Box<Create>),
    /// Show all sources
    List(Shown),
    /// Show one source
    Show {
        /// Its name or id
        source: String,
        #[command(flatten)]
        shown: Shown,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What to call it, 1 to 64 characters
    pub(crate) name: String,
    /// DNS name, address, or the folder of a unix socket
    #[arg(long)]
    pub(crate) host: String,
    /// TCP port
    #[arg(long, default_value_t = default_port())]
    pub(crate) port: u16,
    /// The database that tasks track unless they name another
    #[arg(long)]
    pub(crate) database: String,
    /// The role to log in with; needs LOGIN and REPLICATION
    #[arg(long, value_name = "ROLE")]
    pub(crate) account: String,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    /// What TLS must prove: disable, prefer, require, verify-ca or verify-full
    #[arg(long, value_name = "MODE", value_parser = sslmode, default_value = "verify-full")]
    pub(crate) sslmode: SslMode,
    /// File of certificate authorities in PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(crate) sslrootcert: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

fn sslmode(word: &str) -> Result<SslMode, String> {
    SslMode::from_name(word)
        .ok_or_else(|| "one of disable, prefer, require, verify-ca, verify-full".to_owned())
}
