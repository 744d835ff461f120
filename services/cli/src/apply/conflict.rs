//! Differences that no step removes: what is fixed once a task is there. Pure.

use std::collections::BTreeMap;

use rowcast_proto::rest::{Packing, Task};

use super::change::SET_TAG;
use super::document::{Document, TaskEntry};
use super::plan::Present;
use crate::table::or_dash;

/// Says so where two values are not the same.
pub(super) fn differs(what: &str, there: &impl ToString, wanted: &impl ToString) -> Option<String> {
    let (there, wanted) = (there.to_string(), wanted.to_string());
    (there != wanted).then(|| format!("{what} is {there} and cannot be made {wanted}"))
}

/// The database that the task's source gives it.
pub(super) fn source_database<'a>(
    task: &TaskEntry,
    document: &'a Document,
    present: &'a Present,
) -> Result<&'a str, String> {
    let mut written = document.sources.iter();
    if let Some(source) = written.find(|source| source.name == task.source) {
        return Ok(&source.database);
    }
    let there = present.source(&task.source)?.ok_or_else(|| {
        format!(
            "task {}: there is no source {:?}, neither here nor in the file",
            task.name, task.source
        )
    })?;
    Ok(&there.database)
}

pub(super) fn task_conflicts(
    wanted: &TaskEntry,
    there: &Task,
    document: &Document,
    present: &Present,
) -> Vec<String> {
    let what = |field: &str| format!("task {}: {field}", wanted.name);
    let source = present
        .sources
        .iter()
        .find(|source| source.id == there.source_id)
        .map_or_else(|| there.source_id.to_string(), |source| source.name.clone());
    let packing = (packed(there.packing), packed(wanted.packing));
    let format = (there.format.as_str(), wanted.format.as_str());
    let transactions = (there.transactions, wanted.transactions);
    let partitions = wanted.partitions.unwrap_or(there.partitions);
    let network = or_dash(there.network.clone());
    let database = match &wanted.database {
        Some(database) => Ok(database.as_str()),
        None => source_database(wanted, document, present),
    };
    let database = match database {
        Ok(database) => differs(&what("database"), &there.database, &database),
        Err(conflict) => Some(conflict),
    };
    [
        differs(&what("source"), &source, &wanted.source),
        database,
        of_another_set(&what("set"), &there.tags, document.set.as_ref()),
        differs(&what("partitions"), &there.partitions, &partitions),
        differs(&what("transactions"), &transactions.0, &transactions.1),
        differs(&what("packing"), &packing.0, &packing.1),
        differs(&what("format"), &format.0, &format.1),
        wanted
            .network
            .as_ref()
            .and_then(|wanted| differs(&what("network"), &network, wanted)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Two files that name one thing would take it from each other.
pub(super) fn of_another_set(
    what: &str,
    there: &BTreeMap<String, String>,
    set: Option<&String>,
) -> Option<String> {
    let (set, other) = (set?, there.get(SET_TAG)?);
    (set != other).then(|| {
        format!("{what} is {other} and not {set}: `rowcast … update --untag {SET_TAG}` frees it")
    })
}

const fn packed(packing: Packing) -> &'static str {
    match packing {
        Packing::Row => "row",
        Packing::Transaction => "transaction",
    }
}
