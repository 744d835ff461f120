//! What the API says no with, in one sentence.

use reqwest::StatusCode;
use rowcast_proto::rest::Problem;

use super::as_command::as_commands;
use crate::failure::{Exit, Failure};

/// The problem's detail, the field at fault and the repair.
pub(super) fn refusal(status: StatusCode, problem: &Problem) -> anyhow::Error {
    Failure::of(exit(status), sentence(status, problem))
}

/// An answer that is no problem document: something else than Rowcast's API stands there.
pub(super) fn foreign(status: StatusCode, url: &str) -> anyhow::Error {
    let sentence = format!(
        "{url} answered {status} without a problem document: see whether this is the address of Rowcast's API"
    );
    Failure::of(exit(status), sentence)
}

fn exit(status: StatusCode) -> Exit {
    match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Exit::Unreachable
        }
        _ => Exit::Failed,
    }
}

fn sentence(status: StatusCode, problem: &Problem) -> String {
    let mut text = problem.detail.trim_end_matches('.').to_owned();
    if let Some(field) = &problem.field
        && !text.contains(field.as_str())
    {
        text = format!("{field}: {text}");
    }
    if let Some(repair) = &problem.repair {
        text = format!("{text}. {}", as_commands(repair));
    }
    if let Some(trace) = problem
        .trace_id
        .as_ref()
        .filter(|_trace| status.is_server_error())
    {
        text = format!("{text} (trace {trace})");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(field: Option<&str>, detail: &str) -> Problem {
        Problem {
            kind: "urn:rowcast:problem:invalid_body".to_owned(),
            title: "Unprocessable Entity".to_owned(),
            status: 422,
            detail: detail.to_owned(),
            code: "invalid_body".to_owned(),
            field: field.map(str::to_owned),
            repair: Some("Give 1 to 64 characters.".to_owned()),
            trace_id: Some("4bf92f".to_owned()),
        }
    }

    #[test]
    fn field_and_repair_are_named_once() {
        let told = |status, field, detail| sentence(status, &problem(field, detail));
        assert_eq!(
            told(StatusCode::UNPROCESSABLE_ENTITY, Some("name"), "too long"),
            "name: too long. Give 1 to 64 characters."
        );
        assert_eq!(
            told(
                StatusCode::UNPROCESSABLE_ENTITY,
                Some("name"),
                "name: too long"
            ),
            "name: too long. Give 1 to 64 characters."
        );
        assert_eq!(
            told(StatusCode::INTERNAL_SERVER_ERROR, None, "failed."),
            "failed. Give 1 to 64 characters. (trace 4bf92f)"
        );
    }

    #[test]
    fn scripts_can_tell_refusals_apart() {
        for (status, code) in [
            (404, Exit::NotFound),
            (401, Exit::Denied),
            (503, Exit::Unreachable),
            (409, Exit::Failed),
            (500, Exit::Failed),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                Failure::exit_of(&refusal(status, &problem(None, "x"))),
                code
            );
        }
    }
}
