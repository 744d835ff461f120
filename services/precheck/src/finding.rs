//! What a check found.

use std::time::Duration;

use rowcast_pg::Error;
use rowcast_proto::message::CheckOutcome;

/// How a check ended, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) outcome: CheckOutcome,
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
            saw: saw.into(),
            cause: nothing(),
            repair: nothing(),
        }
    }

    /// Worth knowing; does not hinder.
    pub(crate) fn alert(
        saw: impl Into<String>,
        cause: impl Into<String>,
        repair: impl Into<String>,
    ) -> Self {
        let outcome = CheckOutcome::Alert;
        Self {
            outcome,
            saw: saw.into(),
            cause: cause.into(),
            repair: repair.into(),
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
