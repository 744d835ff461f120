//! Every scenario that is asked for, one after another.

use std::io::Write as _;
use std::process::ExitCode;

use crate::args::{Args, Scenario};
use crate::result::Report;
use crate::{drain, fanout, groups, idle, large, live, plot, rebalance};

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
    report.print()
}

async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut report = Report::default();
    for scenario in args.scenarios() {
        told(format_args!("{}", scenario.title()));
        let measured = match scenario {
            Scenario::Drain => Box::pin(drain::measure(args, &mut report)).await,
            Scenario::Large => Box::pin(large::measure(args, &mut report)).await,
            Scenario::Live => Box::pin(live::measure(args, &mut report)).await,
            Scenario::Fanout => Box::pin(fanout::measure(args, &mut report)).await,
            Scenario::Rebalance => Box::pin(rebalance::measure(args, &mut report)).await,
            Scenario::Groups => Box::pin(groups::measure(args, &mut report)).await,
            Scenario::Idle => Box::pin(idle::measure(args, &mut report)).await,
        };
        // What was measured stays, whatever happens to the next one.
        report.write(args.json.as_deref())?;
        measured?;
    }
    Ok(report)
}

/// Tells on standard error how far the measurement is.
pub(crate) fn told(text: std::fmt::Arguments<'_>) {
    // Where standard error is closed there is nobody to tell.
    writeln!(anstream::stderr().lock(), "{text}").unwrap_or_default();
}
