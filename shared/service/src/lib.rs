//! The shell every Rowcast process lives in.
//!
//! ```text
//! settings ─▶ telemetry ─▶ runtime ─▶ start ─▶ wait (signal or failed task) ─▶ stop ─▶ drain within the grace time
//! ```
//!
//! Configuration problems are all reported at once, before anything runs. A service's `run` connects
//! and spawns named tasks; the shell owns their supervision, the admin endpoints and the shutdown.

mod run;
mod settings;
mod tasks;
mod readiness;
mod admin;
mod healthcheck;
mod signal;
mod task_log;
pub mod database;
pub mod outbox;
pub mod keyring;

/// Any error, as tasks return it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

pub use readiness::{Latch, Readiness};
pub use run::{Context, run};
pub use settings::{Settings, SettingsError};
pub use tasks::{Kind, Tasks};
pub use tokio_util::sync::CancellationToken;
