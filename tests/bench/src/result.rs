//! What was measured, as a table and as JSON.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::{Deserialize, Serialize};

use crate::about::About;

/// One measurement.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// What was measured, as `drain inserts`.
    pub(crate) scenario: String,
    /// By whom it was done.
    pub(crate) subject: String,
    /// Which repetition.
    pub(crate) round: u32,
    /// Rows that were read.
    pub(crate) rows: u64,
    /// Seconds that it took.
    pub(crate) seconds: f64,
    /// Rows in a second.
    pub(crate) rows_per_second: f64,
    /// MB of messages in a second; of `pg_recvlogical` MB that it was sent; 0 where nothing is passed on.
    pub(crate) megabytes_per_second: f64,
    /// Rows in a second, against the reference of the same round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// Processor seconds of the walsender.
    pub(crate) walsender_cpu: f64,
    /// Processor seconds of who reads: capture, or `pg_recvlogical`.
    pub(crate) reader_cpu: f64,
    /// Processor seconds of nats-server.
    pub(crate) nats_cpu: f64,
    /// Most memory of who reads, in MiB.
    pub(crate) peak_mib: f64,
}

/// How long rows took on a way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// What was measured, as `live, 1000 rows/s`.
    pub(crate) scenario: String,
    /// On which way.
    pub(crate) subject: String,
    /// Rows that were timed.
    pub(crate) rows: usize,
    /// Half of them took no longer, in microseconds.
    pub(crate) p50_micros: u64,
    /// 99 % took no longer.
    pub(crate) p99_micros: u64,
    /// 99.9 % took no longer.
    pub(crate) p999_micros: u64,
    /// The longest.
    pub(crate) most_micros: u64,
}

impl Latency {
    /// Of these microseconds.
    pub(crate) fn of(scenario: &str, subject: &str, mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |thousandths: usize| {
            let index = (times.len() * thousandths / 1000).min(times.len().saturating_sub(1));
            times.get(index).copied().unwrap_or_default()
        };
        Self {
            scenario: scenario.to_owned(),
            subject: subject.to_owned(),
            rows: times.len(),
            p50_micros: at(500),
            p99_micros: at(990),
            p999_micros: at(999),
            most_micros: at(1000),
        }
    }
}

/// All measurements of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// On what.
    pub(crate) about: About,
    pub(crate) samples: Vec<Sample>,
    pub(crate) latencies: Vec<Latency>,
}

impl Report {
    pub(crate) fn add(&mut self, sample: Sample) {
        crate::run::told(format_args!(
            "  {} · {} · round {}: {:.0} rows/s{}",
            sample.scenario,
            sample.subject,
            sample.round,
            sample.rows_per_second,
            sample
                .ratio
                .map_or_else(String::new, |ratio| format!(", {ratio:.2} × the reference")),
        ));
        self.samples.push(sample);
    }

    pub(crate) fn add_latency(&mut self, latency: Latency) {
        crate::run::told(format_args!(
            "  {} · {}: p50 {} µs, p99 {} µs, {} rows",
            latency.scenario, latency.subject, latency.p50_micros, latency.p99_micros, latency.rows,
        ));
        self.latencies.push(latency);
    }

    /// Reads what an earlier run has written.
    ///
    /// # Errors
    /// Where the file is no report.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no report", file.display()))
    }

    /// Writes every sample as JSON, where a file is named.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let Some(file) = file else { return Ok(()) };
        let text = serde_json::to_vec_pretty(self)?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Prints medians.
    ///
    /// # Errors
    /// Where standard output is closed.
    pub(crate) fn print(&self) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "what",
            "by",
            "rows/s",
            "ratio (min–max)",
            "MB/s",
            "CPU s: walsender",
            "reader",
            "nats",
            "rows/CPU s",
            "peak MiB",
        ]);
        let mut shown: Vec<(&str, &str)> = Vec::new();
        for sample in &self.samples {
            let name = (sample.scenario.as_str(), sample.subject.as_str());
            if shown.contains(&name) {
                continue;
            }
            shown.push(name);
            let of: Vec<&Sample> = self
                .samples
                .iter()
                .filter(|other| (other.scenario.as_str(), other.subject.as_str()) == name)
                .collect();
            table.add_row(row(&of));
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}", self.about)?;
        if !self.samples.is_empty() {
            writeln!(out, "{table}")?;
        }
        if !self.latencies.is_empty() {
            writeln!(out, "{}", latency_table(&self.latencies))?;
        }
        Ok(out.flush()?)
    }
}

fn row(samples: &[&Sample]) -> Vec<String> {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(|sample| value(sample)));
    let ratios: Vec<f64> = samples.iter().filter_map(|sample| sample.ratio).collect();
    let ratio = if ratios.is_empty() {
        "1".to_owned()
    } else {
        let (low, high) = (
            ratios.iter().copied().fold(f64::MAX, f64::min),
            ratios.iter().copied().fold(0.0, f64::max),
        );
        format!("{:.2} ({low:.2}–{high:.2})", median(ratios.iter().copied()))
    };
    let (scenario, subject) = samples
        .first()
        .map_or(("", ""), |first| (&first.scenario, &first.subject));
    vec![
        scenario.to_owned(),
        subject.to_owned(),
        format!("{:.0}", of(|sample| sample.rows_per_second)),
        ratio,
        format!("{:.0}", of(|sample| sample.megabytes_per_second)),
        format!("{:.2}", of(|sample| sample.walsender_cpu)),
        format!("{:.2}", of(|sample| sample.reader_cpu)),
        format!("{:.2}", of(|sample| sample.nats_cpu)),
        format!("{:.0}", of(Sample::rows_per_cpu_second)),
        format!("{:.0}", of(|sample| sample.peak_mib)),
    ]
}

impl Sample {
    /// Rows for each processor second of walsender, reader and nats-server together.
    fn rows_per_cpu_second(&self) -> f64 {
        let cpu = self.walsender_cpu + self.reader_cpu + self.nats_cpu;
        if cpu > 0.0 && self.rows > 0 {
            self.rows_per_second * self.seconds / cpu
        } else {
            0.0
        }
    }
}

fn latency_table(latencies: &[Latency]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "what",
        "on the way",
        "rows",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "longest ms",
    ]);
    let milliseconds = |micros: u64| format!("{:.2}", micros as f64 / 1000.0);
    for latency in latencies {
        table.add_row([
            latency.scenario.clone(),
            latency.subject.clone(),
            latency.rows.to_string(),
            milliseconds(latency.p50_micros),
            milliseconds(latency.p99_micros),
            milliseconds(latency.p999_micros),
            milliseconds(latency.most_micros),
        ]);
    }
    table
}

/// The middle one; of an even number the lower of the two.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}
