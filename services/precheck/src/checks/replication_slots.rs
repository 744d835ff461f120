//! Is a replication slot free for the task?

use rowcast_pg::{Error, settings, slot};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "replication_slots",
    title: "A replication slot is free",
    ran: "SHOW max_replication_slots; SELECT count(*) FROM pg_replication_slots",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let maximum = settings::read(&source.session).await?.max_replication_slots;
    let used = slot::occupancy(&source.session).await?.slots;
    let own = slot::find(&source.session, &source.wish.object_name()).await?;
    Ok(judge(maximum, used, own.is_some()))
}

/// The task needs one slot, unless it has its own already.
fn judge(maximum: u32, used: i64, has_own: bool) -> Finding {
    let saw = format!("{used} of {maximum} replication slots in use");
    if has_own {
        return Finding::pass(format!("{saw}, one of them by this task"));
    }
    let maximum = i64::from(maximum);
    if used < maximum {
        return Finding::pass(saw);
    }
    Finding::fail(
        saw,
        "The task needs a replication slot of its own.",
        format!(
            "ALTER SYSTEM SET max_replication_slots = {}; then restart PostgreSQL. Or drop a slot \
             that nobody uses: SELECT slot_name FROM pg_replication_slots WHERE NOT active; \
             SELECT pg_drop_replication_slot('<slot_name>');",
            used + 1
        ),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn one_must_be_free_or_the_tasks_own() {
        assert_eq!(judge(10, 9, false).outcome, CheckOutcome::Pass);
        assert_eq!(judge(10, 10, true).outcome, CheckOutcome::Pass);
        let full = judge(10, 10, false);
        assert_eq!(full.outcome, CheckOutcome::Fail);
        assert!(
            full.repair.contains("max_replication_slots = 11;"),
            "{}",
            full.repair
        );
    }
}
