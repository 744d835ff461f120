//! `rowcast group`.

pub(crate) mod dead_letter;

use chrono::{DateTime, Utc};
use rowcast_domain::Lsn;
use rowcast_proto::rest::{GroupDelivery, GroupFormat, GroupMode, OnExhausted};

use super::etl::EtlArgs;
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
    /// Show one group: how far it has read, what waits, who is connected
    Show(Named),
    /// Show what a client of the group must know, all but the password
    Connection(Named),
    /// Give a group another name, number of attempts, way to go on, ETL policy or password; another password closes its connections
    Update(Update),
    /// Move what a group is sent next, within what the task's stream holds
    Seek(Seek),
    /// Show how far behind a group was over time
    History(History),
    /// Put away, as a dead letter, the change that an ordered group is to acknowledge next
    Skip(Skip),
    /// Changes that a group could not deal with
    #[command(subcommand)]
    DeadLetter(dead_letter::Command),
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
    /// How its members share the changes: `ordered` has one active member, `keyed` shares the partitions among
    /// them, `shared` gives any change to any member
    #[arg(long, default_value = "ordered")]
    pub(crate) mode: Mode,
    /// After so many attempts a change is a dead letter, 1 to 1000; 0 for never [default: 10]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_deliver: Option<u32>,
    /// What becomes of a change then: the group, or its partition, stands still (`block`), or goes on behind it (`dead_letter`)
    /// [default: block; of a shared group, which knows nothing else, dead letter]
    #[arg(long, value_name = "block|dead_letter", value_parser = on_exhausted)]
    pub(crate) on_exhausted: Option<OnExhausted>,
    /// How changes come to its clients: they `pull` them, or the broker does `push` them to a subject that they
    /// subscribe to
    #[arg(long, default_value = "pull")]
    pub(crate) delivery: Delivery,
    #[command(flatten)]
    pub(crate) etl: EtlArgs,
    /// How it is told changes [default: as the task tells them]
    #[arg(long, value_name = "json|debezium|cloudevents|protobuf|avro", value_parser = format)]
    pub(crate) format: Option<GroupFormat>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

fn format(text: &str) -> Result<GroupFormat, String> {
    GroupFormat::from_name(text)
        .ok_or_else(|| "json, debezium, cloudevents, protobuf or avro".to_owned())
}

fn on_exhausted(text: &str) -> Result<OnExhausted, String> {
    OnExhausted::from_name(text).ok_or_else(|| "block or dead_letter".to_owned())
}

/// How the members of a group share its changes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Mode {
    /// In commit order, by one active member
    Ordered,
    /// Each key in commit order, by one member a partition
    Keyed,
    /// In no order, by any member
    Shared,
}

impl From<Mode> for GroupMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Ordered => Self::Ordered,
            Mode::Keyed => Self::Keyed,
            Mode::Shared => Self::Shared,
        }
    }
}

/// How changes come to the clients of a group.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Delivery {
    /// They ask for them
    Pull,
    /// They subscribe
    Push,
}

impl From<Delivery> for GroupDelivery {
    fn from(delivery: Delivery) -> Self {
        match delivery {
            Delivery::Pull => Self::Pull,
            Delivery::Push => Self::Push,
        }
    }
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
    /// After so many attempts a change is a dead letter, 1 to 1000; 0 for never
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_deliver: Option<u32>,
    /// What becomes of a change then: the group, or its partition, stands still (`block`), or goes on behind it (`dead_letter`)
    #[arg(long, value_name = "block|dead_letter", value_parser = on_exhausted)]
    pub(crate) on_exhausted: Option<OnExhausted>,
    #[command(flatten)]
    pub(crate) etl: EtlArgs,
    /// No ETL policy of its own any more: rows are told as the task tells them
    #[arg(long, conflicts_with_all = ["script", "on_error"])]
    pub(crate) no_etl: bool,
    /// Another password
    #[arg(long)]
    pub(crate) password: bool,
    #[command(flatten)]
    pub(crate) password_from: PasswordArgs,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Seek {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
    #[command(flatten)]
    pub(crate) place: Place,
    /// Cut off members that are connected; without it they forbid the move
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

/// What a group is sent next.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Place {
    /// The first change committed at this time or later, as 2026-11-28T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) to_time: Option<DateTime<Utc>>,
    /// The first change whose commit LSN is this one or greater, as 16/B374D848
    #[arg(long, value_name = "LSN")]
    pub(crate) to_lsn: Option<Lsn>,
    /// The first change of the transaction with this id, as its changes have it in `xid`, or as `pg_current_xact_id()` tells it
    #[arg(long, value_name = "XID")]
    pub(crate) to_transaction: Option<u64>,
    /// The message with this sequence in the stream
    #[arg(long, value_name = "NUMBER")]
    pub(crate) to_sequence: Option<u64>,
    /// The first that the stream still holds
    #[arg(long)]
    pub(crate) earliest: bool,
    /// The next one to come
    #[arg(long)]
    pub(crate) latest: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Skip {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
    /// Sequence of the change in the task's stream, as `group show` tells what is stuck: another one is not put away
    pub(crate) sequence: u64,
    /// Why; kept with the dead letter
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) agreement: Agreement,
    #[command(flatten)]
    pub(crate) shown: Shown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Name or id of the task
    pub(crate) task: String,
    /// Name or id of the group
    pub(crate) group: String,
    /// Not before this time, as 2026-11-28T12:00:00Z [default: a day before --until]
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<DateTime<Utc>>,
    /// Before this time [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Most lines, 1 to 1000; of each piece of the time the worst is told
    #[arg(long, value_name = "NUMBER", default_value_t = 48)]
    pub(crate) points: u32,
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
