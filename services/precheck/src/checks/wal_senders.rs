//! Is a replication connection free for the task?

use rowcast_pg::{Error, settings, slot};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "wal_senders",
    title: "A replication connection is free",
    ran: "SHOW max_wal_senders; SELECT count(*) FROM pg_stat_replication",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let maximum = settings::read(&source.session).await?.max_wal_senders;
    let used = slot::occupancy(&source.session).await?.walsenders;
    let own = slot::find(&source.session, &source.wish.object_name()).await?;
    Ok(judge(maximum, used, own.is_some_and(|slot| slot.active)))
}

/// What makes room for one more than are used.
pub(super) fn more(used: i64) -> String {
    format!(
        "Run this, then restart PostgreSQL:\nALTER SYSTEM SET max_wal_senders = {};",
        used + 1
    )
}

/// The task needs one connection, unless it streams already.
fn judge(maximum: u32, used: i64, streams: bool) -> Finding {
    let saw = format!("{used} of {maximum} replication connections in use");
    if streams {
        return Finding::pass(format!("{saw}, one of them by this task"));
    }
    if used < i64::from(maximum) {
        return Finding::pass(saw);
    }
    Finding::fail(
        saw,
        "The task needs a replication connection of its own.",
        more(used),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn one_must_be_free_or_the_tasks_own() {
        assert_eq!(judge(10, 9, false).outcome, CheckOutcome::Pass);
        assert_eq!(judge(1, 1, true).outcome, CheckOutcome::Pass);
        let none = judge(0, 0, false);
        assert_eq!(none.outcome, CheckOutcome::Fail);
        assert!(
            none.repair.contains("max_wal_senders = 1;"),
            "{}",
            none.repair
        );
    }
}
