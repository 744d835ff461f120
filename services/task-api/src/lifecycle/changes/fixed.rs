//! What the first start fixes: where a task reads, and how its stream is made. Before it, all of that can be said anew.

use axum::http::StatusCode;
use rowcast_bus::request::ask;
use rowcast_domain::{SourceId, TaskState};
use rowcast_proto::message::ListGroupsRequest;
use rowcast_proto::rest::{CreateTask, Format, Packing, PatchTask};
use rowcast_proto::rpc::ListGroups;
use sqlx::postgres::PgConnection;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::http::{ASK_TIMEOUT, network_is_there, registered_source};
use crate::state::App;
use crate::store::task::StoredTask;
use crate::validate;

/// What of it is wanted otherwise.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    source_id: Option<SourceId>,
    database: Option<String>,
    partitions: Option<u32>,
    transactions: Option<bool>,
    packing: Option<Packing>,
    format: Option<Format>,
    network: Option<String>,
}

impl Fixed {
    /// Takes it out of what is wanted.
    pub(super) fn take(patch: &mut PatchTask) -> Self {
        Self {
            source_id: patch.source_id.take(),
            database: patch.database.take(),
            partitions: patch.partitions.take(),
            transactions: patch.transactions.take(),
            packing: patch.packing.take(),
            format: patch.format.take(),
            network: patch.network.take(),
        }
    }

    /// The fields that would be different.
    fn differing(&self, definition: &CreateTask) -> Vec<&'static str> {
        let source = self.source_id.as_ref();
        let network = self.network.as_deref();
        let database = self.database.as_ref();
        let fields = [
            (
                "source_id",
                source.is_some_and(|id| definition.source_id.as_ref() != Some(id)),
            ),
            (
                "database",
                database.is_some_and(|name| definition.database.as_ref() != Some(name)),
            ),
            (
                "partitions",
                self.partitions
                    .is_some_and(|number| number != definition.partitions()),
            ),
            (
                "transactions",
                self.transactions
                    .is_some_and(|are| are != definition.transactions),
            ),
            (
                "packing",
                self.packing
                    .is_some_and(|packing| packing != definition.packing),
            ),
            (
                "format",
                self.format
                    .is_some_and(|format| format != definition.format),
            ),
            (
                "network",
                network.is_some_and(|name| definition.network.as_deref().unwrap_or("") != name),
            ),
        ];
        let differing = fields.into_iter().filter(|(_field, differs)| *differs);
        differing.map(|(field, _differs)| field).collect()
    }
}

/// Gives the task what is wanted, where its first start has not fixed it; tells the fields that are otherwise.
///
/// # Errors
/// Names the field that is fixed, and why, or the one that cannot be taken.
pub(super) async fn change(
    app: &App,
    connection: &mut PgConnection,
    caller: &Caller,
    task: &mut StoredTask,
    wanted: Fixed,
) -> Result<Vec<&'static str>, ApiError> {
    let differing = wanted.differing(&task.definition);
    let Some(&first) = differing.first() else {
        return Ok(differing);
    };
    may_change(task, first)?;
    if let Some(&field) = differing.iter().find(|field| shapes_groups(field)) {
        has_no_groups(app, task, field).await?;
    }
    let definition = &mut task.definition;
    if differing.contains(&"source_id") {
        let id = wanted.source_id.as_ref();
        let source = registered_source(connection, caller, id).await?;
        // Where no database is named, the new source's.
        definition.database = Some(source.database);
        definition.source_id = Some(source.id.clone());
        task.source_id = source.id;
    }
    definition.database = wanted.database.or(definition.database.take());
    definition.partitions = wanted.partitions.or(definition.partitions);
    definition.transactions = wanted.transactions.unwrap_or(definition.transactions);
    definition.packing = wanted.packing.unwrap_or(definition.packing);
    definition.format = wanted.format.unwrap_or(definition.format);
    if let Some(name) = wanted.network {
        network_is_there(
            app,
            Some(&name)
                .filter(|name| !name.is_empty())
                .map(String::as_str),
        )?;
        definition.network = Some(name).filter(|name| !name.is_empty());
    }
    // All of it together: what each field may be depends on others. Marks among the tags are not of a user.
    let mut whole = definition.clone();
    whole.tags.clear();
    validate::task(&whole)?;
    Ok(differing)
}

/// Whether a precheck is about it.
pub(super) fn is_prechecked(field: &str) -> bool {
    ["source_id", "database"].contains(&field)
}

/// Whether a group was made for it.
fn shapes_groups(field: &str) -> bool {
    ["partitions", "packing", "format", "network"].contains(&field)
}

fn may_change(task: &StoredTask, field: &str) -> Result<(), ApiError> {
    let (code, detail, repair) = if task.was_started() || task.state == TaskState::Resetting {
        let detail = format!("{field} is fixed since the first start: {}", why(field));
        let repair = "Reset the task, which removes its stream and what it made on the source, and change it then; or \
                      make another: POST /api/v1/tasks/{id}/clone.";
        ("field_fixed", detail, repair)
    } else if task.state == TaskState::Prechecking {
        let detail = format!("{field} cannot be changed while a precheck looks at it");
        ("precheck_runs", detail, "Wait for the end of the precheck.")
    } else {
        return Ok(());
    };
    let refused = ApiError::refused(StatusCode::CONFLICT, code, detail);
    Err(refused.field(field).state(task.state).repair(repair))
}

/// What would be wrong with a task that has another one of it from some change on.
fn why(field: &str) -> &'static str {
    match field {
        "source_id" | "database" => {
            "positions are of one server and one database, and so are slot and publication"
        }
        "partitions" => "a key would lie in two partitions, and its changes lose their order",
        "transactions" => "the marks would be missing from a part of the stream",
        "network" => "clients have been told where to connect",
        _ => "the stream would hold messages of two kinds, and groups read one",
    }
}

async fn has_no_groups(app: &App, task: &StoredTask, field: &str) -> Result<(), ApiError> {
    let question = ListGroupsRequest {
        task_id: task.id.to_string(),
    };
    let groups = ask::<ListGroups>(app.bus(), &question, ASK_TIMEOUT).await?;
    if groups.groups.is_empty() {
        return Ok(());
    }
    let detail = format!("{field} is fixed by the groups of the task, which were made for it");
    let refused = ApiError::refused(StatusCode::CONFLICT, "field_fixed", detail);
    Err(refused
        .field(field)
        .repair("Delete the groups of the task first, and make them anew behind the change."))
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::DesiredState;

    use super::super::super::tests::task;
    use super::*;

    fn wanted(text: &str) -> Fixed {
        Fixed::take(&mut serde_json::from_str(text).unwrap())
    }

    #[test]
    fn what_is_so_already_differs_in_nothing() {
        let mut fresh = task(TaskState::NotStarted, DesiredState::Unspecified).definition;
        fresh.database = Some("shop".to_owned());
        let same = r#"{"source_id": "s000000000000", "database": "shop", "partitions": 16,
            "transactions": false, "packing": "row", "format": "json", "network": ""}"#;
        assert!(wanted(same).differing(&fresh).is_empty());
        let other = r#"{"source_id": "s000000000001", "database": "crm", "partitions": 1,
            "transactions": true, "packing": "transaction", "format": "protobuf", "network": "public"}"#;
        let fields = wanted(other).differing(&fresh);
        assert_eq!(fields.len(), 7, "{fields:?}");
    }

    #[test]
    fn a_start_fixes_each_field_for_its_own_reason() {
        let running = task(TaskState::Running, DesiredState::Running);
        let Err(ApiError::Refused(refused)) = may_change(&running, "partitions") else {
            panic!("partitions of a running task are changed");
        };
        assert_eq!(
            (refused.code.as_str(), refused.field.as_deref()),
            ("field_fixed", Some("partitions"))
        );
        assert!(refused.detail.contains("order"), "{}", refused.detail);
        let reset = task(TaskState::NotStarted, DesiredState::Released);
        assert!(may_change(&reset, "partitions").is_ok());
        for state in [TaskState::Prechecking, TaskState::Resetting] {
            let task = task(state, DesiredState::Released);
            assert!(may_change(&task, "database").is_err(), "{state}");
        }
    }
}
