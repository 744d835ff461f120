//! Is the task's slot there after a failover?
//!
//! From 17 on a standby copies slots that ask for it, as ours do (PostgreSQL docs, "Logical Decoding", "Replication
//! Slot Synchronization"). Before, a slot is on one server alone.

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

/// First version that copies slots.
const COPIED_SINCE: u32 = 170_000;

/// First version with slots that end with their session, as those of a base backup do.
const TEMPORARY_SINCE: u32 = 100_000;

pub(super) const RULE: Rule = Rule {
    code: "slot_failover",
    title: "The slot outlives a failover",
    ran: "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'physical'; \
          SHOW synchronized_standby_slots",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    let lasting = if version < TEMPORARY_SINCE {
        "true"
    } else {
        "NOT temporary"
    };
    let query = format!(
        "SELECT COALESCE(pg_catalog.array_agg(slot_name::text ORDER BY slot_name), '{{}}'),
                COALESCE(pg_catalog.min((SELECT setting
                                         FROM pg_catalog.pg_settings
                                         WHERE name = 'synchronized_standby_slots')), '')
         FROM pg_catalog.pg_replication_slots
         WHERE slot_type = 'physical'
           AND {lasting}"
    );
    let row = source.session.query_one(&query, &[]).await?;
    let (standbys, awaited): (Vec<String>, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(judge(version, &standbys, &awaited))
}

fn judge(version: u32, standbys: &[String], awaited: &str) -> Finding {
    if standbys.is_empty() {
        return Finding::pass("no standby has a slot here");
    }
    let saw = format!("standbys: {}", name_some(standbys.iter().cloned()));
    if version < COPIED_SINCE {
        return Finding::alert(
            saw,
            "Before PostgreSQL 17 a standby has no copy of the slot. After a failover the task stops, and what was \
             written in between has to be read from the tables.",
            "Upgrade to PostgreSQL 17, or let what manages the failover keep logical slots on standbys (Patroni: `slots` \
             of its configuration).",
        );
    }
    if awaited.is_empty() {
        return Finding::alert(
            format!("{saw}; synchronized_standby_slots is empty"),
            "The task may read ahead of a standby: should that become the primary, it lacks what readers have seen.",
            format!(
                "{}\nAnd on each standby set sync_replication_slots = on, hot_standby_feedback = on, and a dbname in \
                 primary_conninfo.",
                literal::set(
                    "synchronized_standby_slots",
                    &format!("'{}'", standbys.join(", "))
                )
            ),
        );
    }
    Finding::pass(format!("{saw}; awaited: {awaited}"))
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn a_standby_needs_a_copy_of_the_slot_and_to_be_waited_for() {
        let standby = ["standby_1".to_owned()];
        let outcome =
            |version, standbys: &[String], awaited| judge(version, standbys, awaited).outcome;
        assert_eq!(outcome(150_000, &[], ""), CheckOutcome::Pass);
        assert_eq!(outcome(150_000, &standby, ""), CheckOutcome::Alert);
        assert_eq!(outcome(170_000, &standby, "standby_1"), CheckOutcome::Pass);
        let unawaited = judge(180_000, &standby, "");
        assert_eq!(unawaited.outcome, CheckOutcome::Alert);
        assert!(
            unawaited.repair.contains("= 'standby_1';"),
            "{}",
            unawaited.repair
        );
    }
}
