//! What a check found.

use std::time::Duration;

use rowcast_pg::Error;
use rowcast_proto::message::CheckOutcome;

/// How a check ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: CheckOutcome,
    /// Of an alert: nobody can answer for it.
    pub(crate) must_repair: bool,
    /// What was seen.
    pub(crate) saw: String,
    /// Why that is a problem; empty on pass.
    pub(crate) cause: String,
    /// SQL or setting that repairs it; empty on pass.
    pub(crate) repair: String,
}

impl Finding {
    /// Nothing to do.
    pub(crate) fn pass(saw: impl Into<String>) -> Self {
        let nothing = String::new;
        Self {
            outcome: CheckOutcome::Pass,
            must_repair: false,
            saw: saw.into(),
            cause: nothing(),
            repair: nothing(),
        }
    }

    /// To be repaired, or answered for by somebody.
    pub(crate) fn alert(
        saw: impl Into<String>,
        cause: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        let outcome = CheckOutcome::Alert;
        Self {
            outcome,
            must_repair: false,
            saw: saw.into(),
            cause: cause.into(),
            repair: repair.into(),
        }
    }

    /// An alert that nobody can answer for: to go on is known to lose or to break something unless it is
    /// repaired, and yet the check cannot be sure enough to fail.
    pub(crate) fn to_repair(
        saw: impl Into<String>,
        cause: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        Self {
            must_repair: true,
            ..Self::alert(saw, cause, repair)
        }
    }

    /// Must be repaired before the task can start.
    pub(crate) fn fail(
        saw: impl Into<String>,
        cause: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        let outcome = CheckOutcome::Fail;
        Self {
            outcome,
            must_repair: false,
            saw: saw.into(),
            cause: cause.into(),
            repair: repair.into(),
        }
    }

    /// Could not run because an earlier check failed.
    pub(crate) fn skipped(cause: impl Into<String>) -> Self {
        let nothing = String::new;
        let outcome = CheckOutcome::Skipped;
        Self {
            outcome,
            must_repair: false,
            saw: nothing(),
            cause: cause.into(),
            repair: nothing(),
        }
    }

    /// The server has not answered for so long.
    pub(crate) fn silent(waited: Duration) -> Self {
        Self::fail(
            format!("no answer within {} s", waited.as_secs()),
            "The source does not answer, or not in time.",
            "See what holds it up: SELECT pid, state, wait_event_type, query FROM pg_stat_activity; then run \
             the precheck again.",
        )
    }

    /// The server did not let the check read what it needs: unknown is not good.
    pub(crate) fn unreadable(error: &Error) -> Self {
        Self::fail(
            error.to_string(),
            "The check could not read what it needs.",
            "Repair what the server reports and run the precheck again.",
        )
    }
}

/// `names` for people: at most ten, then how many more there are.
pub(crate) fn name_some(names: impl IntoIterator<Item = String>) -> String {
    const SHOWN: usize = 10;
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(SHOWN).collect();
    let more = names.count();
    let shown = shown.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(name_some(["a".to_owned(), "b".to_owned()]), "a, b");
        let many = name_some((0..12).map(|number| number.to_string()));
        assert_eq!(many, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more");
    }
}
