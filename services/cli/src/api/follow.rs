//! What the API tells bit by bit, as server-sent events.

use anyhow::Context as _;
use eventsource_stream::{Event, Eventsource as _};
use futures::{Stream, TryStreamExt as _};
use reqwest::Method;
use rowcast_domain::TaskId;
use rowcast_proto::rest::{CheckItem, PrecheckBegun};

use super::{Api, refusal};

/// What is told of a running precheck.
#[derive(Debug)]
pub(crate) enum PrecheckEvent {
    /// What it will look at.
    Begin(PrecheckBegun),
    /// A check has ended.
    Item(Box<CheckItem>),
    /// All have.
    End,
    /// Something that only a newer version can read.
    Unknown,
}

impl Api {
    /// Follows a precheck, check by check: the one that runs, or the next.
    pub(crate) async fn follow_precheck(
        &self,
        id: &TaskId,
    ) -> anyhow::Result<impl Stream<Item = anyhow::Result<PrecheckEvent>> + use<>> {
        let path = format!("/tasks/{id}/precheck/progress?next=true");
        let request = self.request(Method::GET, &path);
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal::foreign(status, &self.base));
        }
        let events = response.bytes_stream().eventsource();
        Ok(events.map_err(anyhow::Error::from).and_then(async |event| {
            read(&event).with_context(|| format!("the event {:?} cannot be read", event.event))
        }))
    }
}

fn read(event: &Event) -> anyhow::Result<PrecheckEvent> {
    let body = event.data.as_str();
    Ok(match event.event.as_str() {
        "begin" => PrecheckEvent::Begin(serde_json::from_str(body)?),
        "item" => PrecheckEvent::Item(serde_json::from_str(body)?),
        "end" => PrecheckEvent::End,
        _ => PrecheckEvent::Unknown,
    })
}
