//! `rowcast status`.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::api;
use crate::args::Format;
use crate::lock::{Holder, holder};
use crate::output;
use crate::platform_file::{PlatformFile, ServiceEntry};
use crate::table::plain_table;

/// A service that does not answer within this time is not ready.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What `-o json` prints.
#[derive(Debug, Serialize)]
struct Report {
    running: bool,
    /// Whether an `up` is under way that has not got everything ready.
    starting: bool,
    #[serde(flatten)]
    platform: Option<PlatformFile>,
}

/// Whether it runs.
pub(crate) async fn run(state: &Path, format: Format) -> anyhow::Result<bool> {
    let report = look(state).await?;
    match format {
        Format::Json => output::json(&report)?,
        Format::Table => match &report.platform {
            Some(platform) => output::line(table(platform))?,
            None if report.starting => {
                output::line(format_args!("starting on {}", state.display()))?;
            }
            None => output::line(format_args!("nothing runs on {}", state.display()))?,
        },
    }
    Ok(report.running)
}

async fn look(state: &Path) -> anyhow::Result<Report> {
    let held = holder(state)? != Holder::Nobody;
    // A file that nobody stands behind was left by a process that was killed.
    let file = if held {
        PlatformFile::read(state)?
    } else {
        None
    };
    let Some(mut file) = file else {
        return Ok(Report {
            running: false,
            starting: held,
            platform: None,
        });
    };
    let http = api::http_client(ANSWER_LIMIT)?;
    let answers = file.services.iter().map(|service| ready(&http, service));
    let answers = futures::future::join_all(answers).await;
    for (service, ready) in file.services.iter_mut().zip(answers) {
        service.ready = Some(ready);
    }
    Ok(Report {
        running: true,
        starting: false,
        platform: Some(file),
    })
}

async fn ready(http: &reqwest::Client, service: &ServiceEntry) -> bool {
    let answer = http.get(format!("{}/ready", service.admin_url)).send();
    answer
        .await
        .is_ok_and(|response| response.status().is_success())
}

fn table(file: &PlatformFile) -> String {
    let mut processes = plain_table(["PROCESS", "STATE", "PID", "WHERE", "LOG"]);
    let pid = |pid: Option<u32>| pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    for engine in &file.engines {
        processes.add_row([
            engine.name.clone(),
            "running".to_owned(),
            pid(engine.pid),
            engine.address.clone(),
            engine.log.display().to_string(),
        ]);
    }
    for service in &file.services {
        processes.add_row([
            service.name.clone(),
            if service.ready == Some(true) {
                "ready"
            } else {
                "not ready"
            }
            .to_owned(),
            pid(service.pid),
            service.admin_url.clone(),
            service.log.display().to_string(),
        ]);
    }
    let mut places = plain_table(["WHAT", "WHERE"]);
    places.add_row(["REST API", &file.api_url]);
    places.add_row(["OpenAPI", &file.openapi_url]);
    places.add_row(["NATS", &file.nats_url]);
    places.add_row(["NATS monitor", &file.nats_monitor_url]);
    places.add_row(["admin token", &file.admin_token_file.display().to_string()]);
    places.add_row(["state folder", &file.state_folder.display().to_string()]);
    if let Some(demo) = &file.demo {
        places.add_row(["demo source", &demo.source_dsn]);
        places.add_row(["demo task", demo.task_id.as_str()]);
        for group in &demo.groups {
            places.add_row([&format!("group {}", group.name), &group.login]);
        }
    }
    format!("{processes}\n\n{places}")
}
