//! Is something of earlier tasks left on the server?
//!
//! A task owns a slot and a publication that bear its id. Where no task of this installation has that id, its release
//! could not remove them, or another installation made them: that cannot be told apart from here, so the check alerts
//! and somebody decides. What schema `rowcast` holds is shared by the tasks of a database and is not looked at: it
//! costs nothing and the next task that tells schema changes uses it.

use rowcast_domain::TaskId;
use rowcast_pg::{Error, settings};
use rowcast_proto::stream;

use super::Rule;
use super::server_version::PUBLICATIONS_SINCE;
use crate::finding::{Finding, name_some};
use crate::source::Source;

/// Statements shown at most.
const SHOWN: usize = 50;

pub(super) const RULE: Rule = Rule {
    code: "leftovers",
    title: "Nothing is left of earlier tasks",
    ran: "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE 'rowcast\\_%' AND NOT active; \
          SELECT pubname FROM pg_publication WHERE pubname LIKE 'rowcast\\_%'",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    let slots = names(
        source,
        "SELECT slot_name::text
         FROM pg_catalog.pg_replication_slots
         WHERE slot_name LIKE 'rowcast\\_%'
           AND NOT active
         ORDER BY 1",
    )
    .await?;
    let publications = if version < PUBLICATIONS_SINCE {
        Vec::new()
    } else {
        // That of a slot in use is somebody's.
        let query = "SELECT p.pubname::text
                     FROM pg_catalog.pg_publication AS p
                     WHERE p.pubname LIKE 'rowcast\\_%'
                       AND NOT EXISTS (SELECT 1
                                       FROM pg_catalog.pg_replication_slots AS s
                                       WHERE s.slot_name = p.pubname
                                         AND s.active)
                     ORDER BY 1";
        names(source, query).await?
    };
    let live = source.wish.live_tasks.as_deref().unwrap_or_default();
    let own = &source.wish.task;
    Ok(judge(
        &of_nobody(slots, live, own),
        &of_nobody(publications, live, own),
    ))
}

async fn names(source: &Source, query: &str) -> Result<Vec<String>, Error> {
    let rows = source.session.query(query, &[]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Those that bear the id of a task that this installation does not have.
fn of_nobody(mut names: Vec<String>, live: &[TaskId], own: &TaskId) -> Vec<String> {
    names.retain(|name| {
        let id = name.strip_prefix("rowcast_");
        let is_of_a_task = id.is_some_and(|id| id.parse::<TaskId>().is_ok());
        let is_of = |task: &TaskId| stream::source_object(task) == *name;
        is_of_a_task && !is_of(own) && !live.iter().any(is_of)
    });
    names
}

fn judge(slots: &[String], publications: &[String]) -> Finding {
    if slots.is_empty() && publications.is_empty() {
        return Finding::pass("neither a slot nor a publication of a task that is not there");
    }
    let mut saw = Vec::new();
    for (what, names) in [("slots", slots), ("publications", publications)] {
        if !names.is_empty() {
            saw.push(format!("{what}: {}", name_some(names.iter().cloned())));
        }
    }
    let slots = slots
        .iter()
        .map(|name| format!("SELECT pg_drop_replication_slot('{name}');"));
    let publications = publications
        .iter()
        .map(|name| format!("DROP PUBLICATION {name};"));
    let mut statements: Vec<String> = slots.chain(publications).collect();
    if statements.len() > SHOWN {
        let more = statements.len() - SHOWN;
        statements.truncate(SHOWN);
        statements.push(format!("-- and {more} more"));
    }
    Finding::alert(
        saw.join("; "),
        "No task of this installation has these. A slot keeps WAL until the disk is full, and takes a place from other \
         tasks; a table without a key that is in a publication cannot be updated.",
        format!(
            "Unless another installation of Rowcast needs them:\n{}",
            statements.join("\n")
        ),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    fn task(id: &str) -> TaskId {
        id.parse().unwrap()
    }

    #[test]
    fn only_what_bears_the_id_of_no_task_is_left_over() {
        let (own, live, gone) = ("t000000000001", "t000000000002", "t000000000003");
        let mut names: Vec<String> = [own, live, gone]
            .map(|id| stream::source_object(&task(id)))
            .to_vec();
        names.push("rowcast_is_a_name_of_theirs".to_owned());
        let left = of_nobody(names, &[task(live)], &task(own));
        assert_eq!(left, [stream::source_object(&task(gone))]);
        let finding = judge(&left, &left);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert!(
            finding.repair.ends_with(
                "SELECT pg_drop_replication_slot('rowcast_t000000000003');\n\
                 DROP PUBLICATION rowcast_t000000000003;"
            ),
            "{}",
            finding.repair
        );
        assert_eq!(judge(&[], &[]).outcome, CheckOutcome::Pass);
    }
}
