//! Answers questions about rules.

use std::collections::HashSet;

use chrono::{SubsecRound as _, Utc};
use rowcast_bus::refuse::{self, Refusal as _};
use rowcast_domain::{ParseIdError, RuleId, TaskId};
use rowcast_proto::message::{
    AlertRule, DeleteRuleReply, ListRulesReply, ListRulesRequest, PutRuleRequest, RpcError,
    RuleRequest,
};
use rowcast_proto::rest::{RuleMetric, Severity};
use sqlx::PgPool;

use crate::rule::Rule;
use crate::store::rules::{self, Put};

/// Stores a new rule, or changes the one of its id.
///
/// # Errors
/// Where it is not understood, a contact is not there, or another version of it was meant.
pub(crate) async fn put(pool: &PgPool, request: PutRuleRequest) -> Result<AlertRule, RpcError> {
    let wanted = read(request.rule.unwrap_or_default())?;
    let id = wanted.id.clone();
    let stored = rules::put(pool, wanted).await;
    match stored.map_err(|error| database(&error))? {
        Put::Stored(rule) => {
            tracing::info!(rule = %rule.id, version = rule.version, "rule stored");
            Ok((*rule).into())
        }
        Put::Gone => Err(not_found(&id)),
        Put::AnotherVersion(version) => Err(another_version(version)),
        Put::NoContact(contact) => {
            let detail = format!("there is no contact {contact:?}");
            Err(refuse::invalid("contact_not_found", detail)
                .field("contacts")
                .repair("Make the contact first, or list the contacts to see their ids."))
        }
    }
}

fn read(rule: AlertRule) -> Result<Rule, RpcError> {
    let AlertRule {
        id,
        name,
        metric,
        threshold,
        hold_seconds,
        severity,
        resource_group,
        task_ids,
        tags,
        contacts,
        repeat_minutes,
        disabled,
        created_at: _,
        version,
    } = rule;
    let unknown = |field: &str, value: &str| {
        let detail = format!("{value:?} is not known here");
        refuse::invalid("unknown_value", detail)
            .field(field)
            .repair("Alerting is of an older version: update it first.")
    };
    let tasks = task_ids.into_iter().map(TaskId::try_from);
    let mut named = HashSet::new();
    let contacts = contacts.into_iter();
    Ok(Rule {
        id: read_id(id)?,
        name,
        metric: RuleMetric::from_name(&metric).ok_or_else(|| unknown("metric", &metric))?,
        threshold: threshold.min(i64::MAX.unsigned_abs()),
        hold_seconds,
        severity: Severity::from_name(&severity).ok_or_else(|| unknown("severity", &severity))?,
        resource_group: Some(resource_group).filter(|name| !name.is_empty()),
        task_ids: tasks
            .collect::<Result<_, _>>()
            .map_err(|error| malformed("task_ids", &error))?,
        tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        contacts: contacts.filter(|id| named.insert(id.clone())).collect(),
        repeat_minutes,
        is_enabled: !disabled,
        created_at: Utc::now().trunc_subsecs(6),
        version,
    })
}

/// All rules.
///
/// # Errors
/// Where the database does not answer.
pub(crate) async fn list(
    pool: &PgPool,
    _all: ListRulesRequest,
) -> Result<ListRulesReply, RpcError> {
    let rules = rules::list(pool).await;
    let rules = rules.map_err(|error| database(&error))?;
    Ok(ListRulesReply {
        rules: rules.into_iter().map(Into::into).collect(),
    })
}

/// One rule.
///
/// # Errors
/// Where there is none of this id.
pub(crate) async fn get(pool: &PgPool, request: RuleRequest) -> Result<AlertRule, RpcError> {
    let id = read_id(request.rule_id)?;
    let found = rules::get(pool, &id).await;
    let found = found.map_err(|error| database(&error))?;
    found.map(Into::into).ok_or_else(|| not_found(&id))
}

/// Deletes a rule. What judges ends its open incidents.
///
/// # Errors
/// Where there is none of this id.
pub(crate) async fn delete(
    pool: &PgPool,
    request: RuleRequest,
) -> Result<DeleteRuleReply, RpcError> {
    let id = read_id(request.rule_id)?;
    let deleted = rules::delete(pool, &id).await;
    if !deleted.map_err(|error| database(&error))? {
        return Err(not_found(&id));
    }
    tracing::info!(rule = %id, "rule deleted");
    Ok(DeleteRuleReply {})
}

fn read_id(id: String) -> Result<RuleId, RpcError> {
    RuleId::try_from(id).map_err(|error| malformed("rule_id", &error))
}

fn malformed(field: &str, error: &ParseIdError) -> RpcError {
    refuse::invalid("malformed_id", error.to_string())
        .field(field)
        .repair("Give the id as it was told.")
}

fn not_found(id: &RuleId) -> RpcError {
    let detail = format!("there is no rule {:?}", id.as_str());
    refuse::not_found("rule_not_found", detail).repair("List the rules to see their ids.")
}

fn another_version(version: u64) -> RpcError {
    let detail = format!("somebody has changed it meanwhile: its version is \"{version}\"");
    refuse::conflict("version_changed", detail).repair("Read it again, and decide again.")
}

fn database(error: &sqlx::Error) -> RpcError {
    tracing::error!(%error, "rules cannot be read or written");
    refuse::unavailable(
        "database_unavailable",
        "rules cannot be read or written at the moment",
    )
    .repair("Ask again later.")
}
