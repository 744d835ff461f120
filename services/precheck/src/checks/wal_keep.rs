//! How much WAL does the server keep for a slot?

use std::time::Duration;

use rowcast_pg::Error;
use rowcast_pg::settings::{self, Settings};

use super::Rule;
use crate::finding::Finding;
use crate::literal;
use crate::source::Source;

/// The first version with a limit.
const LIMIT_SINCE: u32 = 130_000;

pub(super) const RULE: Rule = Rule {
    code: "wal_keep",
    title: "The WAL kept for the task is limited",
    ran: "SHOW max_slot_wal_keep_size; SHOW idle_replication_slot_timeout",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let Settings {
        server_version,
        max_slot_wal_keep_bytes,
        idle_replication_slot_timeout,
        ..
    } = settings::read(&source.session).await?;
    Ok(judge(
        server_version,
        max_slot_wal_keep_bytes,
        idle_replication_slot_timeout,
    ))
}

fn judge(version: u32, keep_bytes: Option<u64>, idle_timeout: Option<Duration>) -> Finding {
    if let Some(timeout) = idle_timeout {
        return Finding::alert(
            format!(
                "idle_replication_slot_timeout = {} min",
                timeout.as_secs() / 60
            ),
            "The server gives up on the slot of a task that is suspended for longer; changes are lost.",
            literal::set("idle_replication_slot_timeout", "0"),
        );
    }
    match keep_bytes {
        Some(bytes) => Finding::pass(format!("max_slot_wal_keep_size = {} MB", bytes >> 20)),
        None if version < LIMIT_SINCE => Finding::alert(
            "no limit before PostgreSQL 13",
            "While the task is suspended or behind, the server keeps all WAL and its disk can fill \
             up.",
            "Watch the disk of the source; release a task that is no longer needed.",
        ),
        None => Finding::alert(
            "max_slot_wal_keep_size = -1",
            "While the task is suspended or behind, the server keeps all WAL and its disk can fill \
             up.",
            format!(
                "Set what the disk can spare:\n{}",
                literal::set("max_slot_wal_keep_size", "'64GB'")
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn no_limit_is_worth_knowing() {
        assert_eq!(judge(180_000, None, None).outcome, CheckOutcome::Alert);
        assert_eq!(judge(120_000, None, None).outcome, CheckOutcome::Alert);
        let limited = judge(180_000, Some(64 << 30), None);
        assert_eq!(limited.outcome, CheckOutcome::Pass);
        assert_eq!(limited.saw, "max_slot_wal_keep_size = 65536 MB");
    }

    #[test]
    fn a_limit_of_idleness_is_worth_knowing() {
        let hour = Some(Duration::from_secs(3600));
        let finding = judge(180_000, Some(64 << 30), hour);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert_eq!(finding.saw, "idle_replication_slot_timeout = 60 min");
    }
}
