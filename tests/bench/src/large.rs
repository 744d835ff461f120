//! One transaction that is larger than any memory should be.

use serde_json::json;

use crate::about::About;
use crate::args::Args;
use crate::backlog::{Backlog, SCHEMA};
use crate::drain::rowcast_sample;
use crate::lab::Lab;
use crate::result::Measured;

/// Measures it once: what is asked for is memory, which does not vary.
pub(crate) async fn measure(args: &Args, report: &mut Measured) -> anyhow::Result<()> {
    let mut lab = Box::pin(Lab::start(Default::default(), SCHEMA)).await?;
    report.about = About::read(&lab).await?;
    let task = lab.suspended("large", &json!({})).await?;
    let rows = Backlog::Single
        .write(&lab, args.large_rows, args.seconds)
        .await?;
    let end = lab.end_of_backlog().await?;
    let mut sample = rowcast_sample(&mut lab, &task, (rows, end), None).await?;
    sample.scenario = format!("one transaction of {} rows", args.large_rows);
    sample.subject = "Rowcast, a message a row, synced".to_owned();
    sample.round = 1;
    report.add(sample);
    lab.platform.stop().await
}
