//! Measures the platform, and what PostgreSQL and NATS can do in the same run.
//!
//! Machines are noisy, so what counts are ratios of neighbours in one run, never seconds. Nothing here
//! fails because something is slow.

mod args;
mod run;
mod drain;
mod large;
mod live;
mod floor;
mod fanout;
mod derived;
mod rebalance;
mod idle;
mod groups;
mod backlog;
mod reference;
mod peers;
mod reader;
mod lab;
mod process;
mod result;
mod report;
mod table;
mod about;
mod plot;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    run::run(&args::Args::parse())
}
