//! What the command line asks for.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures Rowcast beside what PostgreSQL and NATS can do in the same run.
#[derive(Debug, Parser)]
#[command(name = "./dev bench", version)]
pub(crate) struct Args {
    /// What to measure; everything where none is named.
    pub(crate) scenarios: Vec<Scenario>,
    /// Rows of each backlog.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) rows: u64,
    /// Rows of the large transaction.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) large_rows: u64,
    /// Rows in a second of the live scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    pub(crate) rates: Vec<u64>,
    /// Seconds of each live measurement.
    #[arg(long, default_value_t = 30)]
    pub(crate) seconds: u64,
    /// Readers of the fanout scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 5, 20])]
    pub(crate) readers: Vec<usize>,
    /// Tasks of the idle scenario.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 500])]
    pub(crate) tasks: Vec<usize>,
    /// Groups of each task in the groups scenario.
    #[arg(long, default_value_t = 10)]
    pub(crate) groups: usize,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Only these backlogs.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) backlogs: Vec<crate::backlog::Backlog>,
    /// Also lets Debezium's engine drain the inserts; it needs a Java runtime.
    #[arg(long)]
    pub(crate) peers: bool,
    /// Writes every sample to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws what was measured into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Measures nothing and shows what an earlier run has written with --json.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scenarios", "json"])]
    pub(crate) from: Option<PathBuf>,
}

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A backlog of the source, drained by `pg_recvlogical` and by Rowcast.
    Drain,
    /// One very large transaction: how much memory it takes.
    Large,
    /// Rows at a steady rate: how long each takes from the commit to the client.
    Live,
    /// One stream, read by several groups at once.
    Fanout,
    /// Members of a keyed group that come, go and die.
    Rebalance,
    /// Tasks with nothing to do.
    Idle,
    /// Many groups on one consumer-group.
    Groups,
}

impl Scenario {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Drain => "drain: a backlog, read by pg_recvlogical and by Rowcast",
            Self::Large => "large: one transaction, and the memory that it takes",
            Self::Live => {
                "live: from the commit to the client, and what NATS and PostgreSQL alone take"
            }
            Self::Fanout => "fanout: groups that read one stream, and plain consumers that do",
            Self::Rebalance => "rebalance: members of a keyed group that come, go and die",
            Self::Idle => "idle: tasks with nothing to do",
            Self::Groups => "groups: many of them on one consumer-group",
        }
    }
}

impl Args {
    /// What is asked for, in the order that the report has.
    pub(crate) fn scenarios(&self) -> Vec<Scenario> {
        if self.scenarios.is_empty() {
            Scenario::value_variants().to_vec()
        } else {
            self.scenarios.clone()
        }
    }

    /// The backlogs that are asked for.
    pub(crate) fn backlogs(&self) -> Vec<crate::backlog::Backlog> {
        if self.backlogs.is_empty() {
            crate::backlog::Backlog::value_variants().to_vec()
        } else {
            self.backlogs.clone()
        }
    }
}
