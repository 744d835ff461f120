//! What was measured, drawn: bars of throughput beside their references, and of latency.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{self, Report};
use crate::result::{Latency, Measured, Sample, Spread};
use crate::{drain, fanout, peers};

const WIDTH: u32 = 960;
/// Where bars begin, behind their labels.
const LEFT: i32 = 380;
/// Pixels of the longest bar.
const LONGEST: f64 = 440.0;
/// Height of a bar and of the space behind it.
const LINE: i32 = 22;
/// Space around everything.
const MARGIN: i32 = 16;

/// What others can do.
const REFERENCE: RGBColor = RGBColor(0x9A, 0xA5, 0xB1);
/// What Rowcast does.
const OURS: RGBColor = RGBColor(0x2B, 0x6C, 0xB0);
/// What 99 % stay below.
const TAIL: RGBColor = RGBColor(0xBE, 0xD3, 0xE8);

/// Who are the others.
const REFERENCES: [&str; 3] = [drain::REFERENCE, fanout::PLAIN, peers::DEBEZIUM];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A line of a chart.
enum Line {
    /// What the bars below it have in common.
    Title(String),
    /// A bar; a paler one may begin behind it.
    Bar {
        label: String,
        /// As a part of the longest.
        part: f64,
        tail: f64,
        color: RGBColor,
        text: String,
    },
}

/// Draws a report into a file.
///
/// # Errors
/// Where the file cannot be written.
pub(crate) fn draw(report: &Report, file: &Path) -> anyhow::Result<()> {
    let lines: Vec<Line> = report
        .by_about()
        .iter()
        .flat_map(|place| of(place))
        .collect();
    let height = u32::try_from(lines.len())? * u32::try_from(LINE)? + 2 * u32::try_from(MARGIN)?;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    drawn(area.fill(&WHITE))?;
    for (line, number) in lines.iter().zip(0..) {
        draw_line(&area, line, MARGIN + number * LINE)?;
    }
    drawn(area.present())
}

/// What was measured in one place, under what it was measured on; what has no bar is left out.
fn of(place: &[&Measured]) -> Vec<Line> {
    let bars = |measured: &Measured| {
        let mut bars = throughput(measured);
        bars.extend(latency(measured));
        bars
    };
    let of = place.iter().map(|&measured| (measured, bars(measured)));
    let of: Vec<(&Measured, Vec<Line>)> = of.filter(|(_, bars)| !bars.is_empty()).collect();
    let shown: Vec<&Measured> = of.iter().map(|(measured, _)| *measured).collect();
    let Some(first) = shown.first() else {
        return Vec::new();
    };
    let mut lines = vec![
        Line::Title(report::names(&shown)),
        Line::Title(first.about.to_string()),
    ];
    lines.extend(of.into_iter().flat_map(|(_, bars)| bars));
    lines
}

fn throughput(measured: &Measured) -> Vec<Line> {
    let mut lines = Vec::new();
    if !measured.scenario.reads_rows() {
        return lines;
    }
    let subjects = measured.by_subject();
    let names = subjects.iter().filter_map(|samples| samples.first());
    for scenario in distinct(names.map(|sample| sample.scenario.as_str())) {
        let of = subjects.iter().filter(|samples| {
            let first = samples.first();
            first.is_some_and(|first| first.scenario == scenario)
        });
        let rows = |samples: &[&Sample]| median(samples, |sample| Some(sample.rows_per_second));
        let most = of.clone().map(|samples| rows(samples)).fold(1.0, f64::max);
        lines.push(Line::Title(format!("{scenario}: thousand rows/s")));
        lines.extend(of.map(|samples| {
            let subject = samples.first().map_or("", |first| first.subject.as_str());
            let ratio = median(samples, |sample| sample.ratio);
            let of_reference = if ratio > 0.0 {
                format!(", {ratio:.2} ×")
            } else {
                String::new()
            };
            Line::Bar {
                label: subject.to_owned(),
                part: rows(samples) / most,
                tail: 0.0,
                color: if REFERENCES.contains(&subject) {
                    REFERENCE
                } else {
                    OURS
                },
                text: format!("{:.0}{of_reference}", rows(samples) / 1000.0),
            }
        }));
    }
    lines
}

fn median(samples: &[&Sample], value: fn(&Sample) -> Option<f64>) -> f64 {
    Spread::of(samples.iter().filter_map(|sample| value(sample))).median
}

/// Bars of the half that is faster, and of 99 %: medians of the rounds, with their spread.
fn latency(measured: &Measured) -> Vec<Line> {
    let mut lines = Vec::new();
    let ways = measured.by_way();
    let names = ways.iter().filter_map(|rounds| rounds.first());
    for scenario in distinct(names.map(|latency| latency.scenario.as_str())) {
        lines.push(Line::Title(format!("{scenario}: ms, half and 99 %")));
        let of = ways.iter().filter(|rounds| {
            let first = rounds.first();
            first.is_some_and(|first| first.scenario == scenario)
        });
        let half = |rounds: &[&Latency]| milliseconds(rounds, |latency| latency.p50_micros);
        let tail = |rounds: &[&Latency]| milliseconds(rounds, |latency| latency.p99_micros);
        let most = of.clone().map(|rounds| tail(rounds).median);
        let most = most.fold(0.001, f64::max);
        lines.extend(of.map(|rounds| {
            let label = rounds.first().map_or("", |first| first.subject.as_str());
            let (half, tail) = (half(rounds), tail(rounds));
            Line::Bar {
                label: label.to_owned(),
                part: half.median / most,
                tail: (tail.median - half.median) / most,
                color: if label.starts_with("Rowcast") {
                    OURS
                } else {
                    REFERENCE
                },
                text: format!("{}, {}", half.show(2), tail.show(2)),
            }
        }));
    }
    lines
}

fn milliseconds(rounds: &[&Latency], value: fn(&Latency) -> u64) -> Spread {
    Spread::of(rounds.iter().map(|round| value(round) as f64 / 1000.0))
}

fn draw_line(area: &Area<'_>, line: &Line, top: i32) -> anyhow::Result<()> {
    let size = f64::from(LINE) * 0.6;
    let font = ("sans-serif", size).into_font();
    let (label, part, tail, color, text) = match line {
        Line::Title(text) => {
            let font = font.style(FontStyle::Bold);
            return drawn(area.draw(&Text::new(text.clone(), (MARGIN, top + 4), font)));
        }
        Line::Bar {
            label,
            part,
            tail,
            color,
            text,
        } => (label, part, tail, color, text),
    };
    let until = |part: f64| LEFT + pixels(part * LONGEST);
    let bar = |from: i32, to: i32, color: &RGBColor| {
        Rectangle::new([(from, top + 3), (to, top + LINE - 3)], color.filled())
    };
    let (end, tail_end) = (until(*part), until(part + tail));
    drawn(area.draw(&Text::new(label.clone(), (MARGIN, top + 4), font.clone())))?;
    drawn(area.draw(&bar(end, tail_end, &TAIL)))?;
    drawn(area.draw(&bar(LEFT, end, color)))?;
    drawn(area.draw(&Text::new(text.clone(), (tail_end + 6, top + 4), font)))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a part of the longest bar, in pixels"
)]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

/// In the order in which they first come.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// The backend's error borrows what it drew on.
fn drawn<E: std::error::Error + Send + Sync>(
    outcome: Result<(), DrawingAreaErrorKind<E>>,
) -> anyhow::Result<()> {
    outcome.map_err(|error| anyhow!("cannot draw: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Scenario;

    fn measured(scenario: Scenario, samples: &[(&str, &str, f64)]) -> Measured {
        let samples = samples.iter().map(|&(scenario, subject, speed)| Sample {
            scenario: scenario.to_owned(),
            subject: subject.to_owned(),
            rows: 1000,
            rows_per_second: speed,
            ..Sample::default()
        });
        Measured {
            samples: samples.collect(),
            ..Measured::new(scenario)
        }
    }

    fn label(line: &Line) -> &str {
        match line {
            Line::Title(label) | Line::Bar { label, .. } => label,
        }
    }

    fn labels(lines: &[Line]) -> Vec<&str> {
        lines.iter().map(label).collect()
    }

    #[test]
    fn groups_that_are_made_are_no_rows_and_have_no_bar() {
        let made = measured(
            Scenario::Groups,
            &[("groups, 1000 made", "Rowcast: consumer-group", 28.0)],
        );
        assert_eq!(labels(&of(&[&made])), [""; 0]);
    }

    #[test]
    fn rounds_of_a_subject_are_one_bar_under_what_they_were_measured_on() {
        let large = measured(Scenario::Large, &[("one transaction", "Rowcast", 9.0)]);
        let fanout = measured(
            Scenario::Fanout,
            &[
                ("fanout to 1", fanout::PLAIN, 2000.0),
                ("fanout to 1", "groups", 1000.0),
                ("fanout to 1", fanout::PLAIN, 4000.0),
            ],
        );
        let lines = of(&[&large, &fanout]);
        let about = large.about.to_string();
        let shown = [
            "large, fanout",
            about.as_str(),
            "one transaction: thousand rows/s",
            "Rowcast",
            "fanout to 1: thousand rows/s",
            fanout::PLAIN,
            "groups",
        ];
        assert_eq!(labels(&lines), shown);
    }
}
