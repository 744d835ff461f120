//! What a body must hold beyond its shape. All problems are found at once.

mod access;
mod alerting;
mod contact;
mod etl;
pub(crate) mod rule;
mod page;
mod source;
mod tags;

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::RangeInclusive;

use axum::http::StatusCode;
use rowcast_proto::rest::{
    ChangeTypes, CloneTask, CreateGroup, CreateTask, IgnoreChecks, Objects, PatchGroup, PatchTask,
    Retention, SchemaObjects,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::http::{Browse, ListedTasks};

pub(crate) use access::token;
pub(crate) use contact::{contact, contact_patch};
pub(crate) use page::{page, searched_page};
pub(crate) use source::{KEPT_KEY, source, source_patch};

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Issue {
    /// Where, as `objects.schemas[0].name`.
    pub(crate) field: String,
    /// What is wrong with it.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) repair: String,
}

/// A schema, a point and a table.
const SEARCH_BYTES_MAX: usize = 127;

const REASON_CHARACTERS: RangeInclusive<usize> = 1..=500;

const PAGE_LIMIT: RangeInclusive<u32> = 1..=200;

const NAME_CHARACTERS: RangeInclusive<usize> = 1..=64;

/// PostgreSQL cuts identifiers at `NAMEDATALEN` - 1 bytes.
const IDENTIFIER_BYTES: RangeInclusive<usize> = 1..=63;

/// The wish holds certificates and objects, and a value of its bucket 256 KiB in all.
const OBJECTS_BYTES_MAX: usize = 128 * 1024;

const RETRY_MINUTES: RangeInclusive<u32> = 10..=1440;
const RETENTION_HOURS: RangeInclusive<u32> = 1..=8760;
/// JetStream counts bytes in 63 bits. Less than a MiB would not hold one large change.
const RETENTION_BYTES: RangeInclusive<u64> = 1024 * 1024..=i64::MAX.unsigned_abs();
/// PostgreSQL's longest identifier in characters of one byte.
const PATTERN_CHARACTERS: RangeInclusive<usize> = 1..=63;

const PARTITIONS: RangeInclusive<u32> = 1..=256;

const GROUP_ACCOUNT_CHARACTERS: RangeInclusive<usize> = 1..=16;
const GROUP_PASSWORD_CHARACTERS: RangeInclusive<usize> = 8..=32;

/// Notes problems.
#[derive(Default)]
struct Issues(Vec<Issue>);

impl Issues {
    fn note(&mut self, field: &str, detail: impl Into<String>, repair: impl Into<String>) {
        self.0.push(Issue {
            field: field.to_owned(),
            detail: detail.into(),
            repair: repair.into(),
        });
    }

    fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(self.0))
        }
    }

    /// A query has few parameters: the first problem is told.
    fn finish_query(self) -> Result<(), ApiError> {
        let Some(issue) = self.0.into_iter().next() else {
            return Ok(());
        };
        let Issue {
            field,
            detail,
            repair,
        } = issue;
        let detail = format!("{field}: {detail}");
        let refused = ApiError::refused(StatusCode::BAD_REQUEST, "malformed_query", detail);
        Err(refused.field(field).repair(repair))
    }

    /// A name that people give.
    fn name(&mut self, field: &str, name: &str) {
        let (least, most) = NAME_CHARACTERS.into_inner();
        if !NAME_CHARACTERS.contains(&name.chars().count()) {
            let detail = format!("must have {least} to {most} characters");
            self.note(
                field,
                detail,
                format!("Give a name of {least} to {most} characters."),
            );
        } else if name.trim() != name || name.chars().any(char::is_control) {
            let detail = "must not begin or end with a space, nor hold control characters";
            self.note(
                field,
                detail,
                "Remove the spaces around it and the control characters.",
            );
        }
    }

    /// A part of a name.
    fn search(&mut self, text: Option<&str>) {
        if text.is_some_and(|text| text.len() > SEARCH_BYTES_MAX || text.contains('\0')) {
            let detail = "must have at most 127 bytes, none of them NUL";
            self.note("search", detail, "Give a shorter part of it.");
        }
    }

    /// A name of PostgreSQL's.
    fn identifier(&mut self, field: &str, name: &str) {
        let (least, most) = IDENTIFIER_BYTES.into_inner();
        if !IDENTIFIER_BYTES.contains(&name.len()) || name.contains('\0') {
            let detail = format!("must have {least} to {most} bytes, none of them NUL");
            self.note(
                field,
                detail,
                "Give the name as PostgreSQL stores it, without quotes.",
            );
        }
    }

    fn range<N>(&mut self, field: &str, number: N, range: &RangeInclusive<N>)
    where
        N: PartialOrd + std::fmt::Display + Copy,
    {
        if !range.contains(&number) {
            let (least, most) = (range.start(), range.end());
            let detail = format!("is {number}, but must lie between {least} and {most}");
            self.note(
                field,
                detail,
                format!("Give a number between {least} and {most}."),
            );
        }
    }

    fn unique<T: Hash + Eq + std::fmt::Display>(
        &mut self,
        field: &str,
        values: impl IntoIterator<Item = T>,
    ) {
        let mut seen = HashSet::new();
        for value in values {
            if let Some(value) = seen.replace(value) {
                let detail = format!("names {value} more than once");
                self.note(field, detail, "Name each once.");
                return;
            }
        }
    }
}

/// # Errors
/// The first problem of the query.
pub(crate) fn browse(query: &Browse) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    for (field, name) in [("database", &query.database), ("schema", &query.schema)] {
        if let Some(name) = name {
            issues.identifier(field, name);
        }
    }
    issues.search(query.search.as_deref());
    issues.range("limit", query.limit, &PAGE_LIMIT);
    issues.finish_query()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn task(body: &CreateTask) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if !body.name.is_empty() {
        issues.name("name", &body.name);
    }
    if let Some(database) = &body.database {
        issues.identifier("database", database);
    }
    match (&body.source_id, &body.source) {
        (Some(_), None) => {}
        (None, Some(own)) => source::own(&mut issues, own),
        (Some(_), Some(_)) => {
            let detail = "is given beside source_id";
            issues.note("source", detail, "Give one of the two.");
        }
        (None, None) => {
            let repair = "Give the id of a source, or `source` with one of the task's own.";
            issues.note("source_id", "is missing", repair);
        }
    }
    objects(&mut issues, &body.objects);
    change_types(&mut issues, &body.change_types);
    issues.range("retry_minutes", body.retry_minutes, &RETRY_MINUTES);
    retention(&mut issues, &body.retention);
    issues.range("partitions", body.partitions(), &PARTITIONS);
    if !body.packing.is_row() && body.partitions() != 1 {
        let detail = "must be 1 where packing is transaction: a message holds rows of all keys";
        issues.note(
            "partitions",
            detail,
            "Leave it out, or give `packing: row`.",
        );
    }
    if let Some(policy) = &body.etl {
        etl::etl(&mut issues, policy);
    }
    alerting::alerting(&mut issues, body.alerting.as_ref());
    tags::tags(&mut issues, &body.tags);
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, false);
    }
    issues.finish()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn clone(body: &CloneTask) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.name("name", &body.name);
    issues.finish()
}

/// As they are once a change of them is made.
///
/// # Errors
/// Every problem of them.
pub(crate) fn changed_types(types: &ChangeTypes) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    change_types(&mut issues, types);
    issues.finish()
}

fn retention(issues: &mut Issues, retention: &Retention) {
    issues.range("retention.hours", retention.hours, &RETENTION_HOURS);
    if let Some(bytes) = retention.max_bytes {
        issues.range("retention.max_bytes", bytes, &RETENTION_BYTES);
    }
}

/// # Errors
/// Every problem of the body.
pub(crate) fn task_patch(body: &PatchTask) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if let Some(name) = &body.name {
        issues.name("name", name);
    }
    if let Some(minutes) = body.retry_minutes {
        issues.range("retry_minutes", minutes, &RETRY_MINUTES);
    }
    if let Some(wanted) = &body.retention {
        retention(&mut issues, wanted);
    }
    // Without a script it asks for no policy any more.
    if let Some(policy) = body.etl.as_ref().filter(|etl| !etl.script.is_empty()) {
        etl::etl(&mut issues, policy);
    }
    alerting::alerting(&mut issues, body.alerting.as_ref());
    if let Some(wanted) = &body.tags {
        tags::tags(&mut issues, wanted);
    }
    if let Some(name) = &body.resource_group {
        tags::resource_group(&mut issues, name, true);
    }
    issues.finish()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn ignored_checks(body: &IgnoreChecks) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if body.codes.is_empty() {
        issues.note("codes", "names no check", "Name the alerts to ignore.");
    }
    issues.unique("codes", body.codes.iter());
    issues.name("by", &body.by);
    let characters = body.reason.trim().chars().count();
    if !REASON_CHARACTERS.contains(&characters) || body.reason.chars().any(char::is_control) {
        let detail = "must have 1 to 500 characters, none of them control characters";
        issues.note(
            "reason",
            detail,
            "Say in a sentence why the alert does not matter here.",
        );
    }
    issues.finish()
}

/// # Errors
/// The first problem of the query.
pub(crate) fn listed_tasks(query: &ListedTasks) -> Result<(), ApiError> {
    searched_page(query.search.as_deref(), query.limit)
}

/// # Errors
/// Every problem of the body.
pub(crate) fn replaced_objects(body: &Objects) -> Result<(), ApiError> {
    objects_at(None, body)
}

/// Objects that stand in a body under this name, or are the whole body: then what is wrong with it as such
/// is told of its switch.
///
/// # Errors
/// Every problem of them.
pub(crate) fn objects_at(name: Option<&str>, body: &Objects) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    objects(&mut issues, body);
    for Issue { field, .. } in &mut issues.0 {
        *field = match (name, field.strip_prefix("objects.")) {
            (None, inside) => inside.unwrap_or("all").to_owned(),
            (Some(name), None) => name.to_owned(),
            (Some(name), Some(inside)) => format!("{name}.{inside}"),
        };
    }
    issues.finish()
}

fn objects(issues: &mut Issues, objects: &Objects) {
    let names_none = objects.schemas.is_empty() && objects.schema_patterns.is_empty();
    if objects.all != names_none {
        let detail = "must be either all, or schemas and patterns of them";
        let repair =
            "Give `all: true` alone, or at least one schema or schema pattern without all.";
        issues.note("objects", detail, repair);
    }
    let names = || objects.schemas.iter().map(|schema| schema.name.as_str());
    issues.unique("objects.schemas", names());
    let repair = "Put it under schemas with `all: true`, or add `*` or `?`.";
    patterns(
        issues,
        "objects.schema_patterns",
        &objects.schema_patterns,
        repair,
    );
    for (index, schema) in objects.schemas.iter().enumerate() {
        schema_objects(issues, &format!("objects.schemas[{index}]"), schema);
    }
    // As it is written into the bucket of wishes: an escape takes six bytes.
    let bytes = serde_json::to_vec(objects).map_or(usize::MAX, |json| json.len());
    if bytes > OBJECTS_BYTES_MAX {
        let detail = "has more than 128 KiB as JSON";
        issues.note(
            "objects",
            detail,
            "Track whole schemas, or make several tasks.",
        );
    }
}

fn schema_objects(issues: &mut Issues, field: &str, schema: &SchemaObjects) {
    issues.identifier(&format!("{field}.name"), &schema.name);
    let names_none = schema.tables.is_empty() && schema.patterns.is_empty();
    if schema.all != names_none {
        let detail = "must be either all tables, or tables and patterns of them";
        let repair = "Give `all: true` alone, or at least one table or pattern without all.";
        issues.note(field, detail, repair);
    }
    let tables = format!("{field}.tables");
    issues.unique(&tables, &schema.tables);
    for (index, table) in schema.tables.iter().enumerate() {
        issues.identifier(&format!("{tables}[{index}]"), table);
    }
    let repair = "Put it under tables, or add `*` or `?`.";
    patterns(
        issues,
        &format!("{field}.patterns"),
        &schema.patterns,
        repair,
    );
}

/// Patterns of names; `repair` says what to do with a plain name among them.
fn patterns(issues: &mut Issues, field: &str, patterns: &[String], repair: &str) {
    issues.unique(field, patterns);
    let (least, most) = PATTERN_CHARACTERS.into_inner();
    for (index, pattern) in patterns.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if !PATTERN_CHARACTERS.contains(&pattern.chars().count()) || pattern.contains(['/', '\0']) {
            let detail = format!("must have {least} to {most} characters, none of them `/` or NUL");
            let repair = "Give one name, with `*` for any text and `?` for one character.";
            issues.note(&field, detail, repair);
        } else if !pattern.contains(['*', '?']) {
            issues.note(&field, "is no pattern but a name", repair);
        }
    }
}

fn change_types(issues: &mut Issues, types: &ChangeTypes) {
    if types.data.is_empty() && !types.schema {
        let repair = "Name at least one of insert, update, delete, truncate, leave it out for all, \
                      or give `schema: true`.";
        issues.note("change_types.data", "is empty without schema", repair);
    }
    issues.unique(
        "change_types.data",
        types.data.iter().map(|kind| kind.as_str()),
    );
}

/// # Errors
/// Every problem of the body.
pub(crate) fn group(body: &CreateGroup) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    issues.name("name", &body.name);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = body.account.starts_with(|c: char| c.is_ascii_lowercase());
    if !GROUP_ACCOUNT_CHARACTERS.contains(&body.account.len())
        || !begins
        || !body.account.chars().all(plain)
    {
        let detail = "must have 1 to 16 characters of [a-z0-9_], a letter first";
        issues.note("account", detail, "Give a short name such as `reader`.");
    }
    group_password(&mut issues, &body.password);
    if let Some(policy) = &body.etl {
        etl::etl(&mut issues, policy);
    }
    max_deliver(&mut issues, body.max_deliver);
    issues.finish()
}

/// # Errors
/// Every problem of the body.
pub(crate) fn group_patch(body: &PatchGroup) -> Result<(), ApiError> {
    let mut issues = Issues::default();
    if let Some(name) = &body.name {
        issues.name("name", name);
    }
    if let Some(password) = &body.password {
        group_password(&mut issues, password);
    }
    if let Some(Some(policy)) = &body.etl
        && !policy.script.is_empty()
    {
        etl::etl(&mut issues, policy);
    }
    max_deliver(&mut issues, body.max_deliver);
    issues.finish()
}

fn max_deliver(issues: &mut Issues, number: Option<u32>) {
    if number.is_some_and(|number| number > 1000) {
        let detail = "must be at most 1000";
        issues.note("max_deliver", detail, "Give 1 to 1000, or 0 for no limit.");
    }
}

fn group_password(issues: &mut Issues, password: &str) {
    if !is_group_password(password) {
        let detail = "must have 8 to 32 printable characters of at least two classes";
        let repair = "Mix lower case, upper case, digits and other characters.";
        issues.note("password", detail, repair);
    }
}

fn is_group_password(password: &str) -> bool {
    let has = |class: fn(&char) -> bool| password.chars().any(|c| class(&c));
    let classes = [
        has(char::is_ascii_lowercase),
        has(char::is_ascii_uppercase),
        has(char::is_ascii_digit),
        has(|c| !c.is_ascii_alphanumeric()),
    ];
    let printable = password.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    printable
        && GROUP_PASSWORD_CHARACTERS.contains(&password.len())
        && classes.into_iter().filter(|&class| class).count() >= 2
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fields(result: Result<(), ApiError>) -> Vec<String> {
        match result {
            Err(ApiError::Invalid(issues)) => issues.into_iter().map(|issue| issue.field).collect(),
            other => {
                other.unwrap();
                Vec::new()
            }
        }
    }

    fn task_fields(changes: &[(&str, Value)]) -> Vec<String> {
        let mut body = json!({
            "name": "orders", "source_id": "s000000000000", "objects": {"all": true}
        });
        for (field, value) in changes {
            body[field] = value.clone();
        }
        fields(task(&serde_json::from_value(body).unwrap()))
    }

    #[test]
    fn the_shortest_task_is_good() {
        assert!(task_fields(&[]).is_empty());
    }

    #[test]
    fn every_problem_of_a_task_is_told() {
        let found = task_fields(&[
            ("name", json!(" orders")),
            ("retry_minutes", json!(9)),
            ("partitions", json!(257)),
            ("retention", json!({"hours": 0, "max_bytes": 0})),
            ("change_types", json!({"data": []})),
        ]);
        let expected = [
            "name",
            "change_types.data",
            "retry_minutes",
            "retention.hours",
            "retention.max_bytes",
            "partitions",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn packed_rows_need_one_partition_and_have_it_unless_the_user_names_more() {
        let packed = ("packing", json!("transaction"));
        assert!(task_fields(std::slice::from_ref(&packed)).is_empty());
        assert!(task_fields(&[packed.clone(), ("partitions", json!(1))]).is_empty());
        assert_eq!(
            task_fields(&[packed, ("partitions", json!(16))]),
            ["partitions"]
        );
    }

    #[test]
    fn objects_are_all_or_named_and_named_once() {
        let field = |objects: Value| task_fields(&[("objects", objects)]);
        assert_eq!(field(json!({})), ["objects"]);
        assert_eq!(
            field(json!({"all": true, "schemas": [{"name": "a", "all": true}]})),
            ["objects"]
        );
        assert_eq!(
            field(json!({"schemas": [{"name": "a", "all": true}, {"name": "a", "all": true}]})),
            ["objects.schemas"]
        );
        assert_eq!(
            field(json!({"schemas": [{"name": "a"}]})),
            ["objects.schemas[0]"]
        );
        assert_eq!(
            field(json!({"schemas": [{"name": "a", "tables": ["t", "t", ""]}]})),
            ["objects.schemas[0].tables", "objects.schemas[0].tables[2]"]
        );
        assert!(field(json!({"schemas": [{"name": "a", "tables": ["t"]}]})).is_empty());
    }

    #[test]
    fn patterns_stand_beside_names_and_not_beside_all() {
        let field = |objects: Value| task_fields(&[("objects", objects)]);
        assert!(field(json!({"schema_patterns": ["tenant_*"]})).is_empty());
        let both = json!({"name": "a", "tables": ["t"], "patterns": ["log_?"]});
        assert!(field(json!({"schemas": [both], "schema_patterns": ["*"]})).is_empty());
        assert!(field(json!({"schemas": [{"name": "a", "patterns": ["*"]}]})).is_empty());
        assert_eq!(
            field(json!({"all": true, "schema_patterns": ["*"]})),
            ["objects"]
        );
        assert_eq!(
            field(json!({"schemas": [{"name": "a", "all": true, "patterns": ["*"]}]})),
            ["objects.schemas[0]"]
        );
    }

    #[test]
    fn a_pattern_that_is_none_is_sent_to_the_names() {
        let long = "*".repeat(64);
        let body = json!({"schemas": [
            {"name": "a", "patterns": ["x*", "x*", "orders", "", "a/*", long]}
        ], "schema_patterns": ["shop"]});
        let expected = [
            "schema_patterns[0]",
            "schemas[0].patterns",
            "schemas[0].patterns[2]",
            "schemas[0].patterns[3]",
            "schemas[0].patterns[4]",
            "schemas[0].patterns[5]",
        ];
        let body = serde_json::from_value(body).unwrap();
        assert_eq!(fields(replaced_objects(&body)), expected);
        match replaced_objects(&body) {
            Err(ApiError::Invalid(issues)) => {
                assert!(issues[2].repair.starts_with("Put it under tables"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_body_itself_is_named_by_its_switch() {
        assert_eq!(fields(replaced_objects(&Objects::default())), ["all"]);
    }

    #[test]
    fn a_task_tracks_rows_or_schemas_or_both() {
        let field = |types: Value| task_fields(&[("change_types", types)]);
        assert!(field(json!({"schema": true})).is_empty());
        assert!(field(json!({"schema": true, "data": []})).is_empty());
        assert_eq!(
            field(json!({"schema": false, "data": []})),
            ["change_types.data"]
        );
    }

    fn source_fields(changes: &[(&str, Value)]) -> Vec<String> {
        let mut body = json!({
            "name": "shop", "host": "db.example.com", "database": "shop",
            "account": "rowcast", "password": "secret"
        });
        for (field, value) in changes {
            body[field] = value.clone();
        }
        fields(source(&serde_json::from_value(body).unwrap()))
    }

    #[test]
    fn every_problem_of_a_source_is_told() {
        assert!(source_fields(&[]).is_empty());
        let found = source_fields(&[
            ("host", json!("postgres://db")),
            ("port", json!(0)),
            ("database", json!("d".repeat(64))),
            ("password", json!("")),
            ("sslrootcert", json!("/etc/ca.pem")),
        ]);
        assert_eq!(
            found,
            ["host", "port", "database", "password", "sslrootcert"]
        );
    }

    #[test]
    fn a_client_certificate_comes_with_its_key_and_takes_the_place_of_the_password() {
        let certificate = ("sslcert", json!("-----BEGIN CERTIFICATE-----\n"));
        let key = ("sslkey", json!("-----BEGIN EC PRIVATE KEY-----\n"));
        let no_password = ("password", json!(""));
        let (whole, alone) = ([certificate.clone(), key.clone()], [certificate.clone()]);
        assert!(source_fields(&whole).is_empty());
        assert!(source_fields(&[certificate.clone(), key.clone(), no_password]).is_empty());
        assert_eq!(source_fields(&alone), ["sslkey"]);
        assert_eq!(source_fields(std::slice::from_ref(&key)), ["sslcert"]);
        let without_tls = ("sslmode", json!("disable"));
        let found = source_fields(&[certificate.clone(), key, without_tls]);
        assert_eq!(found, ["sslmode"]);
        let locked = ("sslkey", json!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
        assert_eq!(source_fields(&[certificate, locked]), ["sslkey"]);
    }

    #[test]
    fn a_host_may_be_a_folder_an_address_or_several() {
        let eight = ["db"; 8].join(",");
        for host in ["/run/postgresql", "::1", "10.0.0.1", "a,b:5433", &eight] {
            assert!(source_fields(&[("host", json!(host))]).is_empty(), "{host}");
        }
        let nine = ["db"; 9].join(",");
        for host in ["", "a b", "a,", "a,,b", "user@a", &nine] {
            assert_eq!(source_fields(&[("host", json!(host))]), ["host"], "{host}");
        }
    }

    #[test]
    fn a_group_password_mixes_classes() {
        for good in ["abcdefg1", "ABCDEFGh", "12345678!", "pass word"] {
            assert!(is_group_password(good), "{good}");
        }
        let long = "a1".repeat(17);
        for bad in [
            "abcdef1",
            "abcdefgh",
            "12345678",
            "abcdefg\t1",
            long.as_str(),
        ] {
            assert!(!is_group_password(bad), "{bad}");
        }
    }

    #[test]
    fn an_account_begins_with_a_letter() {
        let of = |account: &str| {
            fields(group(&CreateGroup {
                name: "g".to_owned(),
                account: account.to_owned(),
                password: "abcdefg1".to_owned(),
                mode: None,
                etl: None,
                format: None,
                max_deliver: None,
                on_exhausted: None,
                delivery: None,
            }))
        };
        assert!(of("reader_1").is_empty());
        for bad in ["", "1reader", "Reader", "reader-1", "abcdefghijklmnopq"] {
            assert_eq!(of(bad), ["account"], "{bad}");
        }
    }

    #[test]
    fn the_policy_of_a_group_is_read_as_that_of_a_task() {
        let of = |script: &str| {
            fields(group(&CreateGroup {
                name: "g".to_owned(),
                account: "reader".to_owned(),
                password: "abcdefg1".to_owned(),
                mode: None,
                etl: Some(rowcast_proto::rest::Etl {
                    script: script.to_owned(),
                    on_error: rowcast_proto::rest::OnRowError::Park,
                }),
                format: None,
                delivery: None,
                max_deliver: None,
                on_exhausted: None,
            }))
        };
        assert!(of("e_keep(`paid`)").is_empty());
        assert_eq!(of("e_kep(`paid`)"), ["etl.script"]);
    }
}
