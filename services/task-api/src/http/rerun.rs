//! A precheck of what did not pass before, joined with what did.

use rowcast_proto::rest::{CheckItem, CheckOutcome, Precheck};

/// What is to be run again, by code: what has not passed, and alerts that nobody ignores.
pub(crate) fn codes(before: &Precheck) -> Vec<String> {
    let again = before.items.iter();
    let again = again.filter(|item| !is_good(item) || item.is_open());
    let mut codes: Vec<String> = again.map(|item| item.code.clone()).collect();
    if codes.is_empty() {
        // An empty list would mean all; connectivity runs in any case.
        codes.push("connectivity".to_owned());
    }
    codes
}

/// The new report, in which what was not run again is as it was.
pub(crate) fn join(before: Precheck, mut again: Precheck) -> Precheck {
    let mut items = Vec::with_capacity(before.items.len());
    for mut item in before.items {
        let found = again.items.iter().position(|new| new.code == item.code);
        if let Some(place) = found {
            items.push(again.items.remove(place));
        } else {
            item.checked_at.get_or_insert(before.finished_at);
            items.push(item);
        }
    }
    items.append(&mut again.items);
    let mut joined = Precheck {
        passed: !items.is_empty() && items.iter().all(is_good),
        items,
        ..again
    };
    joined.count();
    joined
}

/// A check that could not run proves nothing.
fn is_good(item: &CheckItem) -> bool {
    match item.outcome {
        CheckOutcome::Pass | CheckOutcome::Alert => true,
        CheckOutcome::Fail | CheckOutcome::Skipped => false,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn report(items: &[(&str, CheckOutcome)], minute: i64) -> Precheck {
        let item = |(code, outcome): &(&str, CheckOutcome)| CheckItem {
            code: (*code).to_owned(),
            title: String::new(),
            outcome: *outcome,
            ran: String::new(),
            saw: String::new(),
            cause: String::new(),
            repair: String::new(),
            duration_ms: 0,
            checked_at: None,
            ignorable: None,
            ignored: None,
        };
        let at = at(minute);
        Precheck {
            id: minute.to_string(),
            passed: false,
            success_percent: 0,
            open_alerts: Vec::new(),
            items: items.iter().map(item).collect(),
            started_at: at,
            finished_at: at,
        }
    }

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minute * 60, 0).unwrap()
    }

    #[test]
    fn what_passed_is_kept_with_its_time() {
        use CheckOutcome::{Alert, Fail, Pass, Skipped};
        let first = report(&[("a", Pass), ("b", Fail), ("c", Alert), ("d", Skipped)], 1);
        assert_eq!(codes(&first), ["b", "c", "d"]);
        let second = join(first, report(&[("a", Pass), ("b", Pass), ("d", Fail)], 2));
        assert_eq!((second.passed, second.success_percent), (false, 50));
        let kept: Vec<_> = second.items.iter().map(|item| item.checked_at).collect();
        assert_eq!(kept, [None, None, Some(at(1)), None]);
        let third = join(second, report(&[("a", Pass), ("d", Pass)], 3));
        assert_eq!((third.passed, third.success_percent), (true, 75));
        assert_eq!(third.items[2].checked_at, Some(at(1)));
        assert_eq!(third.open_alerts, ["c"]);
        assert_eq!(codes(&third), ["c"]);
        let fourth = join(third, report(&[("c", Pass)], 4));
        assert_eq!(fourth.success_percent, 100);
        assert_eq!(codes(&fourth), ["connectivity"]);
    }
}
