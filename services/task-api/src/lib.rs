//! REST API; owner of sources and tasks and of their lifecycle.
//!
//! ```text
//! request ─▶ http ─▶ lifecycle ─▶ tasks, history, outbox ─▶ outbox ─▶ task.state_changed
//!              │                    │          ▲
//!              ▼                    ▼          │
//!      questions to others        wish      intake
//!                                   │          ▲
//!                                   ▼          │
//!                                KV wishes  KV reports (capture), instance.state_changed (billing)
//!
//! login.seen (consumer-group) ─▶ login_seen ──────────────────┬─▶ audit log
//! dead_letter.put_away (consumer-group) ─▶ letters_put_away ──┘
//! ```
//!
//! Only `lifecycle` changes a task's state. What capture must do follows from the tasks' rows, never
//! from a request, so that a crash at any point is made good by the next look.

mod config;
mod error;
mod state;
mod auth;
mod http;
mod validate;
mod convert;
mod preview;
mod lifecycle;
mod store;
mod clock;
mod wish;
mod intake;
mod instance_changed;
mod login_seen;
mod letters_put_away;
mod sweep;
mod recheck;
mod client_networks;
mod egress;

use std::net::SocketAddr;

use rowcast_bus::{publish, task_log};
use rowcast_service::{BoxError, Context, Kind, outbox};
use tokio::net::TcpListener;

use crate::state::{App, SCHEMA};

pub use auth::{ParseProxiesError, TrustedProxies};
pub use config::Config;
pub use egress::{EgressAddresses, ParseEgressError};

/// Connects and spawns the service's tasks.
///
/// # Errors
/// Where the address is taken, or the database or NATS does not let us in.
pub async fn start(config: Config, context: Context) -> Result<(), BoxError> {
    let connected = context.readiness.latch("database and NATS");
    let listener = TcpListener::bind(config.http_listen)
        .await
        .map_err(|error| {
            let address = config.http_listen;
            format!("ROWCAST_HTTP_LISTEN: cannot listen on {address}: {error}")
        })?;
    let app = App::connect(&config, context.stop.clone()).await?;
    drop(connected);
    context.send_task_log(task_log::sender(app.bus().clone(), "task-api"));
    let address = listener.local_addr()?;

    let Context { tasks, stop, .. } = context;
    tasks.spawn(
        Kind::Essential,
        "wish",
        wish::run(app.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "intake",
        intake::run(app.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "instance_changed",
        instance_changed::run(app.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "login_seen",
        login_seen::run(app.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "letters_put_away",
        letters_put_away::run(app.clone(), stop.clone()),
    );
    let bus = app.bus().clone();
    let relay = outbox::relay(
        app.pool().clone(),
        SCHEMA,
        stop.clone(),
        async move |fact| publish::send(&bus, fact).await,
    );
    tasks.spawn(Kind::Essential, "outbox", relay);
    tasks.spawn(
        Kind::Essential,
        "sweep",
        sweep::run(app.clone(), stop.clone()),
    );
    tasks.spawn(
        Kind::Essential,
        "recheck",
        recheck::run(app.clone(), stop.clone()),
    );
    let router = http::router(app).into_make_service_with_connect_info::<SocketAddr>();
    tasks.spawn(Kind::Essential, "http", async move {
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await?;
        Ok(())
    });
    tracing::info!(%address, "listening");
    Ok(())
}
