//! Does a slot that nobody reads hold WAL back?

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

/// What a slot may hold back that nobody reads, in bytes: a suspended reader is no problem at once.
const HELD_MAX: i64 = 1 << 30;

/// First version that calls WAL by this name in functions.
const WAL_SINCE: u32 = 100_000;

pub(super) const RULE: Rule = Rule {
    code: "wal_held",
    title: "No abandoned slot fills the disk",
    ran: "SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) \
          FROM pg_replication_slots WHERE NOT active",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    let (difference, now) = if version < WAL_SINCE {
        ("pg_xlog_location_diff", "pg_current_xlog_location()")
    } else {
        ("pg_wal_lsn_diff", "pg_current_wal_lsn()")
    };
    let query = format!(
        "SELECT slot_name::text,
                pg_catalog.{difference}(pg_catalog.{now}, restart_lsn)::bigint
         FROM pg_catalog.pg_replication_slots
         WHERE NOT active
           AND restart_lsn IS NOT NULL
           AND slot_name <> $1
           AND NOT pg_catalog.pg_is_in_recovery()
         ORDER BY 2 DESC"
    );
    let own = source.wish.object_name();
    let rows = source.session.query(&query, &[&own]).await?;
    let held: Result<Vec<(String, i64)>, Error> = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect();
    Ok(judge(&held?))
}

fn judge(held: &[(String, i64)]) -> Finding {
    let many: Vec<&(String, i64)> = held.iter().filter(|(_, bytes)| *bytes > HELD_MAX).collect();
    if many.is_empty() {
        return Finding::pass(format!("slots that nobody reads: {}", held.len()));
    }
    let told = many
        .iter()
        .map(|(name, bytes)| format!("{name} holds {} GiB", bytes >> 30));
    let statements = literal::lines(many.iter().map(|(name, _)| literal::drop_slot(name)));
    Finding::alert(
        name_some(told),
        "Nobody reads these slots now, and the server keeps all WAL for them: its disk may fill up, and then it stops, \
         for this task too.",
        format!("Let their readers go on, or, where nobody needs them any more:\n{statements}"),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn only_slots_that_hold_much_are_told() {
        let slots = [("old".to_owned(), 5 << 30), ("paused".to_owned(), 1 << 20)];
        let finding = judge(&slots);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "old holds 5 GiB");
        assert!(
            finding
                .repair
                .ends_with("SELECT pg_drop_replication_slot('old');")
        );
        assert_eq!(judge(&slots[1..]).outcome, CheckOutcome::Pass);
    }
}
