//! What was measured of a scenario.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::args::Scenario;

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
    /// Rows in a second, against the reference of the same round; where there is one before and one behind, against their
    /// mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    /// Processor seconds of the walsender.
    pub(crate) walsender_cpu: f64,
    /// Processor seconds of who reads: capture, or `pg_recvlogical`; of groups at rest, and of those with a stream of their
    /// own, consumer-group.
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
    /// Which repetition.
    #[serde(default = "first")]
    pub(crate) round: u32,
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

/// Where no repetition is told there was one.
const fn first() -> u32 {
    1
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
            round: first(),
            rows: times.len(),
            p50_micros: at(500),
            p99_micros: at(990),
            p999_micros: at(999),
            most_micros: at(1000),
        }
    }

    /// The same, of this repetition.
    pub(crate) fn in_round(self, round: u32) -> Self {
        Self { round, ..self }
    }
}

/// All measurements of a scenario, which were made one after another on the same machine.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Which.
    pub(crate) scenario: Scenario,
    /// On what.
    pub(crate) about: About,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) samples: Vec<Sample>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) latencies: Vec<Latency>,
}

impl Measured {
    /// Nothing yet.
    pub(crate) fn new(scenario: Scenario) -> Self {
        Self {
            scenario,
            about: About::default(),
            samples: Vec::new(),
            latencies: Vec::new(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.latencies.is_empty()
    }

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

    /// Says of these samples how they compare with a reference of so many rows a second.
    pub(crate) fn compare(&mut self, of: Range<usize>, reference: f64) {
        for sample in self.samples.iter_mut().take(of.end).skip(of.start) {
            let ratio = sample.rows_per_second / reference;
            crate::run::told(format_args!(
                "  {} · {} · round {}: {ratio:.2} × the references before and behind",
                sample.scenario, sample.subject, sample.round,
            ));
            sample.ratio = Some(ratio);
        }
    }

    pub(crate) fn add_latency(&mut self, latency: Latency) {
        crate::run::told(format_args!(
            "  {} · {} · round {}: p50 {} µs, p99 {} µs, {} rows",
            latency.scenario,
            latency.subject,
            latency.round,
            latency.p50_micros,
            latency.p99_micros,
            latency.rows,
        ));
        self.latencies.push(latency);
    }

    /// The samples of each measurement and subject, in the order in which they first come.
    pub(crate) fn by_subject(&self) -> Vec<Vec<&Sample>> {
        grouped(&self.samples, |sample| (&sample.scenario, &sample.subject))
    }

    /// The latencies of each measurement and way, in the order in which they first come.
    pub(crate) fn by_way(&self) -> Vec<Vec<&Latency>> {
        grouped(&self.latencies, |latency| {
            (&latency.scenario, &latency.subject)
        })
    }
}

fn grouped<T>(all: &[T], name: impl Fn(&T) -> (&String, &String)) -> Vec<Vec<&T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for one in all {
        let of = groups
            .iter_mut()
            .find(|group| group.first().is_some_and(|&first| name(first) == name(one)));
        match of {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups
}

/// Several measurements of the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The middle one; of an even number the lower of the two.
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of these; of none it is 0.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self {
            median: at(last / 2),
            least: at(0),
            most: at(last),
        }
    }

    /// The median with so many digits behind the point, and the spread where one can be seen.
    pub(crate) fn show(self, digits: usize) -> String {
        let [median, least, most] =
            [self.median, self.least, self.most].map(|value| format!("{value:.digits$}"));
        if least == most {
            median
        } else {
            format!("{median} ({least}–{most})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(subject: &str, rows_per_second: f64) -> Sample {
        Sample {
            scenario: "drain inserts".to_owned(),
            subject: subject.to_owned(),
            rows_per_second,
            ..Sample::default()
        }
    }

    #[test]
    fn a_spread_is_shown_where_there_is_one() {
        let rounds = Spread::of([3.0, 1.0, 2.0].into_iter());
        assert_eq!(rounds.show(1), "2.0 (1.0–3.0)");
        assert_eq!(Spread::of([2.0].into_iter()).show(0), "2");
        assert_eq!(Spread::of([2.01, 2.02].into_iter()).show(1), "2.0");
        assert_eq!(Spread::of(std::iter::empty()).show(0), "0");
    }

    #[test]
    fn what_stands_between_two_references_is_compared_with_their_mean() {
        let mut measured = Measured::new(Scenario::Drain);
        measured.add(sample("pg_recvlogical", 100.0));
        let from = measured.samples.len();
        measured.add(sample("Rowcast", 75.0));
        let until = measured.samples.len();
        measured.add(sample("pg_recvlogical", 200.0));
        measured.compare(from..until, f64::midpoint(100.0, 200.0));
        let ratios: Vec<Option<f64>> = measured.samples.iter().map(|one| one.ratio).collect();
        assert_eq!(ratios, [None, Some(0.5), None]);
    }

    #[test]
    fn rounds_of_a_subject_stand_together() {
        let mut measured = Measured::new(Scenario::Drain);
        for (subject, speed) in [("a", 1.0), ("b", 2.0), ("a", 3.0)] {
            measured.add(sample(subject, speed));
        }
        let by_subject = measured.by_subject();
        let lengths: Vec<usize> = by_subject.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
    }
}
