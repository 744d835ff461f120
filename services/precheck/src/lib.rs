//! Answers whether a source is fit for a task, with a repair for each problem.
//!
//! ```text
//! RunPrecheck ─▶ target: open the password ─▶ connectivity ─▶ checks in order ─▶ report
//!              └ broker: ask every NATS server ─▶ checks of the broker ───────┘
//! TestSource ──▶ target: open the password ─▶ steps in order ─▶ how far the way leads
//! BrowseSource ▶ target: open the password ─▶ a page of databases, schemas or tables
//! ```
//!
//! Nothing is written to the source. A report goes to whoever asked; how far a run has come is told in KV
//! meanwhile, for whoever looks on.
//!
//! A check reads facts and judges them. Judging is pure, so that every verdict is tested without a
//! server.

mod config;
mod error;
mod target;
mod run_precheck;
mod progress;
mod checks;
mod lanes;
mod test_source;
mod steps;
mod browse_source;
mod browse;
mod diagnosis;
mod provider;
mod finding;
mod literal;
mod report;
mod source;
mod broker;
mod selected;

use std::sync::Arc;

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::monitor::Monitors;
use rowcast_bus::{Bus, Replicas, Server, provision, task_log};
use rowcast_proto::rpc::{BrowseSource, RunPrecheck, TestSource};
use rowcast_proto::stream::PRECHECKS;
use rowcast_service::keyring::Keyring;
use rowcast_service::{BoxError, Context, Kind};

pub use config::Config;
use target::Access;

/// What every answer needs.
struct Platform {
    access: Access,
    monitors: Monitors,
    replicas: Replicas,
    /// How many tables a task should have at most.
    table_limit: usize,
    /// Where the progress of a run is told.
    prechecks: kv::Store,
}

/// Connects and answers until told to stop.
///
/// # Errors
/// Where the key is malformed or NATS does not let us in.
pub async fn start(config: Config, context: Context) -> Result<(), BoxError> {
    let keyring = Keyring::from_secret(&config.secret_key)?;
    let bus = Bus::connect(&config.nats).await?;
    context.send_task_log(task_log::sender(bus.clone(), "precheck"));
    let platform = Arc::new(Platform {
        access: Access {
            keyring,
            networks: config.source_networks,
        },
        monitors: config.nats_monitors,
        replicas: config.nats.replicas,
        table_limit: config.table_limit,
        prechecks: provision::bucket(&bus, &PRECHECKS).await?,
    });
    let description = "Answers whether a source is fit for a task";
    let mut server = Server::start(&bus, "precheck", context.version, description).await?;
    let of = Arc::clone(&platform);
    server
        .add::<RunPrecheck, _, _>(move |request| {
            let platform = Arc::clone(&of);
            async move { run_precheck::answer(&platform, request).await }
        })
        .await?;
    let of = Arc::clone(&platform);
    server
        .add::<BrowseSource, _, _>(move |request| {
            let platform = Arc::clone(&of);
            async move { browse_source::answer(&platform.access, request).await }
        })
        .await?;
    server
        .add::<TestSource, _, _>(move |request| {
            let platform = Arc::clone(&platform);
            async move { test_source::answer(&platform.access, request).await }
        })
        .await?;
    context
        .tasks
        .spawn(Kind::Essential, "answer", server.run(context.stop.clone()));
    Ok(())
}
