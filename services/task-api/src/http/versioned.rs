//! Versions of what another service keeps: groups, contacts and instances. All that users change of them passes through
//! here, so here it is counted.
//!
//! A change is counted twice: before it is asked for, so that of two that mean the same version one is refused, and once it
//! is made, so that who has read the thing in between is refused too. What is read is read behind its version. A version
//! may so be older than what it is told with, never newer, and refuses once too often rather than once too seldom. After a
//! change that was refused, the versions before it hold as well as the one that it has counted.

use std::fmt;

use axum::http::StatusCode;
use rowcast_domain::{ContactId, GroupId, TaskId};

use super::tag::{IfMatch, Tagged};
use crate::error::ApiError;
use crate::state::App;
use crate::store::version;

/// What has a version.
#[derive(Debug, Clone, Copy)]
pub(super) enum Thing<'a> {
    /// Of this task: whether it is one of that task is said only once it is asked for.
    Group(&'a TaskId, &'a GroupId),
    Contact(&'a ContactId),
    /// Of this task.
    Instance(&'a TaskId),
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(task, id) => write!(f, "group/{task}/{id}"),
            Self::Contact(id) => write!(f, "contact/{id}"),
            Self::Instance(id) => write!(f, "instance/{id}"),
        }
    }
}

/// What is read, with its version.
pub(super) async fn read<T>(
    app: &App,
    thing: Thing<'_>,
    reading: impl Future<Output = Result<T, ApiError>>,
) -> Result<Tagged<T>, ApiError> {
    let version = version::of(app.pool(), &thing.to_string()).await?;
    Ok(Tagged(version, reading.await?))
}

/// What the change makes of the thing, if that has the version that is meant.
pub(super) async fn changed<T>(
    app: &App,
    thing: Thing<'_>,
    expected: &IfMatch,
    change: impl Future<Output = Result<T, ApiError>>,
) -> Result<Tagged<T>, ApiError> {
    let about = thing.to_string();
    let (since, version) = begin(app, &about, expected).await?;
    match change.await {
        Ok(made) => {
            let mut connection = app.pool().acquire().await?;
            let counted = version::count(&mut connection, &about).await?;
            // Where others have changed it in between, what was made is not what is there by now.
            let is_last = counted == version + 1;
            Ok(Tagged(if is_last { counted } else { version }, made))
        }
        Err(error) => {
            match error.refused_with() {
                Some(StatusCode::NOT_FOUND) => version::forget(app.pool(), &about).await?,
                Some(_status) => version::refused(app.pool(), &about, version, since).await?,
                // It may have been made.
                None => {}
            }
            Err(error)
        }
    }
}

/// Deletes the thing, if it has the version that is meant.
pub(super) async fn deleted(
    app: &App,
    thing: Thing<'_>,
    expected: &IfMatch,
    deletion: impl Future<Output = Result<(), ApiError>>,
) -> Result<(), ApiError> {
    changed(app, thing, expected, deletion).await?;
    Ok(version::forget(app.pool(), &thing.to_string()).await?)
}

/// Counts the change that is to be asked for: since when the thing is as it is, and the version now.
async fn begin(app: &App, about: &str, expected: &IfMatch) -> Result<(u64, u64), ApiError> {
    let mut transaction = app.pool().begin().await?;
    let same = version::lock(&mut transaction, about).await?;
    let (since, present) = (*same.start(), *same.end());
    if !same.rev().any(|version| expected.holds(version).is_ok()) {
        expected.holds(present)?;
    }
    let version = version::count(&mut transaction, about).await?;
    transaction.commit().await?;
    Ok((since, version))
}
