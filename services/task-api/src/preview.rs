//! What makes a task of the same configuration: by curl, by the command, by a file for it. Pure.

mod command;

use rowcast_proto::rest::{CreateTask, OWN_TAGS, TaskPreview};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// `source` is the name of the task's source.
///
/// # Errors
/// Where the definition cannot be written.
pub(crate) fn preview(definition: &CreateTask, source: &str) -> Result<TaskPreview, ApiError> {
    let mut body = definition.clone();
    body.partitions = Some(body.partitions());
    // Marks are given by what makes the task.
    body.tags.retain(|key, _value| !key.starts_with(OWN_TAGS));
    Ok(TaskPreview {
        curl: curl(&body)?,
        command: command::create_task(&body)?,
        yaml: yaml(&body, source)?,
        body,
    })
}

/// A quoted here-document needs no escapes, and no line of JSON is its end.
fn curl(body: &CreateTask) -> Result<String, ApiError> {
    let json = serde_json::to_string_pretty(body).map_err(unwritten)?;
    Ok(format!(
        "curl -sS --fail-with-body \"$ROWCAST_API_URL/api/v1/tasks\" \\\n  \
         -H \"Authorization: Bearer $ROWCAST_TOKEN\" \\\n  \
         -H 'Content-Type: application/json' --data-binary @- <<'JSON'\n{json}\nJSON\n"
    ))
}

#[derive(Serialize)]
struct Document<'a> {
    tasks: [Entry<'a>; 1],
}

/// The body with the source's name in the place of its id.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    source: &'a str,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn yaml(body: &CreateTask, source: &str) -> Result<String, ApiError> {
    let mut rest = Map::new();
    if let Value::Object(members) = serde_json::to_value(body).map_err(unwritten)? {
        rest = members;
    }
    rest.retain(|member, _value| !["name", "source_id"].contains(&member.as_str()));
    let entry = Entry {
        name: &body.name,
        source,
        rest,
    };
    serde_saphyr::to_string(&Document { tasks: [entry] }).map_err(unwritten)
}

fn unwritten(error: impl std::fmt::Display) -> ApiError {
    ApiError::Unreadable(format!("the definition of the task: {error}"))
}
