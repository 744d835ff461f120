//! Differences that the API removes: of a source all but its name, of a task what is not fixed. Pure.

use rowcast_domain::TaskState;
use rowcast_proto::rest::{PatchSource, PatchTask, Retention, Source, Task};

use super::document::{SourceEntry, TaskEntry};
use super::plan::Step;

/// What of a source is otherwise.
///
/// Its password and its certificate authorities are told by nobody and so not compared.
pub(super) fn of_source(wanted: &SourceEntry, there: &Source) -> Option<Step> {
    let mut changes = Changes::default();
    let patch = PatchSource {
        name: None,
        host: changes.found("host", &there.host, &wanted.host),
        port: changes.found("port", &there.port, &wanted.port),
        database: changes.found("database", &there.database, &wanted.database),
        account: changes.found("account", &there.account, &wanted.account),
        password: None,
        sslmode: changes
            .found("sslmode", &there.sslmode.as_str(), &wanted.sslmode.as_str())
            .map(|_word| wanted.sslmode),
        sslrootcert: None,
    };
    changes.then(|changes| Step::UpdateSource {
        source: wanted.clone(),
        patch,
        changes,
    })
}

/// What of a task is otherwise, its objects left out.
pub(super) fn of_task(wanted: &TaskEntry, there: &Task) -> Option<Step> {
    let mut changes = Changes::default();
    let minutes = (&there.retry_minutes, &wanted.retry_minutes);
    let retention = (kept(&there.retention), kept(&wanted.retention));
    let patch = PatchTask {
        name: None,
        retry_minutes: changes.found("retry_minutes", minutes.0, minutes.1),
        retention: is_fresh(there.state)
            .then(|| changes.found("retention", &retention.0, &retention.1))
            .flatten()
            .map(|_words| wanted.retention.clone()),
    };
    changes.then(|changes| Step::UpdateTask {
        task: wanted.name.clone(),
        patch,
        changes,
    })
}

/// Whether nothing was made for a task yet.
pub(super) const fn is_fresh(state: TaskState) -> bool {
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
        | TaskState::Released => false,
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
struct Changes(Vec<String>);

impl Changes {
    /// The wanted value, where it is another one.
    fn found<T: PartialEq + Clone + ToString>(
        &mut self,
        what: &str,
        there: &T,
        wanted: &T,
    ) -> Option<T> {
        if there == wanted {
            return None;
        }
        let (before, after) = (there.to_string(), wanted.to_string());
        self.0.push(format!("{what} {before} → {after}"));
        Some(wanted.clone())
    }

    fn then(self, step: impl FnOnce(Vec<String>) -> Step) -> Option<Step> {
        (!self.0.is_empty()).then(|| step(self.0))
    }
}
