//! What of a report is otherwise than before the task's start. Pure.

use rowcast_proto::rest::{CheckItem, CheckOutcome, Precheck, Recheck};

/// Codes of the checks that fail, or alert where they passed before; an alert that somebody answers for is
/// none.
pub(super) fn problems(report: &Precheck, before: Option<&Precheck>) -> Vec<String> {
    let is_problem = |item: &&CheckItem| match item.outcome {
        CheckOutcome::Fail => true,
        CheckOutcome::Alert => item.ignored.is_none() && has_passed(before, &item.code),
        // It could not be seen because of another one.
        CheckOutcome::Pass | CheckOutcome::Skipped => false,
    };
    let problems = report.items.iter().filter(is_problem);
    problems.map(|item| item.code.clone()).collect()
}

/// A check that did not run before has not found anything.
fn has_passed(before: Option<&Precheck>, code: &str) -> bool {
    let items = before.iter().flat_map(|before| &before.items);
    let mut same = items.filter(|item| item.code == code);
    same.all(|item| item.outcome == CheckOutcome::Pass)
}

/// What the checks with a problem have found.
pub(super) fn items(found: &Recheck) -> impl Iterator<Item = CheckItem> {
    let items = found.report.items.iter();
    items
        .filter(|item| found.problems.contains(&item.code))
        .cloned()
}

/// Whether there are other problems than the last time. What is seen of one may differ from look to look,
/// as a number of seconds does.
pub(super) fn is_news(found: &Recheck, before: Option<&Recheck>) -> bool {
    match before {
        Some(before) => before.problems != found.problems,
        None => !found.problems.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(items: &[(&str, &str)]) -> Precheck {
        let items: Vec<_> = items
            .iter()
            .map(|(code, outcome)| {
                json!({"code": code, "title": "", "outcome": outcome, "ran": "", "saw": "",
                       "cause": "", "repair": "", "duration_ms": 0})
            })
            .collect();
        serde_json::from_value(json!({
            "id": "", "passed": true, "success_percent": 100, "items": items,
            "started_at": "2026-11-28T00:00:00Z", "finished_at": "2026-11-28T00:00:00Z"
        }))
        .unwrap()
    }

    #[test]
    fn what_was_so_before_the_start_is_no_problem() {
        let before = report(&[("wal_keep", "alert"), ("clock", "pass"), ("keys", "pass")]);
        let now = report(&[
            ("wal_keep", "alert"),
            ("clock", "alert"),
            ("keys", "fail"),
            ("publication", "alert"),
            ("objects", "skipped"),
        ]);
        assert_eq!(
            problems(&now, Some(&before)),
            ["clock", "keys", "publication"]
        );
        assert_eq!(
            problems(&now, None),
            ["wal_keep", "clock", "keys", "publication"]
        );
        let mut ignored = now;
        ignored.items[1].ignored = serde_json::from_value(
            json!({"by": "ada", "reason": "known", "at": "2026-11-28T00:00:00Z"}),
        )
        .unwrap();
        assert_eq!(problems(&ignored, Some(&before)), ["keys", "publication"]);
    }

    #[test]
    fn the_same_problems_are_told_once() {
        let found = |problems: &[&str]| Recheck {
            report: report(&[("keys", "fail"), ("clock", "fail")]),
            problems: problems.iter().map(|code| (*code).to_owned()).collect(),
        };
        assert!(!is_news(&found(&[]), None));
        assert!(is_news(&found(&["keys"]), None));
        assert!(!is_news(&found(&["keys"]), Some(&found(&["keys"]))));
        assert!(is_news(&found(&["keys", "clock"]), Some(&found(&["keys"]))));
        assert!(is_news(&found(&[]), Some(&found(&["keys"]))));
        assert_eq!(items(&found(&["clock"])).count(), 1);
    }
}
