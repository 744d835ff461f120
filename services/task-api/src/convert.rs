//! From the bodies of the API to the messages of the bus, and back.

mod dead_letter;
mod group;
mod instance;
mod rule;
mod precheck_summary;

use chrono::{DateTime, Utc};
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::message as m;
use rowcast_proto::message::Timestamp;
use rowcast_proto::rest;
use rowcast_proto::stream;
use rowcast_service::keyring::Sealed;

use crate::error::ApiError;
use crate::store::source::StoredSource;
use crate::store::task::StoredTask;

pub(crate) use dead_letter::{dead_letter, dead_letter_list, dead_letters_done};
pub(crate) use group::{group, group_sample, on_exhausted};
pub(crate) use instance::{
    charge_type, instance, instance_with_orders, known_instance, usage_line,
};
pub(crate) use precheck_summary::precheck_summary;
pub(crate) use rule::{rule, rule_message, tags};

const SECONDS_PER_HOUR: u64 = 3600;

pub(crate) fn task(stored: StoredTask) -> rest::Task {
    let partitions = stored.definition.partitions();
    let rest::CreateTask {
        name,
        source_id: _,
        source: _,
        database,
        objects,
        change_types,
        retry_minutes,
        retention,
        partitions: _,
        transactions,
        packing,
        format,
        etl,
        alerting,
        network,
        tags,
        resource_group,
    } = stored.definition;
    let runs = stored.state == TaskState::Running;
    rest::Task {
        allowed: stored
            .state
            .commands()
            .map(|command| command.as_str().to_owned())
            .collect(),
        precheck: precheck_summary(stored.state, stored.last_precheck),
        etl_applied: etl
            .as_ref()
            .map(|_policy| runs && stored.objects_since.is_some()),
        stream: stream::task_stream(&stored.id),
        instance: None,
        consumption: None,
        objects_since: stored.objects_since,
        warnings: stored.warnings,
        step: stored.step.filter(|_| stored.state == TaskState::Starting),
        id: stored.id,
        name,
        source_id: stored.source_id,
        database: database.unwrap_or_default(),
        objects,
        change_types,
        retry_minutes,
        retention,
        partitions,
        transactions,
        packing,
        format,
        etl,
        alerting,
        network,
        tags,
        resource_group,
        state: stored.state,
        error: stored.error,
        position: stored
            .position
            .map(|position| measured(position, stored.state)),
        created_at: stored.created_at,
        updated_at: stored.updated_at,
    }
}

/// How late and how fast changes come is told of a task that runs: what was last reported before it was interrupted
/// says nothing of now.
pub(crate) fn measured(position: rest::TaskPosition, state: TaskState) -> rest::TaskPosition {
    if state == TaskState::Running {
        return position;
    }
    rest::TaskPosition {
        delay_seconds: None,
        messages_per_second: None,
        bytes_per_second: None,
        cpu_percent: None,
        memory_bytes: None,
        ..position
    }
}

/// How to reach the database that a task tracks.
pub(crate) fn connection(stored: StoredSource, database: Option<String>) -> m::SourceConnection {
    let StoredSource {
        source,
        sslrootcert,
        password,
        client,
        own: _,
        version: _,
    } = stored;
    let (sslcert, sslkey) = client
        .map(|client| (client.chain, sealed(client.key)))
        .unzip();
    m::SourceConnection {
        source_id: source.id.into(),
        host: source.host,
        port: source.port.into(),
        database: database.unwrap_or(source.database),
        account: source.account,
        password: Some(sealed(password)),
        sslmode: source.sslmode.as_str().to_owned(),
        sslrootcert: sslrootcert.unwrap_or_default(),
        sslcert: sslcert.unwrap_or_default(),
        sslkey,
    }
}

pub(crate) fn sealed(sealed: Sealed) -> m::SealedSecret {
    m::SealedSecret {
        key_id: sealed.key_id,
        nonce: sealed.nonce,
        ciphertext: sealed.ciphertext,
    }
}

pub(crate) fn objects(objects: rest::Objects) -> m::ObjectSelection {
    let schemas = objects
        .schemas
        .into_iter()
        .map(|schema| m::SchemaSelection {
            name: schema.name,
            all: schema.all,
            tables: schema.tables,
            patterns: schema.patterns,
        });
    m::ObjectSelection {
        all: objects.all,
        schemas: schemas.collect(),
        schema_patterns: objects.schema_patterns,
    }
}

pub(crate) fn change_types(types: &rest::ChangeTypes) -> m::ChangeTypes {
    m::ChangeTypes {
        data: types
            .data
            .iter()
            .map(|kind| kind.as_str().to_owned())
            .collect(),
        schema: types.schema,
    }
}

pub(crate) fn etl(etl: rest::Etl) -> m::EtlPolicy {
    let on_error = match etl.on_error {
        rest::OnRowError::Park => m::RowErrorAction::Park,
        rest::OnRowError::Drop => m::RowErrorAction::Drop,
        rest::OnRowError::Stop => m::RowErrorAction::Stop,
    };
    m::EtlPolicy {
        script: etl.script,
        on_error: on_error.into(),
    }
}

pub(crate) fn alerting(alerting: &rest::Alerting) -> m::Alerting {
    m::Alerting {
        delay_seconds: alerting.delay_seconds.unwrap_or_default(),
        contacts: alerting.contacts.iter().map(ToString::to_string).collect(),
    }
}

pub(crate) const fn packing(packing: rest::Packing) -> m::Packing {
    match packing {
        rest::Packing::Row => m::Packing::Row,
        rest::Packing::Transaction => m::Packing::Transaction,
    }
}

pub(crate) const fn format(format: rest::Format) -> m::Format {
    match format {
        rest::Format::Json => m::Format::Json,
        rest::Format::Protobuf => m::Format::Protobuf,
    }
}

pub(crate) fn retention(retention: &rest::Retention) -> m::Retention {
    m::Retention {
        age_seconds: u64::from(retention.hours) * SECONDS_PER_HOUR,
        bytes: retention.max_bytes.unwrap_or_default(),
    }
}

pub(crate) fn task_error_message(error: rest::TaskError) -> m::TaskError {
    m::TaskError {
        code: error.code,
        message: error.message,
        advice: error.advice,
    }
}

pub(crate) fn task_error(error: m::TaskError, retry_until: Option<Timestamp>) -> rest::TaskError {
    rest::TaskError {
        code: error.code,
        message: error.message,
        advice: error.advice,
        retry_until: retry_until.and_then(|time| time.try_into().ok()),
    }
}

fn unreadable(what: &str, error: impl std::fmt::Display) -> ApiError {
    ApiError::Unreadable(format!("{what}: {error}"))
}

fn time(what: &str, time: Option<Timestamp>) -> Result<DateTime<Utc>, ApiError> {
    let time = time.ok_or_else(|| unreadable(what, "is missing"))?;
    time.try_into().map_err(|error| unreadable(what, error))
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|error| unreadable(what, error))
}

/// As precheck is told it: nothing where its users run it.
pub(crate) fn kind(kind: rest::SourceKind) -> String {
    if kind.is_postgresql() {
        String::new()
    } else {
        kind.as_str().to_owned()
    }
}

/// About everything that a task needs of its source.
pub(crate) fn precheck_question(
    id: &TaskId,
    definition: rest::CreateTask,
    source: StoredSource,
) -> m::PrecheckRequest {
    m::PrecheckRequest {
        kind: kind(source.source.kind),
        task_id: id.to_string(),
        source: Some(connection(source, definition.database)),
        objects: Some(objects(definition.objects)),
        change_types: Some(change_types(&definition.change_types)),
        etl: definition.etl.map(etl),
        ..m::PrecheckRequest::default()
    }
}

/// What a run will look at.
pub(crate) fn precheck_begun(
    progress: &m::PrecheckProgress,
) -> Result<rest::PrecheckBegun, ApiError> {
    let checks = progress.checks.iter().map(|check| rest::CheckName {
        code: check.code.clone(),
        title: check.title.clone(),
    });
    Ok(rest::PrecheckBegun {
        run: progress.run.clone(),
        checks: checks.collect(),
        started_at: time("started_at", progress.started_at)?,
    })
}

pub(crate) fn precheck(report: m::PrecheckReport) -> Result<rest::Precheck, ApiError> {
    Ok(rest::Precheck {
        id: report.id,
        passed: report.passed,
        success_percent: report.success_percent,
        open_alerts: Vec::new(),
        items: report.items.into_iter().map(check_item).collect(),
        started_at: time("started_at", report.started_at)?,
        finished_at: time("finished_at", report.finished_at)?,
    })
}

pub(crate) fn source_test(test: m::SourceTest) -> Result<rest::SourceTest, ApiError> {
    let version = test.server_version;
    Ok(rest::SourceTest {
        passed: test.passed,
        steps: test.steps.into_iter().map(check_item).collect(),
        server_version: (!version.is_empty()).then_some(version),
        databases: test.databases,
        started_at: time("started_at", test.started_at)?,
        finished_at: time("finished_at", test.finished_at)?,
    })
}

pub(crate) const fn object_level(level: rest::ObjectLevel) -> m::ObjectLevel {
    match level {
        rest::ObjectLevel::Databases => m::ObjectLevel::Databases,
        rest::ObjectLevel::Schemas => m::ObjectLevel::Schemas,
        rest::ObjectLevel::Tables => m::ObjectLevel::Tables,
    }
}

pub(crate) fn objects_page(page: m::ObjectPage, database: String) -> rest::SourceObjects {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let schemas = page.schemas.into_iter().map(|schema| rest::SchemaSummary {
        name: schema.name,
        tables: schema.tables,
    });
    let tables = page.tables.into_iter().map(|table| rest::TableSummary {
        schema: table.schema,
        name: table.name,
        kind: table.kind,
        partition_of: given(table.partition_of),
        logged: table.logged,
        rows: table.rows,
        size_bytes: table.size_bytes,
        primary_key: table.primary_key,
        replica_identity: table.replica_identity,
        key_columns: table.key_columns,
        columns: table.columns,
    });
    rest::SourceObjects {
        database,
        databases: page.databases,
        schemas: schemas.collect(),
        tables: tables.collect(),
        next_cursor: given(page.next),
    }
}

pub(crate) fn check_item(item: m::CheckResult) -> rest::CheckItem {
    let outcome = match item.outcome() {
        m::CheckOutcome::Pass => rest::CheckOutcome::Pass,
        m::CheckOutcome::Alert => rest::CheckOutcome::Alert,
        m::CheckOutcome::Fail => rest::CheckOutcome::Fail,
        m::CheckOutcome::Skipped | m::CheckOutcome::Unspecified => rest::CheckOutcome::Skipped,
    };
    rest::CheckItem {
        code: item.code,
        title: item.title,
        outcome,
        ran: item.ran,
        saw: item.saw,
        cause: item.cause,
        repair: item.repair,
        duration_ms: item.duration_ms,
        checked_at: None,
        ignorable: (outcome == rest::CheckOutcome::Alert).then_some(!item.must_repair),
        ignored: None,
    }
}

pub(crate) fn check_result(item: rest::CheckItem) -> m::CheckResult {
    let outcome = match item.outcome {
        rest::CheckOutcome::Pass => m::CheckOutcome::Pass,
        rest::CheckOutcome::Alert => m::CheckOutcome::Alert,
        rest::CheckOutcome::Fail => m::CheckOutcome::Fail,
        rest::CheckOutcome::Skipped => m::CheckOutcome::Skipped,
    };
    let must_repair = item.ignorable == Some(false);
    m::CheckResult {
        must_repair,
        code: item.code,
        title: item.title,
        outcome: outcome.into(),
        ran: item.ran,
        saw: item.saw,
        cause: item.cause,
        repair: item.repair,
        duration_ms: item.duration_ms,
    }
}

pub(crate) fn contact(contact: m::Contact) -> Result<rest::Contact, ApiError> {
    Ok(rest::Contact {
        id: id("contact", &contact.id)?,
        name: contact.name,
        kind: if contact.address.is_empty() {
            rest::ContactKind::Webhook
        } else {
            rest::ContactKind::Email
        },
        url: Some(contact.url).filter(|url| !url.is_empty()),
        address: Some(contact.address).filter(|address| !address.is_empty()),
        resource_group: Some(contact.resource_group).filter(|group| !group.is_empty()),
        created_at: time("created_at", contact.created_at)?,
    })
}

pub(crate) fn incident(incident: m::Incident) -> Result<rest::Incident, ApiError> {
    let resolved_at = incident
        .resolved_at
        .map(|at| time("resolved_at", Some(at)))
        .transpose()?;
    Ok(rest::Incident {
        id: id("incident", &incident.id)?,
        task_id: id("task_id", &incident.task_id)?,
        task_name: incident.task_name,
        rule: incident.rule,
        summary: incident.summary,
        error: incident.error.map(|error| task_error(error, None)),
        opened_at: time("opened_at", incident.opened_at)?,
        resolved_at,
        group_id: Some(incident.group_id)
            .filter(|group| !group.is_empty())
            .map(|group| id("group_id", &group))
            .transpose()?,
        group_name: Some(incident.group_name).filter(|name| !name.is_empty()),
        rule_id: Some(incident.rule_id)
            .filter(|rule| !rule.is_empty())
            .map(|rule| id("rule_id", &rule))
            .transpose()?,
        rule_name: Some(incident.rule_name).filter(|name| !name.is_empty()),
        severity: rest::Severity::from_name(&incident.severity),
    })
}

pub(crate) fn group_connection(
    connection: m::GroupConnection,
) -> Result<rest::GroupConnection, ApiError> {
    Ok(rest::GroupConnection {
        mode: connection.mode().into(),
        delivery: connection.delivery().into(),
        format: connection.format().named(),
        urls: connection.urls,
        login: connection.login,
        stream: connection.stream,
        consumer: connection.consumer,
        consumers: connection
            .consumers
            .into_iter()
            .map(|of| rest::PartitionConsumer {
                partition: of.partition,
                consumer: of.consumer,
                deliver_subject: Some(of.deliver_subject).filter(|subject| !subject.is_empty()),
            })
            .collect(),
        redrive_stream: connection.redrive_stream,
        redrive_consumer: connection.redrive_consumer,
        deliver_subject: Some(connection.deliver_subject).filter(|subject| !subject.is_empty()),
        deliver_group: Some(connection.deliver_group).filter(|queue| !queue.is_empty()),
        inbox_prefix: connection.inbox_prefix,
        group_id: id("group_id", &connection.group_id)?,
        task_id: id("task_id", &connection.task_id)?,
    })
}

/// A line whose level a newer version has made matters as much as any.
pub(crate) fn log_line(line: m::TaskLogLine) -> Result<rest::LogLine, ApiError> {
    Ok(rest::LogLine {
        at: time("at", line.at)?,
        service: line.service,
        level: rest::LogLevel::from_name(&line.level).unwrap_or(rest::LogLevel::Error),
        message: line.message,
        fields: line.fields.into_iter().collect(),
        trace_id: Some(line.trace_id).filter(|id| !id.is_empty()),
    })
}
