//! What makes a task of the same configuration: by curl, by the command, by a file for it. Pure.

mod command;

use rowcast_proto::rest::{CreateSource, CreateTask, OWN_TAGS, TaskPreview};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// `source` is the name of the task's source; `own` is what it was made from, if it goes with the task: its secrets are
/// for whoever makes another task to fill in.
///
/// # Errors
/// Where the definition cannot be written.
pub(crate) fn preview(
    definition: &CreateTask,
    source: &str,
    own: Option<CreateSource>,
) -> Result<TaskPreview, ApiError> {
    let mut body = definition.clone();
    body.partitions = Some(body.partitions());
    if let Some(own) = own {
        body.source_id = None;
        body.source = Some(Box::new(own));
    }
    // Marks are given by what makes the task.
    body.tags.retain(|key, _value| !key.starts_with(OWN_TAGS));
    Ok(TaskPreview {
        curl: curl(&body)?,
        command: command::create_task(&body, own_file(&body)?.as_deref())?,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sources: Vec<OwnSource<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<Entry<'a>>,
}

/// The body with the source's name in the place of its id.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    source: &'a str,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A source as files for `rowcast apply` have it: they take secrets from files.
#[derive(Serialize)]
struct OwnSource<'a> {
    name: &'a str,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn members(value: &impl Serialize) -> Result<Map<String, Value>, ApiError> {
    let value = serde_json::to_value(value).map_err(unwritten)?;
    Ok(value.as_object().cloned().unwrap_or_default())
}

fn own_source(own: &CreateSource) -> Result<OwnSource<'_>, ApiError> {
    let mut rest = members(own)?;
    rest.retain(|member, value| member != "name" && !value.is_null());
    if rest.contains_key("password") {
        let file = serde_json::json!({"file": "PASSWORD_FILE"});
        rest.insert("password".to_owned(), file);
    }
    for (member, file) in [
        ("sslrootcert", "CERTIFICATES_FILE"),
        ("sslcert", "CLIENT_CERTIFICATE_FILE"),
        ("sslkey", "CLIENT_KEY_FILE"),
    ] {
        if rest.contains_key(member) {
            rest.insert(member.to_owned(), Value::String(file.to_owned()));
        }
    }
    Ok(OwnSource {
        name: &own.name,
        rest,
    })
}

/// The file with the task's own source, if it has one.
fn own_file(body: &CreateTask) -> Result<Option<String>, ApiError> {
    let Some(own) = &body.source else {
        return Ok(None);
    };
    let document = Document {
        sources: vec![own_source(own)?],
        tasks: Vec::new(),
    };
    let text = serde_saphyr::to_string(&document).map_err(unwritten)?;
    Ok(Some(text))
}

fn yaml(body: &CreateTask, source: &str) -> Result<String, ApiError> {
    let mut rest = members(body)?;
    rest.retain(|member, _value| !["name", "source_id", "source"].contains(&member.as_str()));
    let own = body.source.iter().map(|own| own_source(own));
    let entry = Entry {
        name: &body.name,
        source,
        rest,
    };
    let document = Document {
        sources: own.collect::<Result<_, _>>()?,
        tasks: vec![entry],
    };
    serde_saphyr::to_string(&document).map_err(unwritten)
}

fn unwritten(error: impl std::fmt::Display) -> ApiError {
    ApiError::Unreadable(format!("the definition of the task: {error}"))
}
