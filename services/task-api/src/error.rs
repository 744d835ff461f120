//! Every way a request can fail, and the problem (RFC 9457) that the user sees.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rowcast_bus::request::AskError;
use rowcast_bus::trace_context;
use rowcast_domain::{IllegalTransition, TaskCommand, TaskState};
use rowcast_proto::message::{ErrorKind, RpcError};
use rowcast_proto::rest::Problem;
use rowcast_service::BoxError;
use rowcast_service::keyring::KeyringError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::validate::Issue;

/// A problem, with every issue of the body where it has several.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    #[serde(flatten)]
    pub(crate) problem: Problem,
    /// Each field at fault. An extension member in the sense of RFC 9457, section 3.2.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<Issue>,
    /// The state that forbids what was asked of a task. An extension member too, as the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<TaskState>,
    /// Every command that a task in this state takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) allowed: Vec<TaskCommand>,
}

/// Why a request is not answered as wished.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// It is the asker's to repair.
    #[error("{}", .0.detail)]
    Refused(Box<Refused>),
    /// The body has values that cannot be taken.
    #[error("the body has {} problem(s)", .0.len())]
    Invalid(Vec<Issue>),
    /// NATS does not answer.
    #[error("NATS: {0}")]
    Nats(BoxError),
    /// The task's state forbids it.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
    /// Another service did not do its part.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The database did not do its part.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A secret cannot be sealed.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// What another service answered, or what is stored, is not what it should be.
    #[error("unreadable: {0}")]
    Unreadable(String),
    /// A handler panicked.
    #[error("a handler panicked")]
    Panicked,
}

/// A refusal and what to do about it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) field: Option<String>,
    pub(crate) repair: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// The task's state, where that is what forbids it.
    pub(crate) state: Option<TaskState>,
}

impl ApiError {
    pub(crate) fn refused(status: StatusCode, code: &str, detail: impl Into<String>) -> Refused {
        Refused {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            field: None,
            repair: None,
            retry_after: None,
            state: None,
        }
    }

    /// NATS does not answer, or ended what it was answering.
    pub(crate) fn nats(error: impl Into<BoxError>) -> Self {
        Self::Nats(error.into())
    }

    /// With what status it refuses what was asked for, so that nothing was changed; `None` where that is not known.
    pub(crate) fn refused_with(&self) -> Option<StatusCode> {
        let status = match self {
            Self::Refused(refused) => refused.status,
            Self::Ask(AskError::Refused(refusal)) => status_of(refusal.kind()),
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Transition(_) => StatusCode::CONFLICT,
            Self::Ask(_)
            | Self::Nats(_)
            | Self::Database(_)
            | Self::Keyring(_)
            | Self::Unreadable(_)
            | Self::Panicked => return None,
        };
        status.is_client_error().then_some(status)
    }

    /// There is no such thing.
    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self::refused(
            StatusCode::NOT_FOUND,
            &format!("{what}_not_found"),
            format!("there is no {what} {id:?}"),
        )
        .repair(format!("List the {what}s to see their ids."))
    }

    /// # Errors
    /// Where the task's state does not allow the command; names the state, and what it allows.
    pub(crate) fn unless_taken(state: TaskState, command: TaskCommand) -> Result<(), Self> {
        if state.takes(command) {
            return Ok(());
        }
        let refused = forbidden_by(state, command.as_str());
        Err(Self::Refused(Box::new(refused)))
    }
}

impl Refused {
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The state that forbids it; what the state allows is told with it.
    pub(crate) fn state(mut self, state: TaskState) -> Self {
        self.state = Some(state);
        self
    }

    /// How long the asker should wait.
    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn repair(mut self, repair: impl Into<String>) -> ApiError {
        self.repair = Some(repair.into());
        ApiError::Refused(Box::new(self))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let errors = match &self {
            Self::Invalid(issues) => issues.clone(),
            Self::Refused(_)
            | Self::Nats(_)
            | Self::Transition(_)
            | Self::Ask(_)
            | Self::Database(_)
            | Self::Keyring(_)
            | Self::Unreadable(_)
            | Self::Panicked => Vec::new(),
        };
        let refused = self.into_refused();
        let (status, wait, state) = (refused.status, refused.retry_after, refused.state);
        let allowed = state.into_iter().flat_map(TaskState::commands);
        let mut body = serde_json::to_vec(&ProblemBody {
            problem: problem(refused),
            errors,
            state,
            allowed: allowed.collect(),
        })
        .unwrap_or_default()
        .into_response();
        *body.status_mut() = status;
        let problem_json = HeaderValue::from_static("application/problem+json");
        body.headers_mut()
            .insert(header::CONTENT_TYPE, problem_json);
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            body.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        if let Some(wait) = wait {
            // In whole seconds (RFC 9110, section 10.2.3), so that the time is over then.
            let seconds = HeaderValue::from(wait.as_secs() + 1);
            body.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        body
    }
}

fn problem(refused: Refused) -> Problem {
    let title = refused.status.canonical_reason().unwrap_or("Error");
    Problem {
        kind: format!("urn:rowcast:problem:{}", refused.code),
        title: title.to_owned(),
        status: refused.status.as_u16(),
        detail: refused.detail,
        code: refused.code,
        field: refused.field,
        repair: refused.repair,
        trace_id: trace_context::trace_id(&trace_context::current()).map(str::to_owned),
    }
}

impl ApiError {
    /// Faults of ours are logged here, once, and told without their insides.
    fn into_refused(self) -> Refused {
        match self {
            Self::Refused(refused) => *refused,
            Self::Invalid(issues) => from_issues(issues),
            Self::Transition(error) => from_transition(error),
            Self::Ask(error) => from_ask(error),
            Self::Nats(error) => {
                tracing::error!(%error, "NATS failed");
                unavailable("nats_unavailable", "NATS does not answer")
            }
            Self::Database(error) => {
                tracing::error!(error = %error, "database failed");
                if is_down(&error) {
                    let detail = "the control-plane database does not answer";
                    unavailable("database_unavailable", detail)
                } else {
                    internal()
                }
            }
            Self::Keyring(error) => {
                tracing::error!(error = %error, "secret not sealed");
                internal()
            }
            Self::Unreadable(what) => {
                tracing::error!(what, "unreadable value");
                internal()
            }
            // Logged where it was caught.
            Self::Panicked => internal(),
        }
    }
}

fn from_issues(issues: Vec<Issue>) -> Refused {
    let detail: Vec<String> = issues
        .iter()
        .map(|issue| format!("{}: {}", issue.field, issue.detail))
        .collect();
    let first = issues.into_iter().next();
    let (field, repair) = first.map(|issue| (issue.field, issue.repair)).unzip();
    Refused {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        code: "invalid_body".to_owned(),
        detail: detail.join("; "),
        field,
        repair,
        retry_after: None,
        state: None,
    }
}

fn from_transition(error: IllegalTransition) -> Refused {
    let asked = TaskCommand::of_event(error.event);
    forbidden_by(error.state, asked.map_or("this", TaskCommand::as_str))
}

/// What is allowed follows from the state alone, as the answer to each of these commands does.
fn forbidden_by(state: TaskState, asked: &str) -> Refused {
    let allowed: Vec<&str> = state.commands().map(TaskCommand::as_str).collect();
    let detail = format!("a task that is {state} does not allow {asked}");
    Refused {
        repair: Some(format!(
            "A task that is {state} allows: {}.",
            allowed.join(", ")
        )),
        state: Some(state),
        ..ApiError::refused(StatusCode::CONFLICT, "state_forbids", detail)
    }
}

fn from_ask(error: AskError) -> Refused {
    match error {
        AskError::Refused(refusal) => from_rpc(refusal),
        AskError::Unavailable(service) => {
            let code = format!("{}_unavailable", service.replace('-', "_"));
            unavailable(&code, format!("the service {service} is not running"))
        }
        AskError::Timeout(service) => {
            let code = format!("{}_timeout", service.replace('-', "_"));
            unavailable(
                &code,
                format!("the service {service} did not answer in time"),
            )
        }
        AskError::Transport { service, source } => {
            tracing::error!(service, error = %source, "question not sent");
            let code = format!("{}_unavailable", service.replace('-', "_"));
            unavailable(&code, format!("the service {service} cannot be reached"))
        }
        AskError::Malformed { service, source } => {
            tracing::error!(service, error = %source, "answer not read");
            internal()
        }
    }
}

const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Unspecified | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn from_rpc(refusal: RpcError) -> Refused {
    let status = status_of(refusal.kind());
    let given = |text: String| (!text.is_empty()).then_some(text);
    Refused {
        status,
        code: refusal.code,
        detail: refusal.detail,
        field: given(refusal.field),
        repair: given(refusal.repair),
        retry_after: None,
        state: None,
    }
}

fn unavailable(code: &str, detail: impl Into<String>) -> Refused {
    let refused = ApiError::refused(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    Refused {
        repair: Some("Try again later; the same Idempotency-Key makes that safe.".to_owned()),
        ..refused
    }
}

fn internal() -> Refused {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let refused = ApiError::refused(status, "internal", "a fault of the platform; it is logged");
    Refused {
        repair: Some("Tell an operator the trace_id.".to_owned()),
        ..refused
    }
}

fn is_down(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed
    )
}

#[cfg(test)]
mod tests {
    use rowcast_domain::TaskEvent;

    use super::*;

    #[test]
    fn a_refused_transition_lists_what_is_allowed() {
        let error = TaskState::Suspended
            .transition(TaskEvent::PrecheckStarted)
            .unwrap_err();
        let refused = ApiError::from(error).into_refused();
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert_eq!(
            refused.repair.as_deref(),
            Some(
                "A task that is suspended allows: change, change_objects, purchase, renew, start, resume, recheck, suspend, reset, create_group, clone, release."
            )
        );
        assert_eq!(refused.state, Some(TaskState::Suspended));
    }

    #[test]
    fn a_service_that_is_absent_is_named() {
        let refused = from_ask(AskError::Unavailable("consumer-group"));
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.code, "consumer_group_unavailable");
        assert!(refused.detail.contains("consumer-group"));
    }

    #[test]
    fn a_refusal_of_another_service_keeps_its_field() {
        let refused = from_rpc(RpcError {
            kind: ErrorKind::Invalid.into(),
            code: "weak_password".to_owned(),
            field: "password".to_owned(),
            ..RpcError::default()
        });
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.field.as_deref(), Some("password"));
        assert_eq!(refused.repair, None);
    }
}
