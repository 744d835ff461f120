//! Streams the changes of PostgreSQL databases into `JetStream`, in commit order, exactly once.
//!
//! ```text
//! wishes in KV ─▶ supervisor ─▶ worker, one a task, under a lease
//!                                  │ prepare: publication, slot, stream, and whether they fit
//!                                  ▼
//! walsender ─▶ source ─▶ decode ─▶ encode ─▶ publish ─▶ the task's stream
//!     ▲                                         │ acknowledged in order
//!     └──────── confirmations ◀── progress ◀────┘
//! ```
//!
//! The stream's tail is the checkpoint: after any doubt it is read again, and what it holds is
//! dropped on the way.

mod config;
mod error;
mod metrics;
mod supervisor;
mod worker;
mod report;
mod connection;
mod prepare;
mod scope;
mod kept;
mod checkpoint;
mod pipeline;
mod keeper;
mod server_time;
mod release;
#[cfg(feature = "decode")]
pub mod decode_alone;
#[cfg(any(test, fuzzing))]
pub mod fuzz;

use std::sync::Arc;

use rowcast_bus::{Bus, provision, task_log};
use rowcast_proto::stream;
use rowcast_service::keyring::Keyring;
use rowcast_service::{BoxError, Context, Kind};

pub use config::Config;
use worker::Platform;

/// Connects and begins to take tasks.
///
/// # Errors
/// Where NATS does not let us in or the key is malformed.
pub async fn start(config: Config, context: Context) -> Result<(), BoxError> {
    metrics::describe();
    let keyring = Keyring::from_secret(&config.secret_key)?;
    let control = Bus::connect(&config.control).await?;
    context.send_task_log(task_log::sender(control.clone(), "capture"));
    let data = Bus::connect(&config.data).await?;
    provision::stream(&control, &stream::PARKED).await?;
    let platform = Platform {
        control: control.clone(),
        capture_id: format!("capture-{}", uuid::Uuid::now_v7().simple()),
        data,
        keyring,
        source_networks: config.source_networks,
        nats_monitors: config.nats_monitors,
        wishes: provision::bucket(&control, &stream::TASKS).await?,
        statuses: provision::bucket(&control, &stream::TASK_STATUS).await?,
        leases: provision::bucket(&control, &stream::LEASES).await?,
        checkpoints: provision::bucket(&control, &stream::CHECKPOINTS).await?,
        tracked: provision::bucket(&control, &stream::TRACKED).await?,
        schemas: provision::bucket(&control, &stream::SCHEMAS).await?,
        wal_ends: Arc::default(),
    };
    let server = rowcast_bus::Server::start(
        &control,
        "capture",
        context.version,
        "streams row changes into JetStream",
    )
    .await?;
    context
        .tasks
        .spawn(Kind::Essential, "respond", server.run(context.stop.clone()));
    let supervisor = supervisor::run(Arc::new(platform), context.tasks.clone(), context.stop);
    context
        .tasks
        .spawn(Kind::Essential, "supervisor", supervisor);
    Ok(())
}
