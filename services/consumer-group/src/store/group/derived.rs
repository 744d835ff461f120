//! What a group is told in its own way, as it is stored.

use rowcast_proto::message::{EtlPolicy, GroupFormat, RowErrorAction};
use rowcast_proto::rest::{self, OnRowError};

/// A policy or a format of a group's own, or both; neither where it has had a policy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Derived {
    /// `None` where rows are told as the task tells them.
    pub(crate) etl: Option<EtlPolicy>,
    /// Unspecified for that of the task.
    pub(crate) format: GroupFormat,
    /// How often the policy was changed.
    pub(crate) version: u64,
}

impl Derived {
    pub(super) fn script(&self) -> Option<&str> {
        self.etl.as_ref().map(|etl| etl.script.as_str())
    }

    pub(super) fn on_error(&self) -> Option<&'static str> {
        self.etl.as_ref().map(on_error)
    }

    pub(super) fn format(&self) -> Option<&'static str> {
        self.format.named().map(rest::GroupFormat::as_str)
    }
}

/// What becomes of rows that a policy fails on, by its name.
pub(super) fn on_error(etl: &EtlPolicy) -> &'static str {
    let action = match etl.on_error() {
        RowErrorAction::Unspecified | RowErrorAction::Park => OnRowError::Park,
        RowErrorAction::Drop => OnRowError::Drop,
        RowErrorAction::Stop => OnRowError::Stop,
    };
    action.as_str()
}

/// What is stored of it; `None` where nothing is.
pub(super) fn read(
    script: Option<String>,
    on_error: Option<String>,
    format: Option<String>,
    version: u64,
) -> Result<Option<Derived>, sqlx::Error> {
    let unknown = |what: &str| sqlx::Error::Decode(format!("{what} that is not known").into());
    let format = match format {
        None => GroupFormat::Unspecified,
        Some(name) => rest::GroupFormat::from_name(&name)
            .ok_or_else(|| unknown("a format"))?
            .into(),
    };
    let etl = match (script, on_error) {
        (Some(script), Some(on_error)) => {
            let action = match OnRowError::from_name(&on_error) {
                Some(OnRowError::Park) => RowErrorAction::Park,
                Some(OnRowError::Drop) => RowErrorAction::Drop,
                Some(OnRowError::Stop) => RowErrorAction::Stop,
                None => return Err(unknown("an action")),
            };
            Some(EtlPolicy {
                script,
                on_error: action.into(),
            })
        }
        (_, _) => None,
    };
    let is_own = etl.is_some() || format != GroupFormat::Unspecified || version > 0;
    Ok(is_own.then_some(Derived {
        etl,
        format,
        version,
    }))
}
