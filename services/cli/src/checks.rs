//! Checks of a precheck, steps of a test: a table, and below it what is wrong with its repair.

use rowcast_proto::rest::{CheckItem, CheckOutcome};

use crate::output;
use crate::table::{plain_table, time};

/// For people. `what` heads the column of titles.
pub(crate) fn in_words(what: &str, items: &[CheckItem]) -> String {
    let mut checks = plain_table([what, "RESULT", "SAW"]);
    for item in items {
        checks.add_row([item.title.as_str(), word(item.outcome), item.saw.as_str()]);
    }
    let problems = items
        .iter()
        .filter(|item| matches!(item.outcome, CheckOutcome::Fail | CheckOutcome::Alert))
        .map(problem);
    format!(
        "{}{}",
        output::in_lines(&checks),
        problems.collect::<String>()
    )
}

fn problem(item: &CheckItem) -> String {
    let repair = item.repair.replace('\n', "\n  ");
    let must = if item.is_open() && !item.may_be_ignored() {
        ", must be repaired"
    } else {
        ""
    };
    let ignored = item.ignored.as_ref().map_or_else(String::new, |ignored| {
        format!(
            "\n  ignored by {} since {}: {}",
            ignored.by,
            time(&ignored.at),
            ignored.reason
        )
    });
    format!(
        "\n\n{} ({}{must}): {}\n  repair: {repair}{ignored}",
        item.title, item.code, item.cause
    )
}

pub(crate) const fn word(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Pass => "pass",
        CheckOutcome::Alert => "alert",
        CheckOutcome::Fail => "fail",
        CheckOutcome::Skipped => "skipped",
    }
}
