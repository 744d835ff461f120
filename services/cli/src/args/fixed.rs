//! Options of `rowcast task update` for what the first start fixes.

use rowcast_proto::rest::{Packing, PatchTask};

use super::task::FormatArg;

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Before the first start")]
pub(crate) struct FixedArgs {
    /// Read from this source: its name or id
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Track this database of the source
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Number of key partitions
    #[arg(long, value_name = "NUMBER")]
    partitions: Option<u32>,
    /// Publish begin and commit markers, or not
    #[arg(long, value_name = "true|false")]
    transactions: Option<bool>,
    /// Pack rows of a transaction into one message, or not
    #[arg(long, value_name = "true|false")]
    pack: Option<bool>,
    /// How a message is written
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// By which network its clients reach NATS; empty for the platform's own
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
}

impl FixedArgs {
    /// What is to be otherwise; the source is found by the API.
    pub(crate) fn patch(&self) -> PatchTask {
        let packing = |packs| match packs {
            true => Packing::Transaction,
            false => Packing::Row,
        };
        PatchTask {
            database: self.database.clone(),
            partitions: self.partitions,
            transactions: self.transactions,
            packing: self.pack.map(packing),
            format: self.format.map(Into::into),
            network: self.network.clone(),
            ..PatchTask::default()
        }
    }
}
