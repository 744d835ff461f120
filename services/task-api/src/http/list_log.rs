//! `GET /tasks/{id}/log`.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rowcast_bus::task_log;
use rowcast_proto::rest::{LogLevel, LogLine, TaskLog};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::TaskPath;
use super::get_task::existing;
use super::query::{Params, malformed_parameter};
use crate::convert;
use crate::error::{ApiError, ProblemBody};
use crate::state::App;
use crate::validate;

/// Lines where the query names no number.
const LINES: u32 = 100;

/// Which lines.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// That matter at least so much; all where absent.
    level: Option<LogLevel>,
    /// Of this service, as `capture`; of all where absent.
    service: Option<String>,
    /// With this text in the message, in what is said beside it, or in the trace, in any case.
    search: Option<String>,
    /// Not before this time.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
    /// Most lines, the newest, 1–200; 100 where absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before, for the lines that are older.
    cursor: Option<String>,
}

/// Where a line stands: its time, and its number among all, which decides between equals.
type Place = (DateTime<Utc>, u64);

/// Lists what the services logged about a task, oldest first: each service's last 1000 lines of the last 14 days
/// are kept. A page is of the newest lines; `next_cursor` leads to those before.
#[utoipa::path(
    get,
    path = "/tasks/{id}/log",
    tag = "tasks",
    params(("id" = String, Path, description = "The task"), Wanted),
    responses(
        (status = 200, description = "The lines", body = TaskLog),
        (status = "default", description = "A problem", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list_log(
    State(app): State<App>,
    TaskPath(id): TaskPath,
    Params(wanted): Params<Wanted>,
) -> Result<Json<TaskLog>, ApiError> {
    validate::searched_page(wanted.search.as_deref(), wanted.limit)?;
    let end = wanted.cursor.as_deref().map(place).transpose()?;
    existing(&app, &id).await?;
    let read = task_log::read(app.bus(), &id).await;
    let read = read.map_err(ApiError::Nats)?;
    let mut lines = Vec::with_capacity(read.len());
    for (number, line) in read {
        let line = convert::log_line(line)?;
        let is_older = end.is_none_or(|end| (line.at, number) < end);
        if is_older && wanted.takes(&line) {
            lines.push((number, line));
        }
    }
    Ok(Json(wanted.page(lines)))
}

impl Wanted {
    fn takes(&self, line: &LogLine) -> bool {
        let is_of = |service: &String| *service == line.service;
        self.service.as_ref().is_none_or(is_of)
            && self.level.is_none_or(|least| line.level >= least)
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
            && self.search.as_ref().is_none_or(|text| says(line, text))
    }

    /// The newest of these lines, and where the rest ends.
    fn page(&self, mut lines: Vec<(u64, LogLine)>) -> TaskLog {
        lines.sort_by_key(|(number, line)| (line.at, *number));
        let limit = self.limit.unwrap_or(LINES).try_into();
        let older = lines.len().saturating_sub(limit.unwrap_or(usize::MAX));
        let page = lines.split_off(older);
        let next_cursor = page.first().filter(|_first| older > 0);
        let next_cursor = next_cursor.map(|(number, line)| cursor((line.at, *number)));
        TaskLog {
            lines: page.into_iter().map(|(_number, line)| line).collect(),
            next_cursor,
        }
    }
}

fn says(line: &LogLine, text: &str) -> bool {
    let text = text.to_lowercase();
    let beside = line.fields.iter().flat_map(|(name, value)| [name, value]);
    let mut said = beside.chain([&line.message]).chain(&line.trace_id);
    said.any(|said| said.to_lowercase().contains(&text))
}

fn cursor((at, number): Place) -> String {
    let (seconds, nanos) = (at.timestamp(), at.timestamp_subsec_nanos());
    format!("{seconds}.{nanos}.{number}")
}

fn place(cursor: &str) -> Result<Place, ApiError> {
    let read = || {
        let mut parts = cursor.split('.');
        let (seconds, nanos) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let number = parts.next()?.parse().ok()?;
        let at = DateTime::from_timestamp(seconds, nanos)?;
        parts.next().is_none().then_some((at, number))
    };
    read().ok_or_else(|| {
        let repair = "Give next_cursor of the page before, or leave it out.";
        malformed_parameter("cursor", "no page ends there", repair)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: i64, message: &str) -> LogLine {
        LogLine {
            at: DateTime::from_timestamp(second, 5).unwrap(),
            service: "capture".to_owned(),
            level: LogLevel::Warn,
            message: message.to_owned(),
            fields: [("Slot".to_owned(), "rc_1".to_owned())].into(),
            trace_id: None,
        }
    }

    #[test]
    fn pages_lead_from_the_newest_lines_to_the_oldest() {
        // The last two at the same time, and stored out of order.
        let all = || {
            [
                (7, line(2, "b")),
                (5, line(3, "d")),
                (4, line(3, "c")),
                (1, line(1, "a")),
            ]
        };
        let mut wanted = Wanted {
            limit: Some(3),
            ..Wanted::default()
        };
        let messages = |log: &TaskLog| -> String {
            log.lines.iter().map(|line| line.message.as_str()).collect()
        };
        let first = wanted.page(all().into());
        assert_eq!(messages(&first), "bcd");
        let end = place(&first.next_cursor.unwrap()).unwrap();
        let older = all()
            .into_iter()
            .filter(|(number, line)| (line.at, *number) < end);
        wanted.limit = Some(1);
        let last = wanted.page(older.collect());
        assert_eq!((messages(&last).as_str(), last.next_cursor), ("a", None));
        for wrong in ["", "1.2", "1.2.3.4", "x.1.1", "99999999999999.0.1"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_line_is_found_by_what_it_says_and_when() {
        let takes = |query: &str| {
            let uri = format!("http://h/?{query}").parse().unwrap();
            let wanted = axum::extract::Query::<Wanted>::try_from_uri(&uri).unwrap();
            wanted.0.takes(&line(60, "Slot lost"))
        };
        for found in [
            "search=sLOT+LOST",
            "search=RC_1",
            "level=warn",
            "since=1970-01-01T00:01:00Z&until=1970-01-01T00:02:00Z",
        ] {
            assert!(takes(found), "{found}");
        }
        for missed in [
            "search=found",
            "level=error",
            "service=precheck",
            "since=1970-01-01T00:01:01Z",
            "until=1970-01-01T00:01:00Z",
        ] {
            assert!(!takes(missed), "{missed}");
        }
    }
}
