//! Every scenario that is asked for, one after another.

use std::io::Write as _;
use std::process::ExitCode;

use crate::args::{Args, Scenario};
use crate::report::Report;
use crate::result::Measured;
use crate::{drain, fanout, groups, idle, large, live, plot, rebalance, table};

/// Measures and reports; a measurement that cannot be made is a failure.
pub(crate) fn run(args: &Args) -> ExitCode {
    let measured = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(Box::pin(report(args))));
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            told(format_args!("bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn report(args: &Args) -> anyhow::Result<()> {
    let report = match &args.from {
        Some(file) => Report::read(file)?,
        None => Box::pin(measure(args)).await?,
    };
    if let Some(file) = &args.svg {
        plot::draw(&report, file)?;
    }
    table::print(&report)
}

async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = match &args.into {
        Some(file) if file.exists() => Report::read(file)?,
        Some(_) | None => Report::default(),
    };
    let file = args.into.as_deref().or(args.json.as_deref());
    for scenario in args.scenarios() {
        told(format_args!("{}", scenario.title()));
        let mut measured = Measured::new(scenario);
        let outcome = Box::pin(one(args, &mut measured)).await;
        // A new file has what was measured until then, whatever happened; in one that was there before, half of a scenario
        // is no better than what it has.
        let is_kept = outcome.is_ok() || args.into.is_none();
        if is_kept && !measured.is_empty() {
            report.put(measured);
            if let Some(file) = file {
                report.write(file)?;
            }
        }
        outcome?;
    }
    Ok(report)
}

async fn one(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    match report.scenario {
        Scenario::Drain => Box::pin(drain::measure(args, report)).await,
        Scenario::Large => Box::pin(large::measure(args, report)).await,
        Scenario::Live => Box::pin(live::measure(args, report)).await,
        Scenario::Fanout => Box::pin(fanout::measure(args, report)).await,
        Scenario::Rebalance => Box::pin(rebalance::measure(args, report)).await,
        Scenario::Groups => Box::pin(groups::measure(args, report)).await,
        Scenario::Idle => Box::pin(idle::measure(args, report)).await,
    }
}

/// Tells on standard error how far the measurement is.
pub(crate) fn told(text: std::fmt::Arguments<'_>) {
    // Where standard error is closed there is nobody to tell.
    writeln!(anstream::stderr().lock(), "{text}").unwrap_or_default();
}
