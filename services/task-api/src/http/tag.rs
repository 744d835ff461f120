//! `ETag` and `If-Match`: a change that was thought out on one version is not made on another (RFC
//! 9110, section 13.1.1).
//!
//! The tag counts what users change. State and position of a task, which change by themselves, do not
//! count: otherwise nobody could change a running task.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, Required, Type};

use crate::error::ApiError;

/// A body with the version that it shows.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) u64, pub(crate) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.1).into_response();
        if let Ok(tag) = HeaderValue::try_from(text(self.0)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

fn text(version: u64) -> String {
    format!("\"{version}\"")
}

/// The versions on which a change may be made; any where the header is absent.
#[derive(Debug)]
pub(crate) struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().map_err(|_not_ascii| {
            let detail = "If-Match must be printable ASCII";
            ApiError::refused(StatusCode::BAD_REQUEST, "malformed_if_match", detail)
                .field("If-Match")
                .repair("Send the ETag as it was given, or `*`.")
        })?;
        Ok(Self(Some(text.to_owned())))
    }
}

impl IfMatch {
    /// No header: any version.
    pub(crate) const ANY: Self = Self(None);

    /// This version only.
    pub(crate) fn version(version: u64) -> Self {
        Self(Some(text(version)))
    }

    /// # Errors
    /// Where the change was thought out on another version than this one.
    pub(crate) fn holds(&self, version: u64) -> Result<(), ApiError> {
        let Some(expected) = &self.0 else {
            return Ok(());
        };
        let present = text(version);
        let mut tags = expected.split(',').map(str::trim);
        if tags.any(|tag| tag == "*" || tag == present) {
            return Ok(());
        }
        let detail = format!("somebody has changed it: its version is {present}, not {expected}");
        let refused = ApiError::refused(StatusCode::PRECONDITION_FAILED, "version_changed", detail);
        Err(refused
            .field("If-Match")
            .repair("Read it again, decide again, and send the new ETag in If-Match."))
    }
}

impl utoipa::IntoParams for IfMatch {
    fn into_params(_parameter_in: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let parameter = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "ETag of the version that the change is about; another version refuses it.",
            ))
            .schema(Some(text));
        vec![parameter.build()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_itself_matches() {
        let holds = |tags: Option<&str>| IfMatch(tags.map(str::to_owned)).holds(3).is_ok();
        assert!(holds(None) && holds(Some("*")) && holds(Some("\"3\"")));
        assert!(holds(Some("\"1\", \"3\"")));
        for other in ["\"1\"", "3", "W/\"3\"", ""] {
            assert!(!holds(Some(other)), "{other}");
        }
    }
}
