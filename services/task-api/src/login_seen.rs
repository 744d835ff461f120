//! Who logged in at NATS, and who was refused: from the facts of consumer-group into the audit log.

use rowcast_bus::{Outcome, consume};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::LoginSeen;
use rowcast_service::{BoxError, CancellationToken};

use crate::state::App;
use crate::store::audit::{self, Logins};

/// The durable consumer, shared by the copies of this service.
const DURABLE: &str = "task-api-logins";

/// As a request of the API would have been answered.
const LET_IN: u16 = 200;
const REFUSED: u16 = 401;

/// Takes facts about logins until told to stop.
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
async fn take(app: &App, fact: LoginSeen) -> Result<(), Outcome> {
    let logins = logins(fact).map_err(Outcome::Park)?;
    audit::logins(app.pool(), logins)
        .await
        .map_err(|error| Outcome::Retry(error.into()))
}

fn logins(fact: LoginSeen) -> Result<Logins, BoxError> {
    let at = fact.first_at.ok_or("the fact has no time")?;
    if fact.id.is_empty() {
        return Err("the fact has no id of its logins".into());
    }
    let path = if fact.group_id.is_empty() {
        String::new()
    } else {
        let (task, group): (TaskId, GroupId) = (fact.task_id.parse()?, fact.group_id.parse()?);
        format!("/api/v1/tasks/{task}/groups/{group}")
    };
    let status = if fact.refusal.is_empty() {
        LET_IN
    } else {
        REFUSED
    };
    Ok(Logins {
        seen_as: fact.id,
        at: at.try_into()?,
        actor: format!("login:{}", fact.login),
        address: fact.host,
        path,
        status,
        problem: Some(fact.refusal).filter(|refusal| !refusal.is_empty()),
        times: fact.times,
        client_name: Some(fact.client_name).filter(|name| !name.is_empty()),
    })
}
