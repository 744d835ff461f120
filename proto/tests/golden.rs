//! The wire, held to its samples in `golden/`.
//!
//! Every message has one. A sample is never changed: what an older version wrote must be read for
//! ever. A new form of a message is a new sample beside it, `<message>.v2.json`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rowcast_proto::{change, message, rest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A field that no version has.
const UNKNOWN: &str = "fieldOfANewerVersion";

/// What a reader does with a field that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UnknownField {
    /// Reads on, in every object of the message.
    IgnoredEverywhere,
    /// Reads on; objects further down are rows, or parts of a request.
    IgnoredAtTop,
    /// Tells the user, who has misspelled a field of a request.
    Refused,
}

/// A message: its folder and name, and what a sample of it must stand.
struct Message {
    folder: &'static str,
    name: &'static str,
    check: fn(&str, &Value),
}

macro_rules! messages {
    ($folder:literal, $unknown:ident: $($module:ident::$name:ident),+ $(,)?) => {
        vec![$(Message {
            folder: $folder,
            name: stringify!($name),
            check: |file, sample| check::<$module::$name>(file, sample, UnknownField::$unknown),
        }),+]
    };
}

fn control_plane() -> Vec<Message> {
    messages!("message", IgnoredEverywhere:
        message::Alerting,
        message::BrowseRequest,
        message::ChangeTypes,
        message::CheckName,
        message::CheckResult,
        message::Contact,
        message::ContactRequest,
        message::CreateGroupRequest,
        message::AlertRule,
        message::DeleteContactReply,
        message::DeleteRuleReply,
        message::ListRulesReply,
        message::ListRulesRequest,
        message::PutRuleRequest,
        message::RuleRequest,
        message::Tag,
        message::ListContactsReply,
        message::ListContactsRequest,
        message::PutContactRequest,
        message::TestContactReply,
        message::DeleteGroupReply,
        message::EtlPolicy,
        message::EventMeta,
        message::Group,
        message::GroupConnection,
        message::GroupCreated,
        message::GroupDeleted,
        message::GroupRequest,
        message::HeldRange,
        message::HeldShare,
        message::Incident,
        message::IncidentRaised,
        message::IncidentResolved,
        message::ListGroupsReply,
        message::ListGroupsRequest,
        message::ListIncidentsReply,
        message::ListIncidentsRequest,
        message::LiveTasks,
        message::MemberReply,
        message::MemberRequest,
        message::ObjectPage,
        message::ObjectSelection,
        message::PartitionConsumer,
        message::PrecheckProgress,
        message::PrecheckReport,
        message::PrecheckRequest,
        message::Retention,
        message::RpcError,
        message::SchemaSelection,
        message::SchemaSummary,
        message::SealedSecret,
        message::SourceConnection,
        message::SourceTest,
        message::TableSummary,
        message::TaskError,
        message::TaskSpec,
        message::TaskRechecked,
        message::TaskStateChanged,
        message::TaskStatus,
        message::TestSourceRequest,
        message::TraceContext,
        message::UpdateGroupRequest,
    )
}

fn billing() -> Vec<Message> {
    messages!("message", IgnoredEverywhere:
        message::Instance,
        message::InstancePurchased,
        message::InstanceReply,
        message::InstanceRequest,
        message::InstanceStateChanged,
        message::ListInstancesReply,
        message::ListInstancesRequest,
        message::Order,
        message::PurchaseRequest,
        message::Quote,
        message::QuoteRequest,
        message::RenewRequest,
        message::UpdateInstanceRequest,
        message::UsageLine,
        message::UsageMetered,
        message::UsageReply,
        message::UsageRequest,
    )
}

/// How it is with consumer groups.
fn of_groups() -> Vec<Message> {
    messages!("message", IgnoredEverywhere:
        message::DeadLetter,
        message::DeadLetterRequest,
        message::DeadLettersReply,
        message::SkipChangeRequest,
        message::StuckChange,
        message::ListDeadLettersReply,
        message::ListDeadLettersRequest,
        message::GroupHistoryReply,
        message::GroupHistoryRequest,
        message::GroupMember,
        message::GroupMoved,
        message::DeadLettersPutAway,
        message::GroupSample,
        message::LoginSeen,
        message::ListConsumptionReply,
        message::ListConsumptionRequest,
        message::TaskConsumption,
        message::GroupStateChanged,
        message::GroupStatus,
        message::Derivation,
        message::MoveGroupRequest,
        message::StreamPosition,
        message::StreamRange,
    )
}

/// Those with a map, in which nothing is unknown.
fn with_maps() -> Vec<Message> {
    messages!("message", IgnoredAtTop: message::TaskLogLine)
}

fn data_path() -> Vec<Message> {
    messages!("change", IgnoredAtTop:
        change::Change,
        change::TableSchema,
        change::Column,
        change::Documents,
        change::Acknowledged,
        change::Checkpoint,
        change::Ddl,
        change::Gap,
        change::LogicalMessage,
        change::Part,
        change::TrackedObjects,
    )
}

fn rest_bodies() -> Vec<Message> {
    let mut bodies = messages!("rest", IgnoredAtTop:
        rest::AuditEntry,
        rest::AuditLog,
        rest::CheckItem,
        rest::CheckName,
        rest::ClientNetwork,
        rest::Group,
        rest::GroupConnection,
        rest::GroupList,
        rest::HeldRange,
        rest::Ignored,
        rest::Incident,
        rest::IncidentList,
        rest::NewToken,
        rest::Precheck,
        rest::PrecheckBegun,
        rest::PrecheckEnded,
        rest::PrecheckSummary,
        rest::LogLine,
        rest::ObjectsPlan,
        rest::PartitionConsumer,
        rest::Problem,
        rest::Recheck,
        rest::ReleasePlan,
        rest::ReleasedItem,
        rest::Source,
        rest::SchemaSummary,
        rest::SourceList,
        rest::SourceObjects,
        rest::SourceTest,
        rest::System,
        rest::TableSummary,
        rest::Task,
        rest::TaskError,
        rest::TaskList,
        rest::TaskLog,
        rest::TaskPosition,
        rest::TaskPreview,
        rest::TaskTransition,
        rest::TaskTransitionList,
        rest::Token,
        rest::TokenList,
    );
    bodies.extend(messages!("rest", Refused:
        rest::Alerting,
        rest::ChangeObjects,
        rest::ChangeTypes,
        rest::CloneTask,
        rest::CreateGroup,
        rest::CreateSource,
        rest::CreateTask,
        rest::CreateToken,
        rest::Etl,
        rest::IgnoreChecks,
        rest::Objects,
        rest::PatchChangeTypes,
        rest::PatchGroup,
        rest::PatchSource,
        rest::PatchTask,
        rest::Retention,
        rest::RunPrecheck,
        rest::SchemaObjects,
        rest::StartTask,
    ));
    bodies
}

fn billing_bodies() -> Vec<Message> {
    let mut bodies = messages!("rest", IgnoredAtTop:
        rest::Instance,
        rest::Order,
        rest::Prices,
        rest::Subscription,
        rest::UsageLine,
        rest::UsageList,
    );
    bodies.extend(messages!("rest", Refused:
        rest::PatchInstance,
        rest::PurchaseTask,
        rest::RenewTask,
    ));
    bodies
}

fn contact_bodies() -> Vec<Message> {
    let mut bodies = messages!("rest", IgnoredAtTop:
        rest::Contact,
        rest::ContactList,
        rest::ContactTest,
        rest::IncidentNotice,
        rest::Rule,
        rest::RuleList,
    );
    bodies.extend(messages!("rest", Refused:
        rest::CreateContact,
        rest::CreateRule,
        rest::PatchContact,
        rest::PatchRule,
    ));
    bodies
}

fn group_bodies() -> Vec<Message> {
    let mut bodies = messages!("rest", IgnoredAtTop:
        rest::DeadLetter,
        rest::DeadLetterList,
        rest::DeadLettersDone,
        rest::StuckChange,
        rest::GroupHistory,
        rest::GroupMember,
        rest::Consumption,
        rest::GroupSample,
        rest::GroupStatus,
        rest::Derivation,
        rest::StreamPosition,
        rest::StreamRange,
    );
    bodies.extend(messages!("rest", Refused: rest::MoveGroup, rest::SkipChange));
    bodies
}

fn check<T: Serialize + DeserializeOwned>(file: &str, sample: &Value, unknown: UnknownField) {
    let again = match T::deserialize(sample) {
        Ok(message) => encode(file, &message),
        Err(error) => panic!("{file} is not read: {error}"),
    };
    assert_eq!(&again, sample, "{file} is written in another form");

    let mut newer = sample.clone();
    add_unknown(&mut newer, unknown == UnknownField::IgnoredEverywhere);
    match (T::deserialize(&newer), unknown) {
        (Ok(message), UnknownField::IgnoredEverywhere | UnknownField::IgnoredAtTop) => {
            assert_eq!(
                &encode(file, &message),
                sample,
                "{file} with an unknown field"
            );
        }
        (Err(_refused), UnknownField::Refused) => {}
        (Ok(_message), UnknownField::Refused) => panic!("{file}: an unknown field is let through"),
        (Err(error), UnknownField::IgnoredEverywhere | UnknownField::IgnoredAtTop) => {
            panic!("{file}: an unknown field is refused: {error}")
        }
    }
}

fn encode(file: &str, message: &impl Serialize) -> Value {
    match serde_json::to_value(message) {
        Ok(value) => value,
        Err(error) => panic!("{file} is not written: {error}"),
    }
}

fn add_unknown(value: &mut Value, everywhere: bool) {
    if let Value::Object(fields) = value {
        if everywhere {
            fields
                .values_mut()
                .for_each(|field| add_unknown(field, true));
        }
        fields.insert(UNKNOWN.to_owned(), serde_json::json!({"a": [1, null]}));
    } else if let Value::Array(items) = value {
        items
            .iter_mut()
            .for_each(|item| add_unknown(item, everywhere));
    }
}

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// Names and texts of the files of a folder, in order.
fn files(relative: &str) -> Vec<(String, String)> {
    let read = || -> std::io::Result<Vec<_>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(path(relative))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(entry.path())?));
        }
        files.sort();
        Ok(files)
    };
    match read() {
        Ok(files) => files,
        Err(error) => panic!("{relative}: {error}"),
    }
}

/// Reads every sample of a folder; returns the messages that have one.
fn check_folder(folder: &str, messages: &[Message]) -> BTreeSet<String> {
    let mut sampled = BTreeSet::new();
    for (file, text) in files(&format!("golden/{folder}")) {
        let name = file.split('.').next().unwrap_or_default();
        let message = messages.iter().find(|message| message.name == name);
        let Some(message) = message else {
            panic!("golden/{folder}/{file} is a sample of no message");
        };
        assert_eq!(message.folder, folder);
        match serde_json::from_str(&text) {
            Ok(sample) => (message.check)(&file, &sample),
            Err(error) => panic!("golden/{folder}/{file} is no JSON: {error}"),
        }
        sampled.insert(name.to_owned());
    }
    sampled
}

/// What follows `keyword` at the begin of lines, up to something that is no name.
fn declared(texts: &[(String, String)], keyword: &str) -> BTreeSet<String> {
    texts
        .iter()
        .flat_map(|(_file, text)| text.lines())
        .filter_map(|line| line.strip_prefix(keyword))
        .map(|rest| {
            rest.chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect()
        })
        .collect()
}

#[test]
fn every_message_of_the_control_plane_is_read_and_written_as_sampled() {
    let mut messages = control_plane();
    messages.extend(billing());
    messages.extend(of_groups());
    messages.extend(with_maps());
    let sampled = check_folder("message", &messages);
    let mut schemas = files("schema");
    // Its messages are those of the data path.
    schemas.retain(|(file, _text)| file != "change.proto");
    assert_eq!(sampled, declared(&schemas, "message "));
}

#[test]
fn every_rest_body_is_read_and_written_as_sampled() {
    let mut bodies = rest_bodies();
    bodies.extend(billing_bodies());
    bodies.extend(contact_bodies());
    bodies.extend(group_bodies());
    let sampled = check_folder("rest", &bodies);
    assert_eq!(sampled, declared(&files("src/rest"), "pub struct "));
}

#[test]
fn every_message_of_the_data_path_is_read_and_written_as_sampled() {
    let sampled = check_folder("change", &data_path());
    let sources: Vec<_> = files_of_change();
    assert_eq!(sampled, declared(&sources, "pub struct "));
}

fn files_of_change() -> Vec<(String, String)> {
    match fs::read_to_string(path("src/change.rs")) {
        Ok(text) => vec![("change.rs".to_owned(), text)],
        Err(error) => panic!("src/change.rs: {error}"),
    }
}

#[test]
fn every_operation_has_a_sample() {
    let sampled: BTreeSet<_> = files("golden/change")
        .into_iter()
        .filter_map(|(file, _text)| {
            Some(file.strip_prefix("Change.")?.split('.').next()?.to_owned())
        })
        .collect();
    let mut operations: BTreeSet<_> = rowcast_proto::subject::Op::ALL
        .map(|op| op.as_str().to_owned())
        .into();
    // A piece of a message has the subject, and so the operation, of the whole.
    operations.insert("part".to_owned());
    assert_eq!(sampled, operations);
}
