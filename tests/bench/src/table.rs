//! What was measured, as tables for a terminal: medians, with the least and the most where rounds differ.

use std::io::Write as _;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use crate::report::{self, Report};
use crate::result::{Latency, Measured, Sample, Spread};

/// Prints medians.
///
/// # Errors
/// Where standard output is closed.
pub(crate) fn print(report: &Report) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for place in report.by_about() {
        if let Some(first) = place.first() {
            writeln!(out, "{}: {}", report::names(&place), first.about)?;
        }
        for table in [speeds(&place), at_rest(&place), latencies(&place)]
            .into_iter()
            .filter(|table| !table.is_empty())
        {
            writeln!(out, "{table}")?;
        }
    }
    Ok(out.flush()?)
}

fn with_header(names: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(names);
    table
}

fn speeds(place: &[&Measured]) -> Table {
    let mut table = with_header(&[
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
    for samples in place.iter().flat_map(|measured| measured.by_subject()) {
        if !is_at_rest(&samples) {
            table.add_row(speed(&samples));
        }
    }
    table
}

fn speed(samples: &[&Sample]) -> Vec<String> {
    let of = |value: fn(&Sample) -> f64| spread(samples, value).median;
    let ratios: Vec<f64> = samples.iter().filter_map(|sample| sample.ratio).collect();
    let ratio = if ratios.is_empty() {
        String::new()
    } else {
        Spread::of(ratios.into_iter()).show(2)
    };
    let [what, by] = named(samples.first().map(|one| [&one.scenario, &one.subject]));
    vec![
        what,
        by,
        format!("{:.0}", of(|sample| sample.rows_per_second)),
        ratio,
        format!("{:.0}", of(|sample| sample.megabytes_per_second)),
        format!("{:.2}", of(|sample| sample.walsender_cpu)),
        format!("{:.2}", of(|sample| sample.reader_cpu)),
        format!("{:.2}", of(|sample| sample.nats_cpu)),
        format!("{:.0}", of(rows_per_cpu_second)),
        format!("{:.0}", of(|sample| sample.peak_mib)),
    ]
}

/// Rows for each processor second of walsender, reader and nats-server together.
fn rows_per_cpu_second(sample: &Sample) -> f64 {
    let cpu = sample.walsender_cpu + sample.reader_cpu + sample.nats_cpu;
    if cpu > 0.0 && sample.rows > 0 {
        sample.rows_per_second * sample.seconds / cpu
    } else {
        0.0
    }
}

/// What is looked at while nothing is read.
fn at_rest(place: &[&Measured]) -> Table {
    let mut table = with_header(&[
        "what",
        "by",
        "rounds",
        "% of a core (min–max)",
        "nats: % of a core",
        "MiB",
    ]);
    for samples in place.iter().flat_map(|measured| measured.by_subject()) {
        if is_at_rest(&samples) {
            table.add_row(rest(&samples));
        }
    }
    table
}

fn is_at_rest(samples: &[&Sample]) -> bool {
    samples.iter().all(|sample| sample.rows == 0)
}

fn rest(samples: &[&Sample]) -> Vec<String> {
    let [what, by] = named(samples.first().map(|one| [&one.scenario, &one.subject]));
    let reader = spread(samples, |sample| 100.0 * sample.reader_cpu / sample.seconds);
    let nats = spread(samples, |sample| 100.0 * sample.nats_cpu / sample.seconds);
    vec![
        what,
        by,
        samples.len().to_string(),
        reader.show(2),
        nats.show(2),
        spread(samples, |sample| sample.peak_mib).show(0),
    ]
}

fn spread(samples: &[&Sample], value: fn(&Sample) -> f64) -> Spread {
    Spread::of(samples.iter().map(|sample| value(sample)))
}

fn latencies(place: &[&Measured]) -> Table {
    let mut table = with_header(&[
        "what",
        "on the way",
        "rounds",
        "rows",
        "p50 ms (min–max)",
        "p99 ms",
        "p99.9 ms",
        "longest ms",
    ]);
    for rounds in place.iter().flat_map(|measured| measured.by_way()) {
        table.add_row(way(&rounds));
    }
    table
}

fn way(rounds: &[&Latency]) -> Vec<String> {
    let [what, on] = named(rounds.first().map(|one| [&one.scenario, &one.subject]));
    let rows: usize = rounds.iter().map(|round| round.rows).sum();
    let milliseconds = |value: fn(&Latency) -> u64| {
        Spread::of(rounds.iter().map(|round| value(round) as f64 / 1000.0)).show(2)
    };
    vec![
        what,
        on,
        rounds.len().to_string(),
        rows.to_string(),
        milliseconds(|round| round.p50_micros),
        milliseconds(|round| round.p99_micros),
        milliseconds(|round| round.p999_micros),
        milliseconds(|round| round.most_micros),
    ]
}

fn named(names: Option<[&String; 2]>) -> [String; 2] {
    names
        .map(|names| names.map(Clone::clone))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_rest_is_shown_with_its_spread_as_a_part_of_a_core() {
        let rounds = [1.0, 1.2, 1.4].map(|reader_cpu| Sample {
            scenario: "idle, 500 tasks, 20 s".to_owned(),
            subject: "Rowcast".to_owned(),
            seconds: 20.0,
            reader_cpu,
            nats_cpu: 3.0,
            peak_mib: 219.0,
            ..Sample::default()
        });
        let rounds: Vec<&Sample> = rounds.iter().collect();
        assert!(is_at_rest(&rounds));
        let shown = [
            "idle, 500 tasks, 20 s",
            "Rowcast",
            "3",
            "6.00 (5.00–7.00)",
            "15.00",
            "219",
        ];
        assert_eq!(rest(&rounds), shown);
    }

    #[test]
    fn a_way_is_shown_with_the_spread_of_its_rounds() {
        let rounds = [1000, 3000, 2000].map(|p99_micros| Latency {
            rows: 10,
            p50_micros: 500,
            p99_micros,
            ..Latency::default()
        });
        let rounds: Vec<&Latency> = rounds.iter().collect();
        let shown = [
            "",
            "",
            "3",
            "30",
            "0.50",
            "2.00 (1.00–3.00)",
            "0.00",
            "0.00",
        ];
        assert_eq!(way(&rounds), shown);
    }
}
