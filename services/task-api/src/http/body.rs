//! Reading bodies and paths, with a problem for whatever is wrong with them.

use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use rowcast_domain::{ContactId, GroupId, RuleId, SourceId, TaskId, TokenId};
use serde::de::DeserializeOwned;

use super::json_path;
use crate::error::ApiError;

/// Largest body: a task that names thousands of tables has a few hundred kB.
pub(crate) const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Reads a body up to the limit.
pub(crate) async fn read(body: Body) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, BODY_BYTES_MAX)
        .await
        .map_err(|error| {
            let cause = std::error::Error::source(&error);
            if cause.is_some_and(|cause| cause.to_string().contains("length limit")) {
                let detail = "the body is larger than 1 MiB";
                return ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
                    .repair("Send a smaller body.");
            }
            ApiError::refused(
                StatusCode::BAD_REQUEST,
                "body_cut_off",
                "the body did not arrive whole",
            )
            .repair("Send the request again.")
        })
}

/// A body in JSON.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let text = read(request.into_body()).await?;
        parsed(&text).map(Self)
    }
}

/// A body in JSON that may be left out.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let text = read(request.into_body()).await?;
        if text.trim_ascii().is_empty() {
            return Ok(Self(T::default()));
        }
        parsed(&text).map(Self)
    }
}

/// What the JSON says. PostgreSQL keeps no NUL, in no text and in no JSON.
fn parsed<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    let body = serde_json::from_slice(text).map_err(|error| malformed(text, &error))?;
    let Some(before) = before_nul(text) else {
        return Ok(body);
    };
    let detail = "must not hold the character NUL (\\u0000), which PostgreSQL keeps nowhere";
    let refused = ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail);
    let field = json_path::path_at(before);
    let refused = if field.is_empty() {
        refused
    } else {
        refused.field(field)
    };
    Err(refused.repair("Leave it out."))
}

/// What stands before the first NUL of well-formed JSON, where it is always written as an escape (RFC 8259, section 7).
fn before_nul(text: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while let Some(found) = text.get(at..)?.iter().position(|&byte| byte == b'\\') {
        let escape = at + found;
        if text.get(escape + 1..)?.starts_with(b"u0000") {
            return text.get(..escape);
        }
        // What is escaped may be a backslash itself.
        at = escape + 2;
    }
    None
}

fn malformed(text: &[u8], error: &serde_json::Error) -> ApiError {
    let detail = error.to_string();
    if !error.is_data() {
        let detail = format!("the body is no JSON: {detail}");
        return ApiError::refused(StatusCode::BAD_REQUEST, "malformed_json", detail)
            .repair("Send a JSON object.");
    }
    let field = field(read_until(text, error), &detail);
    // The parser quotes what it did not expect.
    let detail = if field.ends_with("password") || field == "secret" {
        "must be a string".to_owned()
    } else {
        detail
    };
    let refused = ApiError::refused(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", detail);
    let refused = if field.is_empty() {
        refused
    } else {
        refused.field(field)
    };
    refused.repair("Compare the body with its schema in /api/v1/openapi.json.")
}

/// The field that the parser speaks of: named in its message, or else where it stopped.
fn field(read: &[u8], message: &str) -> String {
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .into_iter()
        .find_map(|start| message.strip_prefix(start)?.split_once('`'));
    let Some((name, _)) = named else {
        return json_path::path_at(read);
    };
    match json_path::object_at(read) {
        object if object.is_empty() => name.to_owned(),
        object => format!("{object}.{name}"),
    }
}

/// What the parser had read when it stopped. Lines and columns count from 1, columns in bytes.
fn read_until<'a>(text: &'a [u8], error: &serde_json::Error) -> &'a [u8] {
    let before: usize = text
        .split_inclusive(|&byte| byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    text.get(..before + error.column()).unwrap_or(text)
}

/// The task that the path names.
#[derive(Debug)]
pub(crate) struct TaskPath(pub(crate) TaskId);

impl<S: Send + Sync> FromRequestParts<S> for TaskPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(only_id("task", parts, state).await?))
    }
}

/// The source that the path names.
#[derive(Debug)]
pub(crate) struct SourcePath(pub(crate) SourceId);

impl<S: Send + Sync> FromRequestParts<S> for SourcePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(only_id("source", parts, state).await?))
    }
}

/// The contact that the path names.
#[derive(Debug)]
pub(crate) struct ContactPath(pub(crate) ContactId);

impl<S: Send + Sync> FromRequestParts<S> for ContactPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(only_id("contact", parts, state).await?))
    }
}

/// The rule that the path names.
#[derive(Debug)]
pub(crate) struct RulePath(pub(crate) RuleId);

impl<S: Send + Sync> FromRequestParts<S> for RulePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(only_id("rule", parts, state).await?))
    }
}

/// The token that the path names.
#[derive(Debug)]
pub(crate) struct TokenPath(pub(crate) TokenId);

impl<S: Send + Sync> FromRequestParts<S> for TokenPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(only_id("token", parts, state).await?))
    }
}

/// The dead letter that the path names, with its group and task.
#[derive(Debug)]
pub(crate) struct LetterPath {
    pub(crate) task: TaskId,
    pub(crate) group: GroupId,
    pub(crate) letter: u64,
}

impl<S: Send + Sync> FromRequestParts<S> for LetterPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        let Path((task, group, letter)) =
            path.map_err(|error| unreadable_path(error.body_text()))?;
        let number = letter.parse().ok().filter(|number: &u64| *number > 0);
        Ok(Self {
            task: id("task", &task)?,
            group: id("group", &group)?,
            letter: number.ok_or_else(|| {
                let detail = format!("there is no dead letter {letter:?}");
                ApiError::refused(StatusCode::NOT_FOUND, "dead_letter_not_found", detail)
                    .repair("List the dead letters of the group.")
            })?,
        })
    }
}

/// The group that the path names, and its task.
#[derive(Debug)]
pub(crate) struct GroupPath(pub(crate) TaskId, pub(crate) GroupId);

impl<S: Send + Sync> FromRequestParts<S> for GroupPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((task, group)) = path.map_err(|error| unreadable_path(error.body_text()))?;
        Ok(Self(id("task", &task)?, id("group", &group)?))
    }
}

/// The id of a path that has one.
async fn only_id<T: FromStr>(
    what: &str,
    parts: &mut Parts,
    state: &(impl Send + Sync),
) -> Result<T, ApiError> {
    let path = Path::<String>::from_request_parts(parts, state).await;
    let Path(text) = path.map_err(|error| unreadable_path(error.body_text()))?;
    id(what, &text)
}

/// What is no id names nothing.
pub(crate) fn id<T: FromStr>(what: &str, text: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|_no_id| ApiError::not_found(what, text))
}

/// The path holds what is no text.
pub(crate) fn unreadable_path(detail: String) -> ApiError {
    ApiError::refused(StatusCode::BAD_REQUEST, "malformed_path", detail)
        .repair("Write ids as they were given.")
}

#[cfg(test)]
mod tests {
    use rowcast_proto::rest::CreateTask;

    use super::*;

    fn field_of(text: &str) -> String {
        let error = serde_json::from_str::<CreateTask>(text).unwrap_err();
        field(read_until(text.as_bytes(), &error), &error.to_string())
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let start = r#"{"name": "n", "source_id": "s000000000000", "#;
        for (rest, expected) in [
            (
                r#""objects": {"all": true}, "partitions": "x"}"#,
                "partitions",
            ),
            (r#""objects": {"all": 1}}"#, "objects.all"),
            (
                r#""objects": {"schemas": [{"name": "a"}, {"name": 1}]}}"#,
                "objects.schemas[1].name",
            ),
            (
                r#""objects": {"schemas": [{"all": true}]}}"#,
                "objects.schemas[0].name",
            ),
            (
                r#""objects": {"schemas": [{"name": "a", "tabels": []}]}}"#,
                "objects.schemas[0].tabels",
            ),
            (r#""objekts": {}}"#, "objekts"),
            ("\n\"partitions\": 1\n}", "objects"),
        ] {
            assert_eq!(field_of(&format!("{start}{rest}")), expected, "{rest}");
        }
        assert_eq!(field_of(r#"{"name": "n", "source_id": "x"}"#), "source_id");
    }

    #[test]
    fn a_nul_is_refused_with_its_field() {
        let read = |text: &str| parsed::<serde_json::Value>(text.as_bytes());
        for (text, field) in [
            (r#"{"a": {"b": ["x", "y\u0000z"]}, "c": 1}"#, "a.b[1]"),
            (r#"{"a": "}\\\u0000"}"#, "a"),
        ] {
            let Err(ApiError::Refused(refused)) = read(text) else {
                panic!("{text} is taken");
            };
            assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(refused.field.as_deref(), Some(field), "{text}");
        }
        // A backslash, and then letters.
        for good in [r#"{"a": "\\u0000"}"#, r#"{"a": "\u0001\\"}"#] {
            assert!(read(good).is_ok(), "{good}");
        }
    }
}
