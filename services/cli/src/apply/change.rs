//! Differences that the API removes: of a source all but its name, of a task what is not fixed. Pure.

use std::collections::BTreeMap;

use rowcast_domain::TaskState;
use rowcast_proto::rest::{
    ChangeTypes, DataChange, Etl, Group, OWN_TAGS, OnExhausted, PatchChangeTypes, PatchGroup,
    PatchSource, PatchTask, Retention, Source, Task,
};

use super::contact;
use super::document::{GroupEntry, SourceEntry, TaskEntry};
use super::plan::{Present, Step};
use crate::table::or_dash;
use crate::tags::in_words;

/// The tag that says which set of tasks a task belongs to: the file that named it last.
pub(super) const SET_TAG: &str = "rowcast/set";

/// What of a source is otherwise.
///
/// Its password and its certificates are told by nobody and so not compared.
pub(super) fn of_source(wanted: &SourceEntry, set: Option<&str>, there: &Source) -> Option<Step> {
    let tags_wanted = all_tags(wanted.tags.as_ref(), set, &there.tags);
    let tags = (in_words(&there.tags), in_words(&tags_wanted));
    let group = there.resource_group.clone().unwrap_or_default();
    let region = there.region.clone().unwrap_or_default();
    let instance_id = there.instance_id.clone().unwrap_or_default();
    let mut changes = Changes::default();
    let patch = PatchSource {
        name: None,
        kind: changes
            .found("kind", &there.kind.as_str(), &wanted.kind.as_str())
            .map(|_word| wanted.kind),
        region: wanted
            .region
            .as_ref()
            .and_then(|wanted| changes.found("region", &region, wanted)),
        instance_id: wanted
            .instance_id
            .as_ref()
            .and_then(|wanted| changes.found("instance_id", &instance_id, wanted)),
        host: changes.found("host", &there.host, &wanted.host),
        port: changes.found("port", &there.port, &wanted.port),
        database: changes.found("database", &there.database, &wanted.database),
        account: changes.found("account", &there.account, &wanted.account),
        password: None,
        sslmode: changes
            .found("sslmode", &there.sslmode.as_str(), &wanted.sslmode.as_str())
            .map(|_word| wanted.sslmode),
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        tags: changes
            .found("tags", &tags.0, &tags.1)
            .map(|_words| tags_wanted),
        resource_group: wanted
            .resource_group
            .as_ref()
            .and_then(|wanted| changes.found("resource_group", &group, wanted)),
    };
    changes.then(|changes| Step::UpdateSource {
        source: wanted.clone(),
        patch: Box::new(patch),
        changes,
    })
}

/// What of a task is otherwise, its objects left out.
pub(super) fn of_task(
    wanted: &TaskEntry,
    set: Option<&str>,
    there: &Task,
    present: &Present,
) -> Option<Step> {
    let tags_wanted = all_tags(wanted.tags.as_ref(), set, &there.tags);
    let tags = (in_words(&there.tags), in_words(&tags_wanted));
    let types = (kinds(&there.change_types), kinds(&wanted.change_types));
    let group = there.resource_group.clone().unwrap_or_default();
    let mut changes = Changes::default();
    let alerting = wanted.alerting.clone().and_then(|wanted| {
        let words = (
            contact::there_in_words(there.alerting.as_ref(), present),
            contact::wanted_in_words(&wanted, present),
        );
        changes
            .found("alerting", &words.0, &words.1)
            .map(|_words| wanted)
    });
    let minutes = (&there.retry_minutes, &wanted.retry_minutes);
    let patch = PatchTask {
        name: None,
        retry_minutes: changes.found("retry_minutes", minutes.0, minutes.1),
        retention: wanted.retention.as_ref().and_then(|wanted| {
            changes
                .found("retention", &kept(&there.retention), &kept(wanted))
                .map(|_words| wanted.clone())
        }),
        change_types: changes
            .found("change_types", &types.0, &types.1)
            .map(|_words| PatchChangeTypes {
                data: Some(wanted.change_types.data.clone()),
                schema: Some(wanted.change_types.schema),
            }),
        etl: wanted.etl.clone().and_then(|wanted| {
            changes
                .found("etl", &policy(there.etl.as_ref()), &policy(Some(&wanted)))
                .map(|_words| wanted)
        }),
        alerting: None,
        tags: changes
            .found("tags", &tags.0, &tags.1)
            .map(|_words| tags_wanted),
        resource_group: wanted
            .resource_group
            .as_ref()
            .and_then(|wanted| changes.found("resource_group", &group, wanted)),
        ..PatchTask::default()
    };
    changes.then(|changes| Step::UpdateTask {
        task: wanted.name.clone(),
        patch,
        alerting,
        changes,
    })
}

/// What of a group is otherwise that is not fixed.
pub(super) fn of_group(task: &str, wanted: &GroupEntry, there: &Group) -> Option<Step> {
    let mut changes = Changes::default();
    let attempts = there.max_deliver.unwrap_or_default();
    let max_deliver = wanted
        .max_deliver
        .and_then(|wanted| changes.found("max_deliver", &attempts, &wanted));
    let then = there.on_exhausted.unwrap_or(OnExhausted::of(there.mode));
    let on_exhausted = wanted
        .on_exhausted
        .and_then(|wanted| changes.found("on_exhausted", &then, &wanted));
    let etl = wanted.etl.as_ref().filter(|_etl| has_own_stream(there));
    let etl = etl.and_then(|wanted| {
        let words = (policy(there.etl.as_ref()), policy(Some(wanted)));
        changes
            .found("etl", &words.0, &words.1)
            .map(|_words| Some(wanted.clone()).filter(|etl| !etl.script.is_empty()))
    });
    let patch = PatchGroup {
        max_deliver,
        on_exhausted,
        etl,
        ..PatchGroup::default()
    };
    changes.then(|changes| Step::UpdateGroup {
        task: task.to_owned(),
        group: wanted.name.clone(),
        patch,
        changes,
    })
}

/// Whether a group was made with a policy or a format of its own: only such a policy can be changed.
pub(super) fn has_own_stream(group: &Group) -> bool {
    let status = group.status.as_ref();
    group.etl.is_some()
        || group.format.is_some()
        || status.is_some_and(|status| status.derivation.is_some())
}

/// Those of the file, or, where it says none, those that are there; Rowcast's own that are there; and
/// the mark of the set.
pub(super) fn all_tags(
    wanted: Option<&BTreeMap<String, String>>,
    set: Option<&str>,
    there: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut tags = there.clone();
    if let Some(said) = wanted {
        tags.retain(|key, _value| key.starts_with(OWN_TAGS));
        tags.extend(said.clone());
    }
    tags.extend(set.map(|set| (SET_TAG.to_owned(), set.to_owned())));
    tags
}

/// Whether nothing was made for a task yet.
pub(crate) const fn is_fresh(state: TaskState) -> bool {
    match state {
        TaskState::NotConfigured
        | TaskState::NotStarted
        | TaskState::Prechecking
        | TaskState::PrecheckFailed
        | TaskState::PrecheckPassed => true,
        TaskState::Starting
        | TaskState::Running
        | TaskState::Retrying
        | TaskState::Abnormal
        | TaskState::Suspended
        | TaskState::Locked
        | TaskState::Resetting
        | TaskState::Released => false,
    }
}

/// In one order, whatever was written.
pub(super) fn kinds(types: &ChangeTypes) -> String {
    let data = DataChange::ALL
        .iter()
        .filter(|kind| types.data.contains(kind));
    let schema = types.schema.then_some("schema");
    let words: Vec<&str> = data.map(|kind| kind.as_str()).chain(schema).collect();
    words.join("+")
}

pub(super) fn policy(etl: Option<&Etl>) -> String {
    match etl.filter(|etl| !etl.script.is_empty()) {
        None => "none".to_owned(),
        Some(etl) => format!("{:?} (on_error {})", etl.script, etl.on_error.as_str()),
    }
}

pub(super) fn kept(retention: &Retention) -> String {
    match retention.max_bytes {
        Some(bytes) => format!("{} h and {bytes} bytes", retention.hours),
        None => format!("{} h", retention.hours),
    }
}

/// Each as `port 5432 → 5433`.
#[derive(Debug, Default)]
pub(super) struct Changes(Vec<String>);

impl Changes {
    /// The wanted value, where it is another one.
    pub(super) fn found<T: PartialEq + Clone + ToString>(
        &mut self,
        what: &str,
        there: &T,
        wanted: &T,
    ) -> Option<T> {
        if there == wanted {
            return None;
        }
        let said = |value: &T| Some(value.to_string()).filter(|text| !text.is_empty());
        let (before, after) = (or_dash(said(there)), or_dash(said(wanted)));
        self.0.push(format!("{what} {before} → {after}"));
        Some(wanted.clone())
    }

    pub(super) fn then(self, step: impl FnOnce(Vec<String>) -> Step) -> Option<Step> {
        (!self.0.is_empty()).then(|| step(self.0))
    }
}
