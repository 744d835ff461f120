//! Changes of groups that were put away without anybody's request: from the facts of consumer-group into the audit log.
//!
//! What a person skips is a request, and has its entry. So has each move of a group's position: the request that wished it,
//! or the entry here of what the group goes on behind; `group.moved` is not taken beside.

use rowcast_bus::{Outcome, consume};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::DeadLettersPutAway;
use rowcast_proto::rest::DeadLetterCause;
use rowcast_service::{BoxError, CancellationToken};

use crate::state::App;
use crate::store::audit::{self, PutAway};

/// The durable consumer, shared by the copies of this service.
const DURABLE: &str = "task-api-dead-letters";

/// Takes facts about dead letters until told to stop.
///
/// # Errors
/// None while the database and NATS can come back: those failures are retried.
pub(crate) async fn run(app: App, stop: CancellationToken) -> Result<(), BoxError> {
    let bus = app.bus().clone();
    let consuming = consume(bus, DURABLE, stop, move |fact| {
        let app = app.clone();
        async move { take(&app, fact).await }
    });
    Box::pin(consuming).await
}

/// Taken twice, it does nothing the second time.
async fn take(app: &App, fact: DeadLettersPutAway) -> Result<(), Outcome> {
    let put_away = put_away(fact).map_err(Outcome::Park)?;
    audit::put_away(app.pool(), put_away)
        .await
        .map_err(|error| Outcome::Retry(error.into()))
}

fn put_away(fact: DeadLettersPutAway) -> Result<PutAway, BoxError> {
    let (task, group): (TaskId, GroupId) = (fact.task_id.parse()?, fact.group_id.parse()?);
    let cause = DeadLetterCause::from(fact.cause());
    let at = fact.first_at.ok_or("the fact has no time")?;
    let meta = fact.meta.ok_or("the fact has no id")?;
    Ok(PutAway {
        seen_as: meta.id,
        at: at.try_into()?,
        path: format!("/api/v1/tasks/{task}/groups/{group}"),
        cause: cause.as_str(),
        number: fact.number,
        first_sequence: fact.first_sequence,
        last_sequence: fact.last_sequence,
    })
}
