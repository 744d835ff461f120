//! `TagResources` and `UntagResources`.

use std::collections::BTreeMap;

use rowcast_proto::rest::{OWN_TAGS, PatchTask};

use super::Call;
use super::action::unsupported;
use super::answer::Answer;
use super::wording::of_parameters;
use crate::error::ApiError;
use crate::http::IfMatch;
use crate::http::body;
use crate::http::query::malformed_parameter;
use crate::lifecycle;
use crate::store::task::StoredTask;
use crate::validate;

const RESOURCE: &str = "ResourceId.1";

/// Tags that one call of DTS may name.
const TAGS: usize = 20;

/// Adds tags, in the place of those with the same keys.
pub(super) async fn tag(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = resource(call).await?;
    let mut tags = task.definition.tags.clone();
    let named = numbered(call, |number| format!("Tag.{number}.Key"));
    if named.is_empty() {
        return Err(malformed_parameter("Tag.1.Key", "is missing", "Give it."));
    }
    for (number, key) in named {
        let value = call.parameters.optional(&format!("Tag.{number}.Value"));
        tags.insert(key, value.unwrap_or_default().to_owned());
    }
    replace(call, task, tags).await
}

/// Takes tags off: those that are named, or with `All` every one.
pub(super) async fn untag(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = resource(call).await?;
    let mut tags = task.definition.tags.clone();
    let named = numbered(call, |number| format!("TagKey.{number}"));
    if call.parameters.flag("All")? == Some(true) && named.is_empty() {
        // Marks are no tags of a user.
        tags.retain(|key, _value| key.starts_with(OWN_TAGS));
    } else if named.is_empty() {
        return Err(malformed_parameter("TagKey.1", "is missing", "Give it."));
    }
    for (_number, key) in named {
        tags.remove(&key);
    }
    replace(call, task, tags).await
}

/// The one task that the call names.
async fn resource(call: &Call<'_>) -> Result<StoredTask, ApiError> {
    let id = body::id("task", call.parameters.required(RESOURCE)?)?;
    if call.parameters.optional("ResourceId.2").is_some() {
        // Halfway there is no honest answer.
        let detail = "a call is about one task";
        return Err(unsupported(detail, "ResourceId.2", "Make a call for each."));
    }
    call.visible(&id).await
}

/// Values of parameters that are numbered from 1 on, with their numbers.
fn numbered(call: &Call<'_>, name: impl Fn(usize) -> String) -> Vec<(usize, String)> {
    let value = |number| Some((number, call.parameters.optional(&name(number))?.to_owned()));
    (1..=TAGS).map_while(value).collect()
}

async fn replace(
    call: &Call<'_>,
    task: StoredTask,
    tags: BTreeMap<String, String>,
) -> Result<Answer, ApiError> {
    let patch = PatchTask {
        tags: Some(tags),
        ..PatchTask::default()
    };
    let in_words = |error| of_parameters(error, &[("tags", "Tag")]);
    validate::task_patch(&patch).map_err(in_words)?;
    // Tags are replaced whole: nobody may have changed them since they were read.
    let expected = IfMatch::version(task.version);
    lifecycle::change_task(call.app, call.caller, &task.id, patch, &expected).await?;
    Ok(Answer::about(task.id))
}
