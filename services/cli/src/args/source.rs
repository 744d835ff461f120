//! `rowcast source`.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use rowcast_proto::rest::{SourceKind, SslMode, default_port};

use super::{Agreement, SharingArgs, Shown};
use crate::secret::PasswordArgs;
use crate::tags::tag;

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
    /// Go to a source step by step; each step tells what was seen, and what repairs it
    Test {
        /// Its name or id
        source: String,
        #[command(flatten)]
        shown: Shown,
    },
    /// Show the addresses that sources must let in, and what to heed
    Addresses(Shown),
    /// List what can be tracked: tables with rows, size and keys, or schemas, or databases
    Objects(Objects),
    /// Change how a source is reached, or its name; running tasks take it up
    Update(Box<Update>),
    /// Forget a source that no task needs any more, and its password
    Delete {
        /// Its name or id
        source: String,
        #[command(flatten)]
        agreement: Agreement,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// What to call it, 1 to 64 characters
    pub(crate) name: String,
    /// Who runs it; repairs then say what to do there
    #[arg(long, value_parser = kinds(), default_value = "postgresql")]
    pub(crate) kind: SourceKind,
    /// Where it runs
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// What its provider calls it
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<String>,
    /// DNS name, address, or the folder of a unix socket; several hosts of one cluster with commas between
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
    /// What TLS must prove: disable, allow, prefer, require, verify-ca or verify-full
    #[arg(long, value_name = "MODE", value_parser = sslmode, default_value = "verify-full")]
    pub(crate) sslmode: SslMode,
    /// File of certificate authorities in PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(crate) sslrootcert: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// Something to sort sources by; may be said 20 times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// The name of those who share it
    #[arg(long, value_name = "NAME")]
    pub(crate) resource_group: Option<String>,
    /// Only test the way to it; nothing is registered
    #[arg(long)]
    pub(crate) test: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// A client certificate to log in with.
#[derive(Debug, clap::Args)]
pub(crate) struct ClientArgs {
    /// File of the client certificate to log in with, in PEM
    #[arg(long, value_name = "FILE", requires = "sslkey")]
    pub(crate) sslcert: Option<PathBuf>,
    /// File of its private key, in PEM without a passphrase
    #[arg(long, value_name = "FILE", requires = "sslcert")]
    pub(crate) sslkey: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Objects {
    /// Name or id of the source
    pub(crate) source: String,
    /// What to list
    #[arg(long, value_enum, default_value_t = Level::Tables)]
    pub(crate) level: Level,
    /// Of this database [default: the source's]
    #[arg(long)]
    pub(crate) database: Option<String>,
    /// Only tables of this schema
    #[arg(long)]
    pub(crate) schema: Option<String>,
    /// Only what has this text in its name, in any case; of tables, in schema.table
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// Partitions too; they are tracked under their topmost table
    #[arg(long)]
    pub(crate) partitions: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What of a source is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Databases,
    Schemas,
    Tables,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    /// Name or id of the source
    pub(crate) source: String,
    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Who runs it
    #[arg(long, value_parser = kinds())]
    pub(crate) kind: Option<SourceKind>,
    /// Where it runs; empty for no word of it
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// What its provider calls it; empty for no word of it
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<String>,
    /// DNS name, address, or the folder of a unix socket; needs the password or the client certificate
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// TCP port; needs the password or the client certificate
    #[arg(long)]
    pub(crate) port: Option<u16>,
    /// The database that new tasks track unless they name another
    #[arg(long)]
    pub(crate) database: Option<String>,
    /// The role to log in with; needs the password or the client certificate
    #[arg(long, value_name = "ROLE")]
    pub(crate) account: Option<String>,
    /// Another password
    #[arg(long)]
    pub(crate) password: bool,
    #[command(flatten)]
    pub(crate) password_from: PasswordArgs,
    /// What TLS must prove: disable, allow, prefer, require, verify-ca or verify-full
    #[arg(long, value_name = "MODE", value_parser = sslmode)]
    pub(crate) sslmode: Option<SslMode>,
    /// File of certificate authorities in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) sslrootcert: Option<PathBuf>,
    /// The system's certificate authorities
    #[arg(long, conflicts_with = "sslrootcert")]
    pub(crate) no_sslrootcert: bool,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// No client certificate any more
    #[arg(long, conflicts_with = "sslcert")]
    pub(crate) no_sslcert: bool,
    /// Gives it a tag, or the tag another value
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// Takes a tag away
    #[arg(long = "untag", value_name = "KEY")]
    pub(crate) untagged: Vec<String>,
    #[command(flatten)]
    pub(crate) sharing: SharingArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

fn kinds() -> impl TypedValueParser<Value = SourceKind> {
    let names = SourceKind::ALL.map(SourceKind::as_str);
    PossibleValuesParser::new(names).try_map(|name| SourceKind::from_name(&name).ok_or("no kind"))
}

fn sslmode(word: &str) -> Result<SslMode, String> {
    SslMode::from_name(word)
        .ok_or_else(|| "one of disable, allow, prefer, require, verify-ca, verify-full".to_owned())
}
