//! All that was measured, in a file: of each scenario where and when, for some may be measured again without the others.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::about::About;
use crate::args::Scenario;
use crate::result::{Latency, Measured, Sample};

/// What a file holds.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Each scenario once, in the order that the command line lists them in.
    scenarios: Vec<Measured>,
}

/// What a file may hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    scenarios: Vec<Measured>,
    // As it was written once: everything by one run.
    #[serde(default)]
    about: About,
    #[serde(default)]
    samples: Vec<Sample>,
    #[serde(default)]
    latencies: Vec<Latency>,
}

impl Report {
    /// Adds what was measured, in place of what it had of that scenario.
    pub(crate) fn put(&mut self, measured: Measured) {
        self.scenarios
            .retain(|known| known.scenario != measured.scenario);
        self.scenarios.push(measured);
        self.scenarios.sort_by_key(|known| known.scenario);
    }

    /// What was measured in the same place and on the same day, beside each other.
    pub(crate) fn by_about(&self) -> Vec<Vec<&Measured>> {
        let mut places: Vec<Vec<&Measured>> = Vec::new();
        for measured in &self.scenarios {
            let place = places.iter_mut().find(|place| {
                place
                    .first()
                    .is_some_and(|first| first.about == measured.about)
            });
            match place {
                Some(place) => place.push(measured),
                None => places.push(vec![measured]),
            }
        }
        places
    }

    /// Reads what an earlier run has written.
    ///
    /// # Errors
    /// Where the file is no report.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no report", file.display()))
    }

    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let written: Written = serde_json::from_slice(text)?;
        let mut known = BTreeMap::new();
        for measured in written.scenarios {
            known.insert(measured.scenario, measured);
        }
        for sample in written.samples {
            let scenario = scenario(&sample.scenario)?;
            of(&mut known, scenario, &written.about)
                .samples
                .push(sample);
        }
        for latency in written.latencies {
            let scenario = scenario(&latency.scenario)?;
            of(&mut known, scenario, &written.about)
                .latencies
                .push(latency);
        }
        anyhow::ensure!(!known.is_empty(), "nothing was measured");
        Ok(Self {
            scenarios: known.into_values().collect(),
        })
    }

    /// Writes every sample as JSON.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(crate) fn write(&self, file: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// What is known of a scenario; where that is nothing yet, it was measured there.
fn of<'a>(
    known: &'a mut BTreeMap<Scenario, Measured>,
    scenario: Scenario,
    about: &About,
) -> &'a mut Measured {
    known.entry(scenario).or_insert_with(|| Measured {
        about: about.clone(),
        ..Measured::new(scenario)
    })
}

/// The scenario of a measurement.
fn scenario(measurement: &str) -> anyhow::Result<Scenario> {
    Scenario::of(measurement).with_context(|| format!("no scenario measures `{measurement}`"))
}

/// Which scenarios these are.
pub(crate) fn names(measured: &[&Measured]) -> String {
    let names: Vec<&str> = measured.iter().map(|one| one.scenario.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn about(date: &str) -> About {
        let about = json!({
            "date": date, "processor": "2 × some", "memory_mib": 8, "kernel": "6", "postgresql": "15",
            "nats": "2", "rowcast": "0.1.0",
        });
        serde_json::from_value(about).unwrap()
    }

    fn measured(scenario: Scenario, date: &str, measurements: &[&str]) -> Measured {
        let samples = measurements.iter().map(|&measurement| Sample {
            scenario: measurement.to_owned(),
            ..Sample::default()
        });
        Measured {
            about: about(date),
            samples: samples.collect(),
            ..Measured::new(scenario)
        }
    }

    fn told(report: &Report) -> Vec<String> {
        let places = report.by_about();
        places
            .iter()
            .map(|place| format!("{} {}", names(place), place[0].about))
            .collect()
    }

    #[test]
    fn what_is_measured_again_replaces_its_scenario_and_leaves_the_others() {
        let mut report = Report::default();
        report.put(measured(Scenario::Idle, "2026-11-28", &["idle, 1 tasks"]));
        let both = ["drain inserts", "drain updates"];
        report.put(measured(Scenario::Drain, "2026-11-28", &both));
        report.put(measured(Scenario::Drain, "2026-11-29", &["drain inserts"]));

        let file = tempfile::NamedTempFile::new().unwrap();
        report.write(file.path()).unwrap();
        let read = Report::read(file.path()).unwrap();
        let [drain, idle] = read.scenarios.as_slice() else {
            panic!("two scenarios: {read:?}")
        };
        assert_eq!((drain.scenario, drain.samples.len()), (Scenario::Drain, 1));
        assert_eq!(drain.about, about("2026-11-29"));
        assert_eq!(
            (idle.scenario, &idle.about),
            (Scenario::Idle, &about("2026-11-28"))
        );
    }

    #[test]
    fn a_file_of_one_run_is_read_scenario_by_scenario() {
        let sample = |scenario: &str| Sample {
            scenario: scenario.to_owned(),
            ..Sample::default()
        };
        let latency = json!({
            "scenario": "live, 1000 rows/s", "subject": "Rowcast: commit to client", "rows": 9,
            "p50_micros": 1, "p99_micros": 2, "p999_micros": 3, "most_micros": 4,
        });
        let old = json!({
            "about": about("2026-11-29"),
            "samples": [sample("idle, 1 tasks, 20 s"), sample("drain inserts"), sample("drain single")],
            "latencies": [latency],
        });
        let report = Report::parse(old.to_string().as_bytes()).unwrap();
        assert_eq!(
            told(&report),
            [format!("drain, live, idle {}", about("2026-11-29"))]
        );
        let live = &report.scenarios[1];
        assert_eq!((live.latencies[0].round, live.samples.len()), (1, 0));
    }

    #[test]
    fn another_day_and_another_commit_are_other_places() {
        let mut report = Report::default();
        report.put(measured(Scenario::Idle, "2026-11-28", &["idle, 1 tasks"]));
        report.put(measured(
            Scenario::Large,
            "2026-11-29",
            &["one transaction of 1 rows"],
        ));
        report.put(measured(
            Scenario::Groups,
            "2026-11-29",
            &["groups, 1 made"],
        ));
        assert_eq!(
            told(&report),
            [
                format!("large, groups {}", about("2026-11-29")),
                format!("idle {}", about("2026-11-28")),
            ]
        );
    }

    #[test]
    fn the_measurements_in_the_documentation_can_be_read() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmark.json");
        let report = Report::read(Path::new(file)).unwrap();
        for measured in &report.scenarios {
            let names = measured.samples.iter().map(|sample| &sample.scenario);
            let more = measured.latencies.iter().map(|latency| &latency.scenario);
            for name in names.chain(more) {
                assert_eq!(Scenario::of(name), Some(measured.scenario), "{name}");
            }
        }
    }

    #[test]
    fn what_holds_no_measurement_is_no_report() {
        assert!(Report::parse(b"{}").is_err());
        assert!(Report::parse(br#"{"samples": [{}]}"#).is_err());
        assert!(Report::parse(br#"{"name": "another file"}"#).is_err());
    }
}
