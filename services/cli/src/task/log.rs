//! `rowcast task log`.

use rowcast_proto::rest::LogLine;

use crate::api::Api;
use crate::args::Format;
use crate::args::history::Log;
use crate::table::time;
use crate::{find, output};

/// What the services logged about a task, a line each.
pub(super) async fn run(api: &Api, wanted: Log) -> anyhow::Result<()> {
    let task = find::task(api, &wanted.task).await?;
    let mut query = wanted.found.query();
    query.push(("limit", wanted.limit.to_string()));
    query.extend(
        wanted
            .level
            .map(|level| ("level", level.as_str().to_owned())),
    );
    query.extend(wanted.service.map(|service| ("service", service)));
    let log = api.log(&task.id, &query).await?;
    if wanted.shown.output == Format::Json {
        return output::json(&log);
    }
    for line in &log.lines {
        output::line(in_words(line))?;
    }
    if let Some(cursor) = &log.next_cursor {
        output::progress(format_args!("older lines: --cursor {cursor}"));
    }
    Ok(())
}

fn in_words(line: &LogLine) -> String {
    let LogLine {
        at,
        service,
        level,
        message,
        fields,
        trace_id: _,
    } = line;
    let mut text = format!("{} {:5} {service}: {message}", time(at), level.as_str());
    for (name, value) in fields {
        text.push_str(&format!(" {name}={value}"));
    }
    text
}
