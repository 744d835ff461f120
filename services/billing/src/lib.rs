//! Prices, instances and metered usage.
//!
//! ```text
//! questions ─▶ answer ─▶ instances ──────────────┐
//! task.state_changed ─▶ intake ─▶ intervals ─▶ close ─▶ usage ─▶ outbox ─▶ usage.metered
//! expire ─▶ renewed, expired, ended ─▶ outbox ─▶ instance.state_changed
//! ```
//!
//! An instance is bought once per task, by the hour or in advance for months. The task's changes of state make
//! intervals of billable time; each hour that is over becomes one usage line, priced and rounded once, and is
//! final: at no price where the months are paid. What is paid in advance is an order.

mod config;
mod price;
mod calendar;
mod meter;
mod store;
mod outbox;
mod answer;
mod intake;
mod close;
mod renew;
mod expire;

use rowcast_bus::{Bus, publish, task_log};
use rowcast_service::{BoxError, Context, Kind, database};

pub use config::Config;

/// The service's schema in the control-plane database.
const SCHEMA: &str = "billing";

/// Connects and spawns the service's tasks.
///
/// # Errors
/// Where the database or NATS does not let us in.
pub async fn run(config: Config, context: Context) -> Result<(), BoxError> {
    let pool = database::connect(&config.database_url, SCHEMA).await?;
    sqlx::migrate!().run(&pool).await?;
    let bus = Bus::connect(&config.bus).await?;
    context.send_task_log(task_log::sender(bus.clone(), "billing"));
    let Context {
        tasks,
        readiness: _,
        stop,
        version,
        ..
    } = context;

    let server = answer::serve(&bus, &pool, version).await?;
    tasks.spawn(Kind::Essential, "answer", server.run(stop.clone()));
    tasks.spawn(
        Kind::Essential,
        "intake",
        intake::run(bus.clone(), pool.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "close",
        close::run(bus.clone(), pool.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "expire",
        expire::run(bus.clone(), pool.clone(), config.grace, stop.clone()),
    );
    let relay = rowcast_service::outbox::relay(pool, SCHEMA, stop, async move |fact| {
        publish::send(&bus, fact).await
    });
    tasks.spawn(Kind::Essential, "outbox", relay);
    Ok(())
}
