//! Is a replication slot free for the task?

use rowcast_pg::{Error, settings, slot};

use super::Rule;
use crate::finding::Finding;
use crate::literal;
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
    let rows = source
        .session
        .query(
            "SELECT s.slot_name::text
             FROM pg_catalog.pg_replication_slots AS s
             WHERE NOT s.active
             ORDER BY 1",
            &[],
        )
        .await?;
    let idle: Result<Vec<String>, Error> = rows.iter().map(|row| Ok(row.try_get(0)?)).collect();
    Ok(judge(maximum, used, own.is_some(), &idle?))
}

/// The task needs one slot, unless it has its own already. Nobody reads the `idle` ones at the moment.
fn judge(maximum: u32, used: i64, has_own: bool, idle: &[String]) -> Finding {
    let saw = format!("{used} of {maximum} replication slots in use");
    if has_own {
        return Finding::pass(format!("{saw}, one of them by this task"));
    }
    let maximum = i64::from(maximum);
    if used < maximum {
        return Finding::pass(saw);
    }
    let mut repair = format!(
        "Run this, then restart PostgreSQL:\nALTER SYSTEM SET max_replication_slots = {};",
        used + 1
    );
    if !idle.is_empty() {
        let drops = literal::lines(idle.iter().map(|name| literal::drop_slot(name)));
        repair = format!(
            "{repair}\nOr drop one of those that nobody reads now, where nobody needs it any more:\n{drops}"
        );
    }
    Finding::fail(saw, "The task needs a replication slot of its own.", repair)
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn one_must_be_free_or_the_tasks_own() {
        assert_eq!(judge(10, 9, false, &[]).outcome, CheckOutcome::Pass);
        assert_eq!(judge(10, 10, true, &[]).outcome, CheckOutcome::Pass);
        let full = judge(10, 10, false, &["old".to_owned()]);
        assert_eq!(full.outcome, CheckOutcome::Fail);
        assert!(
            full.repair
                .ends_with("\nSELECT pg_drop_replication_slot('old');"),
            "{}",
            full.repair
        );
        assert!(
            full.repair.contains("max_replication_slots = 11;"),
            "{}",
            full.repair
        );
    }
}
