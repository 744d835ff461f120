//! Does a slot of the task's name stand on the server, and is it fit?
//!
//! Before the first start there should be none. One that is in use takes changes that the task would never see, and
//! one that is lost has none of them any more: nobody can answer for either. Whose it is cannot be seen, so the
//! check does not fail: a capture that is just about to let go of the task's own is gone when it is looked again.

use rowcast_pg::slot::{self, SlotState};
use rowcast_pg::{Error, settings};
use rowcast_proto::message::CheckOutcome;

use super::Rule;
use super::server_version::PUBLICATIONS_SINCE;
use crate::finding::Finding;
use crate::literal;
use crate::source::Source;

/// The output plugin of the task's slots.
const PLUGIN: &str = "pgoutput";

/// The same, of a server without publications.
const PLUGIN_BEFORE_10: &str = "test_decoding";

pub(super) const RULE: Rule = Rule {
    code: "existing_slot",
    title: "Nobody else has the task's replication slot",
    ran: "SELECT plugin, database, active, wal_status FROM pg_replication_slots \
          WHERE slot_name = 'rowcast_<task>'",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let name = source.wish.object_name();
    let row = source
        .session
        .query_one("SELECT pg_catalog.current_database()::text", &[])
        .await?;
    let database: String = row.try_get(0)?;
    let found = slot::find(&source.session, &name).await?;
    let version = settings::read(&source.session).await?.server_version;
    let wanted = if version < PUBLICATIONS_SINCE {
        PLUGIN_BEFORE_10
    } else {
        PLUGIN
    };
    if source.wish.started {
        return Ok(judge_started(&name, found.as_ref(), &database, wanted));
    }
    Ok(judge(&name, found.as_ref(), &database, wanted))
}

/// Before 9.5 a slot does not tell who streams from it.
fn end_of(slot: &SlotState, name: &str) -> String {
    match slot.active_pid {
        Some(_) => format!(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = \
             '{name}';"
        ),
        None => "See who streams, and end the one by pg_terminate_backend:\nSELECT pid, application_name, \
                 client_addr FROM pg_stat_replication;"
            .to_owned(),
    }
}

fn judge(name: &str, found: Option<&SlotState>, database: &str, wanted: &str) -> Finding {
    let Some(slot) = found else {
        return Finding::pass(format!("there is no slot {name} yet"));
    };
    let drop = literal::drop_slot(name);
    let plugin = slot.plugin.as_deref().unwrap_or("none");
    let of = slot.database.as_deref().unwrap_or("none");
    if plugin != wanted || of != database {
        return Finding::fail(
            format!("slot {name} of database {of} with plugin {plugin}"),
            "The slot bears the task's name but is not the task's.",
            drop,
        );
    }
    if slot.is_lost() {
        return Finding::to_repair(
            format!("slot {name} is lost"),
            "The server no longer has the WAL that the task would continue from: the task stops at \
             the gap until it is accepted.",
            format!("Accept the gap when the task stops.\nOr, to begin anew:\n{drop}"),
        );
    }
    if slot.active {
        let pid = slot
            .active_pid
            .map_or_else(String::new, |pid| format!(" by process {pid}"));
        return Finding::to_repair(
            format!("slot {name} is in use{pid}"),
            "Somebody streams from the slot: this task, or a foreign client that takes its place.",
            format!(
                "Nothing, while the task runs. Otherwise:\n{}",
                end_of(slot, name)
            ),
        );
    }
    let position = slot
        .confirmed_flush_lsn
        .map_or_else(String::new, |lsn| format!(" at {lsn}"));
    Finding::pass(format!(
        "slot {name} stands{position}, the task continues from it"
    ))
}

/// The slot of a task that was started must be there, whoever streams from it at this moment.
fn judge_started(name: &str, found: Option<&SlotState>, database: &str, wanted: &str) -> Finding {
    let Some(slot) = found else {
        return Finding::fail(
            format!("there is no slot {name}"),
            "The task's slot was dropped: what was changed since then and not read is lost to it.",
            "Start the task with the stop Gap accepted, or release it.",
        );
    };
    if slot.active && !slot.is_lost() {
        return endangered(name, slot)
            .unwrap_or_else(|| Finding::pass(format!("slot {name} is in use, as it should be")));
    }
    let finding = judge(name, found, database, wanted);
    if finding.outcome != CheckOutcome::Pass {
        return finding;
    }
    endangered(name, slot).unwrap_or(finding)
}

/// Whether the server may soon remove WAL that the task has not read.
fn endangered(name: &str, slot: &SlotState) -> Option<Finding> {
    if slot.wal_status.as_deref() != Some("unreserved") {
        return None;
    }
    Some(Finding::fail(
        format!("slot {name} is behind all WAL that the server keeps (wal_status unreserved)"),
        "The next checkpoint may remove WAL that the task has not read, and the task would stop at the gap.",
        format!(
            "Until the task has caught up:\n{}",
            literal::set("max_slot_wal_keep_size", "-1")
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> SlotState {
        SlotState {
            plugin: Some(PLUGIN.to_owned()),
            database: Some("shop".to_owned()),
            active: false,
            active_pid: None,
            restart_lsn: None,
            confirmed_flush_lsn: None,
            wal_status: Some("reserved".to_owned()),
            safe_wal_size: None,
            invalidation_reason: None,
            temporary: false,
            failover: false,
            synced: false,
        }
    }

    fn outcome(slot: &SlotState) -> CheckOutcome {
        judge("rowcast_t1", Some(slot), "shop", PLUGIN).outcome
    }

    #[test]
    fn no_slot_and_an_idle_one_are_good() {
        assert_eq!(
            judge("rowcast_t1", None, "shop", PLUGIN).outcome,
            CheckOutcome::Pass
        );
        assert_eq!(outcome(&slot()), CheckOutcome::Pass);
    }

    #[test]
    fn one_in_use_or_lost_is_worth_knowing() {
        let active = SlotState {
            active: true,
            active_pid: Some(7),
            ..slot()
        };
        assert_eq!(outcome(&active), CheckOutcome::Alert);
        let lost = SlotState {
            wal_status: Some("lost".to_owned()),
            ..slot()
        };
        assert_eq!(outcome(&lost), CheckOutcome::Alert);
    }

    #[test]
    fn that_of_a_started_task_is_there_and_may_be_in_use() {
        let judge = |slot: Option<&SlotState>| judge_started("rowcast_t1", slot, "shop", PLUGIN);
        assert_eq!(judge(None).outcome, CheckOutcome::Fail);
        let active = SlotState {
            active: true,
            ..slot()
        };
        for good in [&active, &slot()] {
            assert_eq!(judge(Some(good)).outcome, CheckOutcome::Pass);
        }
        for active in [true, false] {
            let behind = SlotState {
                active,
                wal_status: Some("unreserved".to_owned()),
                ..slot()
            };
            assert_eq!(judge(Some(&behind)).outcome, CheckOutcome::Fail);
        }
    }

    #[test]
    fn a_foreign_one_must_go() {
        let other = SlotState {
            database: Some("crm".to_owned()),
            ..slot()
        };
        assert_eq!(outcome(&other), CheckOutcome::Fail);
        let physical = SlotState {
            plugin: None,
            database: None,
            ..slot()
        };
        assert_eq!(outcome(&physical), CheckOutcome::Fail);
        // From before an upgrade of the server.
        let older = SlotState {
            plugin: Some(PLUGIN_BEFORE_10.to_owned()),
            ..slot()
        };
        assert_eq!(outcome(&older), CheckOutcome::Fail);
    }
}
