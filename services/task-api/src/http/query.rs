//! Reading the query of a URL, with a problem for whatever is wrong with it.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;
use chrono::{DateTime, Datelike as _, Utc};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        if let Some(name) = parts.uri.query().and_then(with_nul) {
            let detail = "must not hold the character NUL, which PostgreSQL keeps nowhere";
            return Err(malformed_parameter(name, detail, "Leave it out."));
        }
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(params)| Self(params))
            .map_err(|error| malformed(&error))
    }
}

/// The first parameter of `query` with a NUL, which stands there encoded or not at all (RFC 3986, 2.1).
fn with_nul(query: &str) -> Option<&str> {
    let part = query.split('&').find(|part| part.contains("%00"))?;
    part.split('=').next()
}

fn malformed(error: &QueryRejection) -> ApiError {
    let text = error.body_text();
    let detail = text
        .strip_prefix("Failed to deserialize query string: ")
        .unwrap_or(&text);
    let refused = ApiError::refused(StatusCode::BAD_REQUEST, "malformed_query", detail);
    let refused = match parameter(detail) {
        Some(name) => refused.field(name),
        None => refused,
    };
    refused.repair("Compare the query with the route's parameters in /api/v1/openapi.json.")
}

/// A parameter that cannot be taken.
pub(crate) fn malformed_parameter(name: &str, detail: &str, repair: &str) -> ApiError {
    let detail = format!("{name}: {detail}");
    ApiError::refused(StatusCode::BAD_REQUEST, "malformed_query", detail)
        .field(name)
        .repair(repair)
}

/// A time that PostgreSQL can keep (its documentation, 8.5).
pub(crate) fn time(
    name: &str,
    time: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>, ApiError> {
    match time {
        Some(time) if !(0..=9999).contains(&time.year()) => {
            let repair = "Give a year of four digits.";
            Err(malformed_parameter(name, "lies too far away", repair))
        }
        time => Ok(time),
    }
}

/// The parameter at fault: in front of the message, and where it is unknown inside.
fn parameter(detail: &str) -> Option<&str> {
    let unknown = detail
        .split_once("unknown field `")
        .and_then(|(_, rest)| rest.split_once('`'));
    match unknown {
        Some((name, _)) => Some(name),
        None => detail.split_once(": ").map(|(name, _)| name),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Filter {
        #[serde(rename = "limit")]
        _limit: Option<u32>,
    }

    #[test]
    fn a_nul_is_found_where_it_stands() {
        assert_eq!(with_nul("limit=1&about=a%00b"), Some("about"));
        assert_eq!(with_nul("about=a%2500&limit=1"), None);
        assert_eq!(with_nul("%00"), Some("%00"));
    }

    #[test]
    fn the_parameter_at_fault_is_named() {
        for (query, name) in [("limit=x", "limit"), ("limits=1", "limits")] {
            let uri: Uri = format!("http://h/?{query}").parse().unwrap();
            let error = Query::<Filter>::try_from_uri(&uri).unwrap_err();
            let ApiError::Refused(refused) = malformed(&error) else {
                panic!("{query} is not refused");
            };
            assert_eq!(refused.field.as_deref(), Some(name));
        }
    }
}
