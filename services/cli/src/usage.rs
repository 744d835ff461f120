//! `rowcast usage`.

use rowcast_proto::rest::{Task, UsageList};
use serde::Serialize;

use crate::api::Api;
use crate::args::{Format, Shown};
use crate::table::{plain_table, time};
use crate::{find, output};

/// What `-o json` prints of one task where several are listed.
#[derive(Debug, Serialize)]
struct TaskUsage {
    task_id: String,
    task_name: String,
    #[serde(flatten)]
    usage: UsageList,
}

/// The hours of one task, or the sums of all.
pub(crate) async fn run(api: &Api, task: Option<&str>, shown: &Shown) -> anyhow::Result<()> {
    match task {
        Some(task) => {
            let task = find::task(api, task).await?;
            of_task(&api.usage(&task.id).await?, shown.output)
        }
        None => of_all(api, shown.output).await,
    }
}

fn of_task(usage: &UsageList, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return output::json(usage);
    }
    let mut table = plain_table(["HOUR", "SECONDS", "AMOUNT", "FINAL"]);
    for line in &usage.lines {
        table.add_row([
            time(&line.hour),
            line.seconds.to_string(),
            amount(line.amount_micros, &line.currency),
            if line.closed { "yes" } else { "no" }.to_owned(),
        ]);
    }
    output::table(&table)
}

async fn of_all(api: &Api, format: Format) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for Task { id, name, .. } in api.tasks().await?.tasks {
        all.push(TaskUsage {
            usage: api.usage(&id).await?,
            task_id: id.to_string(),
            task_name: name,
        });
    }
    if format == Format::Json {
        return output::json(&all);
    }
    let mut table = plain_table(["TASK", "NAME", "HOURS", "SECONDS", "AMOUNT"]);
    for task in all {
        let lines = &task.usage.lines;
        let seconds: u64 = lines.iter().map(|line| u64::from(line.seconds)).sum();
        let micros: u64 = lines.iter().map(|line| line.amount_micros).sum();
        let currency = lines.first().map_or("", |line| line.currency.as_str());
        table.add_row([
            task.task_id,
            task.task_name,
            lines.len().to_string(),
            seconds.to_string(),
            amount(micros, currency),
        ]);
    }
    output::table(&table)
}

/// `0.120000 EUR` of 120000 micros.
pub(crate) fn amount(micros: u64, currency: &str) -> String {
    format!(
        "{}.{:06} {currency}",
        micros / 1_000_000,
        micros % 1_000_000
    )
    .trim_end()
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millionths_are_all_shown() {
        assert_eq!(amount(1_000_033, "EUR"), "1.000033 EUR");
        assert_eq!(amount(7, ""), "0.000007");
    }
}
