//! `ConfigureSubscription` and `ModifySubscription`.

use std::collections::BTreeMap;

use rowcast_domain::{SourceId, TaskId};
use rowcast_proto::rest::{
    ChangeObjects, ChangeTypes, CreateSource, CreateTask, DataChange, Format, Packing,
    PatchChangeTypes, PatchTask, Retention, SslMode, default_port, default_retry_minutes,
};
use serde::Serialize;
use sqlx::error::DatabaseError;

use super::action::unsupported;
use super::answer::Answer;
use super::job::ENGINE;
use super::wording::of_parameters;
use super::{Call, db_list, instance};
use crate::error::ApiError;
use crate::http::create_source::accepted;
use crate::http::create_task::created_as;
use crate::http::query::malformed_parameter;
use crate::http::tag::Tagged;
use crate::http::{IfMatch, body, get_source};
use crate::store::source::StoredSource;
use crate::store::task;
use crate::{lifecycle, validate};

const DATABASE: &str = "SourceEndpointDatabaseName";
const SOURCE: &str = "SourceEndpointInstanceID";
const DML: &str = "SubscriptionDataTypeDML";
const DDL: &str = "SubscriptionDataTypeDDL";

/// DTS has no parameter for what TLS must prove, so this one is ours; its words are libpq's.
const TLS: &str = "SourceEndpointSslMode";

const OF_SOURCE: [(&str, &str); 7] = [
    ("name", "DtsJobName"),
    ("host", "SourceEndpointIP"),
    ("port", "SourceEndpointPort"),
    ("database", DATABASE),
    ("account", "SourceEndpointUserName"),
    ("password", "SourceEndpointPassword"),
    ("resource_group", "ResourceGroupId"),
];

const OF_TASK: [(&str, &str); 7] = [
    ("name", "DtsJobName"),
    ("source_id", SOURCE),
    ("database", DATABASE),
    ("objects", db_list::NAME),
    ("change_types.data", DML),
    ("change_types.schema", DDL),
    ("resource_group", "ResourceGroupId"),
];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Configured<'a> {
    dts_job_id: &'a str,
    dts_instance_id: &'a str,
}

/// Creates a task, and its source where `SourceEndpointInstanceID` names none that is registered. With the id that
/// `CreateDtsInstance` has answered, the task is the one that was ordered there.
///
/// All is looked at before anything is made, and both are made, or none.
pub(super) async fn configure(call: &Call<'_>) -> Result<Answer, ApiError> {
    let (id, group) = ordered(call).await?;
    refuse_what_tasks_have_not(call)?;
    let parameters = call.parameters;
    let (database, objects) = db_list::read(parameters.required(db_list::NAME)?)?;
    is_of(&database, parameters.optional(DATABASE))?;
    let source = source(call, &database).await?;
    let wanted = CreateTask {
        name: parameters.required("DtsJobName")?.to_owned(),
        source_id: Some(source.id().clone()),
        source: None,
        database: Some(database),
        objects,
        change_types: change_types(call)?,
        retry_minutes: default_retry_minutes(),
        retention: Retention::default(),
        partitions: None,
        transactions: false,
        packing: Packing::default(),
        format: Format::default(),
        etl: None,
        alerting: None,
        network: None,
        tags: BTreeMap::new(),
        resource_group: group,
    };
    let in_words = |error| of_parameters(error, &OF_TASK);
    validate::task(&wanted).map_err(in_words)?;
    let given_to = wanted.resource_group.as_deref();
    call.caller.may_give_to(given_to).map_err(in_words)?;
    let new_source = match &source {
        Tracked::Registered(_) => None,
        Tracked::New(stored) => Some(&**stored),
    };
    let reason = "ConfigureSubscription asked for";
    let made = (id.clone(), new_source);
    let created = created_as(call.app, call.caller, made, wanted, reason).await;
    let created = created.map_err(|error| in_words(or_already(error, &id)));
    let (_status, Tagged(_version, task)) = created?;
    let mut answer = Answer::with(&Configured {
        dts_job_id: task.id.as_str(),
        dts_instance_id: task.id.as_str(),
    })?;
    answer.task = Some(task.id);
    Ok(answer)
}

/// The id of the task to be, and who shares it.
async fn ordered(call: &Call<'_>) -> Result<(TaskId, Option<String>), ApiError> {
    if call.parameters.names_task().is_none() {
        return Ok((TaskId::random(), group(call)));
    }
    let id = call.parameters.task()?;
    if task::get(call.app.pool(), &id).await?.is_none()
        && let Some(order) = instance::ordered(call, &id).await?
    {
        return Ok((id, group(call).or(order.resource_group)));
    }
    let task = call.task().await?;
    Err(configured_already(&task.id))
}

fn configured_already(id: &TaskId) -> ApiError {
    let detail = format!("{id} is configured already");
    let instead = "Leave DtsJobId and DtsInstanceId out for a new task; change this one with \
                   ModifySubscription and ModifyDtsJobName.";
    unsupported(&detail, "DtsJobId", instead)
}

/// The error, or what it means where another call has made the task that was ordered, in the same moment.
fn or_already(error: ApiError, id: &TaskId) -> ApiError {
    let ApiError::Database(cause) = &error else {
        return error;
    };
    let cause = cause.as_database_error();
    match cause.is_some_and(DatabaseError::is_unique_violation) {
        true => configured_already(id),
        false => error,
    }
}

/// What DTS takes and would be promised here in vain.
fn refuse_what_tasks_have_not(call: &Call<'_>) -> Result<(), ApiError> {
    let given = |name| call.parameters.optional(name);
    if given("Checkpoint").is_some() {
        let detail = "a task begins where its first start makes the slot, not at a time";
        return Err(unsupported(detail, "Checkpoint", "Leave it out."));
    }
    if given("SourceEndpointEngineName").is_some_and(|name| !name.eq_ignore_ascii_case(ENGINE)) {
        let detail = "only PostgreSQL is tracked";
        return Err(unsupported(
            detail,
            "SourceEndpointEngineName",
            "Give PostgreSQL.",
        ));
    }
    Ok(())
}

/// The source of a task to be.
enum Tracked {
    Registered(SourceId),
    New(Box<StoredSource>),
}

impl Tracked {
    fn id(&self) -> &SourceId {
        match self {
            Self::Registered(id) => id,
            Self::New(stored) => &stored.source.id,
        }
    }
}

async fn source(call: &Call<'_>, database: &str) -> Result<Tracked, ApiError> {
    let parameters = call.parameters;
    if let Some(id) = parameters.optional(SOURCE) {
        let id: SourceId = body::id("source", id)?;
        let source = get_source::existing(call.app, &id).await?.source;
        return match call.caller.sees(source.resource_group.as_deref()) {
            true => Ok(Tracked::Registered(id)),
            false => Err(ApiError::not_found("source", id.as_str())),
        };
    }
    let wanted = CreateSource {
        name: parameters.required("DtsJobName")?.to_owned(),
        kind: None,
        region: parameters
            .optional("SourceEndpointRegion")
            .map(str::to_owned),
        instance_id: None,
        host: parameters.required("SourceEndpointIP")?.to_owned(),
        port: parameters
            .number("SourceEndpointPort")?
            .unwrap_or_else(default_port),
        database: database.to_owned(),
        account: parameters.required("SourceEndpointUserName")?.to_owned(),
        password: parameters.required("SourceEndpointPassword")?.to_owned(),
        sslmode: sslmode(call)?,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        tags: BTreeMap::new(),
        resource_group: group(call),
    };
    let stored = accepted(call.app, call.caller, wanted);
    let stored = stored.map_err(|error| of_parameters(error, &OF_SOURCE))?;
    Ok(Tracked::New(Box::new(stored)))
}

fn sslmode(call: &Call<'_>) -> Result<SslMode, ApiError> {
    let Some(word) = call.parameters.optional(TLS) else {
        return Ok(SslMode::default());
    };
    SslMode::from_name(word).ok_or_else(|| {
        let repair = "Give disable, allow, prefer, require, verify-ca or verify-full.";
        malformed_parameter(TLS, "is no sslmode of libpq", repair)
    })
}

fn group(call: &Call<'_>) -> Option<String> {
    let name = call.parameters.optional("ResourceGroupId");
    name.map(str::to_owned)
}

/// Both kinds where the call does not say, as in DTS.
fn change_types(call: &Call<'_>) -> Result<ChangeTypes, ApiError> {
    Ok(ChangeTypes {
        data: data(call.parameters.flag(DML)?.unwrap_or(true)),
        schema: call.parameters.flag(DDL)?.unwrap_or(true),
    })
}

fn data(tracked: bool) -> Vec<DataChange> {
    match tracked {
        true => DataChange::ALL.to_vec(),
        false => Vec::new(),
    }
}

fn is_of(listed: &str, database: Option<&str>) -> Result<(), ApiError> {
    if database.is_none_or(|database| database == listed) {
        return Ok(());
    }
    let detail = format!("names the database {listed:?}, which is not the task's");
    let repair = "Give the same database in both places.";
    Err(malformed_parameter(db_list::NAME, &detail, repair))
}

/// Replaces what a task tracks, and which changes.
pub(super) async fn modify(call: &Call<'_>) -> Result<Answer, ApiError> {
    let parameters = call.parameters;
    let task = call.task().await?;
    let in_words = |error| of_parameters(error, &OF_TASK);
    let (database, objects) = db_list::read(parameters.required(db_list::NAME)?)?;
    is_of(&database, task.definition.database.as_deref())?;
    validate::task(&CreateTask {
        objects: objects.clone(),
        ..task.definition
    })
    .map_err(in_words)?;
    let (app, caller) = (call.app, call.caller);
    // This may be refused, so it comes first.
    let patch = PatchTask {
        change_types: Some(PatchChangeTypes {
            data: parameters.flag(DML)?.map(data),
            schema: parameters.flag(DDL)?,
        }),
        ..PatchTask::default()
    };
    let changed = lifecycle::change_task(app, caller, &task.id, patch, &IfMatch::ANY).await;
    changed.map_err(in_words)?;
    let wanted = ChangeObjects {
        replace: Some(objects),
        ..ChangeObjects::default()
    };
    lifecycle::change_objects(app, caller, &task.id, &wanted, &IfMatch::ANY).await?;
    Ok(Answer::default())
}
