//! Parameters of an operation, from the query and from the body.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Form;
use axum::body::Body;
use axum::extract::{FromRequest, Query, Request};
use axum::http::StatusCode;
use rowcast_domain::TaskId;

use crate::error::ApiError;
use crate::http::body;
use crate::http::query::malformed_parameter;

/// Names of the task's id in DTS, the one of the instance in both its spellings.
const TASK_NAMES: [&str; 3] = ["DtsJobId", "DtsInstanceId", "DtsInstanceID"];

/// What was given, by name. Passwords are among it: no value is ever told.
pub(crate) struct Parameters(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(mut given) = query.map_err(|_rejection| unreadable("the query"))?;
        let (parts, body) = request.into_parts();
        let body = body::read(body).await?;
        if !body.trim_ascii().is_empty() {
            let request = Request::from_parts(parts, Body::from(body));
            let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
            let Form(of_body) = form.map_err(|rejection| match rejection.status() {
                StatusCode::UNSUPPORTED_MEDIA_TYPE => not_a_form(),
                _other => unreadable("the body"),
            })?;
            given.extend(of_body);
        }
        Self::of(given)
    }
}

fn unreadable(what: &str) -> ApiError {
    let detail = format!("{what} does not hold names and values");
    ApiError::refused(StatusCode::BAD_REQUEST, "malformed_query", detail)
        .repair("Write name=value, with & between, and percent-encode both.")
}

fn not_a_form() -> ApiError {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let detail = "the body is no form";
    ApiError::refused(status, "not_a_form", detail)
        .field("Content-Type")
        .repair("Send application/x-www-form-urlencoded, or put the parameters into the query.")
}

impl Parameters {
    fn of(given: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut parameters = BTreeMap::new();
        for (name, value) in given {
            if parameters.contains_key(&name) {
                let repair = "Give it once, in the query or in the body.";
                return Err(malformed_parameter(
                    &name,
                    "is given more than once",
                    repair,
                ));
            }
            if value.contains('\0') {
                let detail = "must not hold the character NUL";
                return Err(malformed_parameter(&name, detail, "Leave it out."));
            }
            parameters.insert(name, value);
        }
        Ok(Self(parameters))
    }

    /// A value; an empty one counts as absent, as clients of DTS send it.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.optional(name)
            .ok_or_else(|| malformed_parameter(name, "is missing", "Give it."))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.optional(name) {
            None => Ok(None),
            Some(word) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(word) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(malformed_parameter(
                name,
                "is neither true nor false",
                "Give true or false.",
            )),
        }
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|_no_number| {
                malformed_parameter(name, "is no number of its range", "Give a whole number.")
            })
        };
        self.optional(name).map(parse).transpose()
    }

    /// What names a task, by whichever name it is given.
    pub(super) fn names_task(&self) -> Option<&str> {
        TASK_NAMES.into_iter().find_map(|name| self.optional(name))
    }

    /// The id of the task, by whichever name it is given.
    pub(super) fn task(&self) -> Result<TaskId, ApiError> {
        let mut given = TASK_NAMES
            .into_iter()
            .filter_map(|name| Some((name, self.optional(name)?)));
        let Some((_, id)) = given.next() else {
            return Err(malformed_parameter(
                "DtsJobId",
                "is missing",
                "Give the task's id.",
            ));
        };
        if let Some((name, _)) = given.find(|(_, other)| *other != id) {
            let detail = "names another task than the parameters before it";
            let repair = "Give the task's id only: it is both DtsJobId and DtsInstanceId.";
            return Err(malformed_parameter(name, detail, repair));
        }
        body::id("task", id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(given: &[(&str, &str)]) -> Result<Parameters, ApiError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Parameters::of(given.iter().map(owned).collect())
    }

    fn field<T>(result: Result<T, ApiError>) -> String {
        match result {
            Err(ApiError::Refused(refused)) => refused.field.unwrap_or_default(),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("is taken"),
        }
    }

    #[test]
    fn a_task_has_one_id_by_any_name() {
        let id = "t000000000000";
        let both = parameters(&[("DtsJobId", id), ("DtsInstanceId", id)]).unwrap();
        assert_eq!(both.task().unwrap().as_str(), id);
        let two = parameters(&[("DtsJobId", id), ("DtsInstanceId", "t000000000001")]);
        assert_eq!(field(two.unwrap().task()), "DtsInstanceId");
        assert_eq!(
            field(parameters(&[("DtsJobId", "")]).unwrap().task()),
            "DtsJobId"
        );
    }

    #[test]
    fn a_value_that_cannot_be_taken_is_not_told() {
        let given = parameters(&[("Skip", "hunter2"), ("PageSize", "hunter2")]).unwrap();
        for error in [
            given.flag("Skip").unwrap_err(),
            given.number::<u16>("PageSize").unwrap_err(),
        ] {
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        assert_eq!(field(parameters(&[("Skip", "a"), ("Skip", "b")])), "Skip");
    }
}
