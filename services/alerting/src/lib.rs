//! Incidents when a task fails or falls behind, or what it needs changes.
//!
//! ```text
//! TaskStateChanged ─▶ state_changed ─▶ incident: raise or resolve? ─▶ store ─▶ outbox ─▶ IncidentRaised
//! TaskRechecked ────▶ rechecked ───────────────────────────────────────▶│                IncidentResolved
//! wishes, reports ──▶ watch_delay ─▶ delay ────────────────────────────▶│
//!                                                  ListIncidents ◀──────┘
//! ```
//!
//! The incident, the id of the event that caused it and the fact that tells of it are written in one
//! transaction: an event that comes twice does nothing the second time.

mod config;
mod error;
mod state_changed;
mod rechecked;
mod delay;
mod watch_delay;
mod incident;
mod fact;
mod store;
mod list_incidents;

use rowcast_bus::{Bus, Server, consume, publish, task_log};
use rowcast_proto::message::{TaskRechecked, TaskStateChanged};
use rowcast_proto::rpc::ListIncidents;
use rowcast_service::{BoxError, Context, Kind, database, outbox};

pub use config::Config;

/// The service's name on the bus, and its schema.
const NAME: &str = "alerting";

/// The consumer of rechecks.
const RECHECKS: &str = "alerting-rechecks";

/// Connects and spawns: the consumers of events, the judge of delays, the relay of facts, the answers.
///
/// # Errors
/// Where the database or NATS does not let us in.
pub async fn start(config: Config, context: Context) -> Result<(), BoxError> {
    let pool = database::connect(&config.database_url, NAME).await?;
    sqlx::migrate!().run(&pool).await?;
    let bus = Bus::connect(&config.nats).await?;
    context.send_task_log(task_log::sender(bus.clone(), "alerting"));
    let Context {
        tasks,
        stop,
        version,
        ..
    } = context;

    let mut server = Server::start(&bus, NAME, version, "Incidents of tasks").await?;
    let answers_from = pool.clone();
    server
        .add::<ListIncidents, _, _>(move |request| {
            let pool = answers_from.clone();
            async move { list_incidents::answer(&pool, request).await }
        })
        .await?;
    tasks.spawn(Kind::Essential, "answer", server.run(stop.clone()));

    let takes_into = pool.clone();
    let events = consume::<TaskStateChanged, _, _>(bus.clone(), NAME, stop.clone(), move |event| {
        let pool = takes_into.clone();
        async move { state_changed::take(&pool, event).await.map_err(Into::into) }
    });
    tasks.spawn(Kind::Essential, "consume", events);
    let takes_into = pool.clone();
    let rechecks =
        consume::<TaskRechecked, _, _>(bus.clone(), RECHECKS, stop.clone(), move |event| {
            let pool = takes_into.clone();
            async move { rechecked::take(&pool, event).await.map_err(Into::into) }
        });
    tasks.spawn(Kind::Essential, "consume rechecks", rechecks);

    let judging = watch_delay::run(pool.clone(), bus.clone(), stop.clone());
    tasks.spawn(Kind::Essential, "judge delays", judging);

    let relay = outbox::relay(pool, NAME, stop, async move |fact| {
        publish::send(&bus, fact).await
    });
    tasks.spawn(Kind::Essential, "relay", relay);
    Ok(())
}
