//! Months of the calendar, in UTC. Values in, values out.

use chrono::{DateTime, Datelike as _, Days, Utc};
use rowcast_domain::Months;

/// The end of the months that begin at `from`; `None` past the last year that can be written.
///
/// A month without that day ends with its last one. `bought_on` is the day of the month of the purchase:
/// what ended early in a short month ends on that day again in the next long one, so that renewals month
/// by month end when one purchase of all these months would.
pub(crate) fn end(from: DateTime<Utc>, months: Months, bought_on: u32) -> Option<DateTime<Utc>> {
    let end = from.checked_add_months(chrono::Months::new(months.get()))?;
    if !is_last_of_month(from) {
        return Some(end);
    }
    let mut from_the_longest = (end.day()..=bought_on).rev();
    from_the_longest
        .find_map(|day| end.with_day(day))
        .or(Some(end))
}

fn is_last_of_month(at: DateTime<Utc>) -> bool {
    at.checked_add_days(Days::new(1))
        .is_none_or(|next| next.month() != at.month())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn months(number: u32) -> Months {
        Months::of_renewal(number).unwrap()
    }

    #[test]
    fn a_month_ends_on_the_same_day_or_the_last_one() {
        for (from, number, expected) in [
            ("2026-11-29T10:00:00Z", 1, "2026-12-29T10:00:00Z"),
            (
                "2026-12-31T23:59:59.999999Z",
                2,
                "2027-02-28T23:59:59.999999Z",
            ),
            ("2027-12-31T00:00:00Z", 2, "2028-02-29T00:00:00Z"),
            ("2028-02-29T00:00:00Z", 12, "2029-02-28T00:00:00Z"),
        ] {
            let from = at(from);
            assert_eq!(end(from, months(number), from.day()), Some(at(expected)));
        }
    }

    #[test]
    fn a_short_month_does_not_shorten_the_next() {
        let january = at("2027-01-31T08:00:00Z");
        let february = end(january, Months::ONE, 31).unwrap();
        assert_eq!(february, at("2027-02-28T08:00:00Z"));
        let march = end(february, Months::ONE, 31);
        assert_eq!(march, Some(at("2027-03-31T08:00:00Z")));
        // Bought on a 28th, it ends on a 28th.
        let march = end(february, Months::ONE, 28);
        assert_eq!(march, Some(at("2027-03-28T08:00:00Z")));
    }

    #[test]
    fn past_the_end_of_time_there_is_no_end() {
        assert_eq!(end(DateTime::<Utc>::MAX_UTC, Months::ONE, 31), None);
    }

    prop_compose! {
        /// Any microsecond from 1970 to 2200.
        fn moments()(micros in 0_i64..7_258_118_400_000_000) -> DateTime<Utc> {
            DateTime::from_timestamp_micros(micros).unwrap()
        }
    }

    proptest! {
        #[test]
        fn renewed_bit_by_bit_it_ends_as_if_bought_at_once(
            from in moments(),
            parts in prop::collection::vec(1_u32..=12, 1..=5),
        ) {
            let bit_by_bit = parts
                .iter()
                .try_fold(from, |end_before, part| end(end_before, months(*part), from.day()));
            let at_once = end(from, months(parts.iter().sum()), from.day());
            prop_assert_eq!(bit_by_bit, at_once);
        }

        #[test]
        fn months_end_in_their_month_at_the_same_time_of_day(
            from in moments(),
            number in 1_u32..=60,
        ) {
            let until = end(from, months(number), from.day()).unwrap();
            prop_assert_eq!(until.time(), from.time());
            let passed = (until.year() - from.year()) * 12 + i32::try_from(until.month()).unwrap()
                - i32::try_from(from.month()).unwrap();
            prop_assert_eq!(passed, i32::try_from(number).unwrap());
            prop_assert!(until.day() == from.day() || (until.day() < from.day() && is_last_of_month(until)));
        }

        #[test]
        fn more_months_end_later(from in moments(), number in 1_u32..60, bought_on in 1_u32..=31) {
            let shorter = end(from, months(number), bought_on).unwrap();
            let longer = end(from, months(number + 1), bought_on).unwrap();
            prop_assert!(longer - shorter >= TimeDelta::days(28));
        }
    }
}
