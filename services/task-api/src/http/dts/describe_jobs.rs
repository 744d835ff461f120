//! `DescribeDtsJobs` and `DescribeDtsJobDetail`.

use std::collections::BTreeMap;

use rowcast_domain::{SourceId, TaskState};
use rowcast_proto::rest::Source;
use rowcast_proto::stream;
use serde::Serialize;

use super::Call;
use super::action::unsupported;
use super::answer::Answer;
use super::job::{JOB_TYPE, Job, Known, job, time};
use super::page::{Counts, Page};
use super::status;
use crate::error::ApiError;
use crate::http::beside;
use crate::http::query::malformed_parameter;
use crate::store::source;
use crate::store::task::{self, Filter, Sort, SortKey, StoredTask};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Jobs {
    dts_job_list: Vec<Job>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    #[serde(flatten)]
    job: Job,
    last_update_time: String,
    subscription_data_type: DataType,
    /// The JetStream stream.
    subscribe_topic: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DataType {
    dml: bool,
    ddl: bool,
}

/// A page of the tasks. Those that are released are in it only where `Status` asks for them, as they are not
/// there any more in DTS.
pub(super) async fn list(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = call.parameters;
    let page = Page::read(parameters, "PageNumber")?;
    let with_objects = parameters.flag("WithoutDbList")? != Some(true);
    let wanted = Wanted::read(call)?;
    let filter = Filter {
        states: wanted.states.clone(),
        source: None,
        search: None,
        tags: Vec::new(),
        resource_group: None,
        scope: call.caller.scope().map(<[String]>::to_vec),
        sort: sort(call)?,
        after: None,
        limit: None,
    };
    let mut tasks = task::list(call.app.pool(), &filter).await?;
    tasks.retain(|task| wanted.has(task));
    let (tasks, counts) = page.of(tasks);
    let sources = visible_sources(call).await?;
    let ids: Vec<_> = tasks.iter().map(|task| &task.id).collect();
    let (instances, consumptions) = tokio::join!(
        beside::instances(call.app, &ids),
        beside::consumptions(call.app, &ids)
    );
    let jobs = tasks.into_iter().map(|task| {
        let known = Known {
            source: sources.get(&task.source_id),
            instance: instances.get(&task.id),
            consumption: consumptions.get(&task.id),
        };
        job(task, known, with_objects)
    });
    Answer::with(&Jobs {
        dts_job_list: jobs.collect::<Result<_, _>>()?,
        counts,
    })
}

/// One task.
pub(super) async fn detail(call: &Call<'_>) -> Result<Answer, ApiError> {
    let task = call.task().await?;
    let mut connection = call.app.pool().acquire().await?;
    let source = source::present(&mut connection, &task.source_id).await?;
    let source = source
        .map(|stored| stored.source)
        .filter(|source| call.caller.sees(source.resource_group.as_deref()));
    let id = task.id.clone();
    let ids = [&id];
    let (instances, consumptions) = tokio::join!(
        beside::instances(call.app, &ids),
        beside::consumptions(call.app, &ids)
    );
    let known = Known {
        source: source.as_ref(),
        instance: instances.get(&id),
        consumption: consumptions.get(&id),
    };
    let types = &task.definition.change_types;
    Answer::with(&Detail {
        last_update_time: time(task.updated_at),
        subscription_data_type: DataType {
            dml: !types.data.is_empty(),
            ddl: types.schema,
        },
        subscribe_topic: stream::task_stream(&task.id),
        job: job(task, known, true)?,
    })
}

async fn visible_sources(call: &Call<'_>) -> Result<BTreeMap<SourceId, Source>, ApiError> {
    let stored = source::list_all(call.app.pool()).await?;
    let sources = stored.into_iter().map(|stored| stored.source);
    let visible = sources.filter(|source| call.caller.sees(source.resource_group.as_deref()));
    Ok(visible.map(|source| (source.id.clone(), source)).collect())
}

/// Which tasks. Compared here and not by the database, for DTS counts all that match.
struct Wanted<'a> {
    states: Vec<TaskState>,
    /// Whether such jobs are ours at all.
    is_ours: bool,
    id: Option<&'a str>,
    /// A part of the name, in lower case.
    name: Option<String>,
    source: Option<&'a str>,
    resource_group: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    fn read(call: &Call<'a>) -> Result<Self, ApiError> {
        let parameters = call.parameters;
        if parameters.optional("Tags").is_some() {
            let instead = "Call GET /api/v1/tasks with tag.";
            return Err(unsupported("tags do not filter here", "Tags", instead));
        }
        let kind = parameters.optional("JobType");
        let mut wanted = Self {
            states: states(parameters.optional("Status"))?,
            is_ours: kind.is_none_or(|kind| kind.eq_ignore_ascii_case(JOB_TYPE)),
            id: parameters.names_task(),
            name: None,
            source: None,
            resource_group: parameters.optional("ResourceGroupId"),
        };
        if let Some(by) = parameters.optional("Type") {
            let text = parameters.required("Params")?;
            match by {
                "instance" => wanted.id = Some(text),
                "name" => wanted.name = Some(text.to_lowercase()),
                "srcRds" => wanted.source = Some(text),
                _other => {
                    let detail = "is none of instance, name and srcRds";
                    let repair = "Give one of these, or leave it out.";
                    return Err(malformed_parameter("Type", detail, repair));
                }
            }
        }
        Ok(wanted)
    }

    fn has(&self, task: &StoredTask) -> bool {
        let definition = &task.definition;
        let name = || definition.name.to_lowercase();
        let group = definition.resource_group.as_deref();
        self.is_ours
            && self.id.is_none_or(|id| id == task.id.as_str())
            && self.name.as_ref().is_none_or(|part| name().contains(part))
            && self.source.is_none_or(|id| id == task.source_id.as_str())
            && self
                .resource_group
                .is_none_or(|wanted| group == Some(wanted))
    }
}

fn states(asked: Option<&str>) -> Result<Vec<TaskState>, ApiError> {
    let Some(asked) = asked else {
        let there = |state: &TaskState| *state != TaskState::Released;
        return Ok(TaskState::ALL.into_iter().filter(there).collect());
    };
    let state = status::state(asked).ok_or_else(|| {
        let words = TaskState::ALL.map(status::word).join(", ");
        let repair = format!("Give one of {words}.");
        malformed_parameter("Status", "no task is ever so", &repair)
    })?;
    Ok(vec![state])
}

fn sort(call: &Call<'_>) -> Result<Sort, ApiError> {
    let column = call.parameters.optional("OrderColumn");
    if column.is_some_and(|column| column != "CreateTime") {
        let repair = "Give CreateTime, or leave it out.";
        return Err(malformed_parameter(
            "OrderColumn",
            "is not sorted by",
            repair,
        ));
    }
    let direction = call.parameters.optional("OrderDirection").unwrap_or("ASC");
    let descending = direction.eq_ignore_ascii_case("DESC");
    if !descending && !direction.eq_ignore_ascii_case("ASC") {
        let repair = "Give ASC or DESC.";
        return Err(malformed_parameter(
            "OrderDirection",
            "is no direction",
            repair,
        ));
    }
    Ok(Sort {
        key: SortKey::CreatedAt,
        descending,
    })
}
