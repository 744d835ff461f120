//! Billable seconds by hour. Values in, values out.
//!
//! Times are cut to whole seconds before they are subtracted, so that what one hour loses at its
//! end the next one has at its start: the hours of an interval sum up to its length.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

const HOUR_SECONDS: i64 = 3600;

/// An hour of UTC, by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hour(i64);

impl Hour {
    /// The hour in which `at` lies.
    pub(crate) fn containing(at: DateTime<Utc>) -> Self {
        Self::of_second(at.timestamp())
    }

    const fn of_second(second: i64) -> Self {
        Self(second.div_euclid(HOUR_SECONDS))
    }

    const fn start_second(self) -> i64 {
        self.0 * HOUR_SECONDS
    }

    /// Its first moment.
    pub(crate) fn start(self) -> DateTime<Utc> {
        // Out of chrono's range only for hours that no `DateTime` lies in.
        DateTime::from_timestamp(self.start_second(), 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// Time in a billable state; without an end while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Interval {
    /// When the state was entered.
    pub(crate) started_at: DateTime<Utc>,
    /// When it was left.
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

/// Billable seconds of every hour that has some, counting only what lies in `from..until`.
///
/// Time that several intervals cover counts once.
pub(crate) fn seconds_by_hour(
    intervals: &[Interval],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> BTreeMap<Hour, u32> {
    let (from, until) = (from.timestamp(), until.timestamp());
    let mut spans: Vec<(i64, i64)> = intervals
        .iter()
        .map(|interval| {
            let end = interval
                .ended_at
                .map_or(until, |at| at.timestamp().min(until));
            (interval.started_at.timestamp().max(from), end)
        })
        .collect();
    spans.sort_unstable();

    let mut seconds = BTreeMap::new();
    let mut counted_until = i64::MIN;
    for (start, end) in spans {
        let mut second = start.max(counted_until);
        while second < end {
            let hour = Hour::of_second(second);
            let stop = end.min(hour.start_second() + HOUR_SECONDS);
            // At most 3600.
            *seconds.entry(hour).or_default() += u32::try_from(stop - second).unwrap_or_default();
            second = stop;
        }
        counted_until = counted_until.max(end);
    }
    seconds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap()
    }

    fn interval(start: i64, end: Option<i64>) -> Interval {
        Interval {
            started_at: at(start),
            ended_at: end.map(at),
        }
    }

    fn total(seconds: &BTreeMap<Hour, u32>) -> i64 {
        seconds.values().map(|&seconds| i64::from(seconds)).sum()
    }

    const FAR: i64 = 1_000_000_000_000;

    #[test]
    fn an_interval_across_an_hour_is_split_there() {
        let seconds = seconds_by_hour(&[interval(3_590_000, Some(3_605_000))], at(0), at(FAR));
        let lines: Vec<_> = seconds.into_values().collect();
        assert_eq!(lines, [10, 5]);
    }

    #[test]
    fn an_open_interval_counts_up_to_the_given_time() {
        let seconds = seconds_by_hour(&[interval(1_000, None)], at(0), at(61_000));
        assert_eq!(total(&seconds), 60);
    }

    #[test]
    fn time_before_the_purchase_does_not_count() {
        let seconds = seconds_by_hour(&[interval(0, Some(100_000))], at(90_000), at(FAR));
        assert_eq!(total(&seconds), 10);
    }

    proptest! {
        #[test]
        fn hours_sum_up_to_the_whole(start in 0..FAR / 1000, length in 0_i64..400_000_000) {
            let end = start + length;
            let seconds = seconds_by_hour(&[interval(start, Some(end))], at(0), at(FAR));
            prop_assert_eq!(total(&seconds), end / 1000 - start / 1000);
            prop_assert!(seconds.values().all(|&seconds| (1..=3600).contains(&seconds)));
        }

        #[test]
        fn neighbours_count_as_one(start in 0..FAR / 1000, cuts in prop::collection::vec(1_i64..9_000_000, 1..20)) {
            let mut intervals = Vec::new();
            let mut end = start;
            for cut in cuts {
                intervals.push(interval(end, Some(end + cut)));
                end += cut;
            }
            prop_assert_eq!(
                seconds_by_hour(&intervals, at(0), at(FAR)),
                seconds_by_hour(&[interval(start, Some(end))], at(0), at(FAR))
            );
        }

        #[test]
        fn overlap_counts_once(pairs in prop::collection::vec((0_i64..20_000, 0_i64..20_000), 0..12)) {
            let intervals: Vec<_> = pairs
                .iter()
                .map(|&(start, length)| interval(start * 1000, Some((start + length) * 1000)))
                .collect();
            let covered = (0..40_000)
                .filter(|second| pairs.iter().any(|&(start, length)| (start..start + length).contains(second)))
                .count();
            let seconds = seconds_by_hour(&intervals, at(0), at(FAR));
            prop_assert_eq!(total(&seconds), i64::try_from(covered).unwrap());
            prop_assert!(seconds.values().all(|&seconds| seconds <= 3600));
        }

        #[test]
        fn a_window_cut_in_two_counts_the_same(start in 0_i64..50_000, length in 0_i64..50_000, cut in 0_i64..100_000) {
            let intervals = [interval(start * 1000, Some((start + length) * 1000))];
            let whole = seconds_by_hour(&intervals, at(0), at(FAR));
            let before = seconds_by_hour(&intervals, at(0), at(cut * 1000));
            let after = seconds_by_hour(&intervals, at(cut * 1000), at(FAR));
            prop_assert_eq!(total(&whole), total(&before) + total(&after));
        }
    }
}
