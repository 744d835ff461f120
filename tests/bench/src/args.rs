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
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,
    /// Only these backlogs.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) backlogs: Vec<crate::backlog::Backlog>,
    /// Writes every sample to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Something to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// A backlog of the source, drained by `pg_recvlogical` and by Rowcast.
    Drain,
    /// One very large transaction: how much memory it takes.
    Large,
}

impl Scenario {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Drain => "drain: a backlog, read by pg_recvlogical and by Rowcast",
            Self::Large => "large: one transaction, and the memory that it takes",
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
