//! What was measured, drawn: bars of throughput beside their references, and of latency.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::result::{Latency, Report, Sample, median};

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
    let mut lines = vec![Line::Title(report.about.to_string())];
    lines.extend(throughput(&report.samples));
    lines.extend(latency(&report.latencies));
    let height = u32::try_from(lines.len())? * u32::try_from(LINE)? + 2 * u32::try_from(MARGIN)?;
    let area = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    drawn(area.fill(&WHITE))?;
    for (line, number) in lines.iter().zip(0..) {
        draw_line(&area, line, MARGIN + number * LINE)?;
    }
    drawn(area.present())
}

fn throughput(samples: &[Sample]) -> Vec<Line> {
    let mut lines = Vec::new();
    let fast = samples.iter().filter(|sample| sample.rows_per_second > 0.0);
    for scenario in distinct(fast.map(|sample| sample.scenario.as_str())) {
        let of: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.scenario == scenario)
            .collect();
        let subjects = distinct(of.iter().map(|sample| sample.subject.as_str()));
        let speed = |subject: &str, value: fn(&Sample) -> Option<f64>| {
            let of = of.iter().filter(|sample| sample.subject == subject);
            median(of.filter_map(|sample| value(sample)))
        };
        let rows = |subject: &str| speed(subject, |sample| Some(sample.rows_per_second));
        let most = subjects.iter().copied().map(rows).fold(1.0, f64::max);
        lines.push(Line::Title(format!("{scenario}: thousand rows/s")));
        lines.extend(subjects.into_iter().map(|subject| {
            let ratio = speed(subject, |sample| sample.ratio);
            let of_reference = if ratio > 0.0 {
                format!(", {ratio:.2} ×")
            } else {
                String::new()
            };
            Line::Bar {
                label: subject.to_owned(),
                part: rows(subject) / most,
                tail: 0.0,
                color: if ratio > 0.0 { OURS } else { REFERENCE },
                text: format!("{:.0}{of_reference}", rows(subject) / 1000.0),
            }
        }));
    }
    lines
}

/// Bars of the half that is faster, and of 99 %.
fn latency(latencies: &[Latency]) -> Vec<Line> {
    let mut lines = Vec::new();
    for scenario in distinct(latencies.iter().map(|latency| latency.scenario.as_str())) {
        lines.push(Line::Title(format!("{scenario}: ms, half and 99 %")));
        let of = latencies
            .iter()
            .filter(|latency| latency.scenario == scenario);
        let most = of.clone().map(|latency| latency.p99_micros).max();
        let most = most.unwrap_or_default().max(1) as f64;
        lines.extend(of.map(|latency| {
            let (half, tail) = (latency.p50_micros as f64, latency.p99_micros as f64);
            Line::Bar {
                label: latency.subject.clone(),
                part: half / most,
                tail: (tail - half) / most,
                color: if latency.subject.starts_with("Rowcast") {
                    OURS
                } else {
                    REFERENCE
                },
                text: format!("{:.2}, {:.2}", half / 1000.0, tail / 1000.0),
            }
        }));
    }
    lines
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
