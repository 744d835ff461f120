//! The life of a process, in phases.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use rowcast_domain::TaskLine;
use rowcast_telemetry::{LogFormat, Metrics};
use tokio_util::sync::CancellationToken;

use crate::readiness::Readiness;
use crate::settings::Settings;
use crate::signal::Signals;
use crate::task_log::TaskLog;
use crate::tasks::{Chain, Failure, Kind, Tasks};
use crate::{BoxError, admin, healthcheck, task_log};

/// Exit code for a configuration that cannot be used (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;

/// Exit code for a command line that cannot be understood (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// How long the admin endpoints may take to close.
const ADMIN_GRACE: Duration = Duration::from_secs(2);

/// What the shell gives to a service.
#[derive(Debug, Clone)]
pub struct Context {
    /// Spawns its tasks.
    pub tasks: Tasks,
    /// Its readiness.
    pub readiness: Readiness,
    /// Cancelled when the process stops.
    pub stop: CancellationToken,
    /// Its version.
    pub version: &'static str,
    task_log: TaskLog,
}

impl Context {
    /// Sends on, from now on, what the process logs about tasks.
    pub fn send_task_log<P, F>(&self, send: P)
    where
        P: Fn(TaskLine) -> F + Send + 'static,
        F: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let relay = self.task_log.clone().relay(self.stop.clone(), send);
        self.tasks.spawn(Kind::Optional, "task log", relay);
    }
}

/// The argument that makes a program ask instead of run.
const HEALTHCHECK: &str = "healthcheck";

/// Settings of the shell itself.
struct Shell {
    /// `ROWCAST_ADMIN_LISTEN`: where `/live`, `/ready` and `/metrics` answer. Default 127.0.0.1:9100.
    admin_listen: SocketAddr,
    /// `ROWCAST_GRACE_SECONDS`: how long tasks may take to end. Default 20.
    grace: Duration,
    telemetry: rowcast_telemetry::Options,
}

impl Shell {
    fn read(settings: &mut Settings, service: &'static str, version: &'static str) -> Option<Self> {
        let admin_listen = admin_listen(settings);
        let grace = settings.optional("grace_seconds", 20_u64);
        // ROWCAST_LOG_FORMAT: json or text. Default json.
        let format = settings.optional("log_format", LogFormat::Json);
        let filter = settings
            .foreign("RUST_LOG")
            .unwrap_or_else(|| "info".to_owned());
        let otlp_endpoint = settings.foreign("OTEL_EXPORTER_OTLP_ENDPOINT");
        let telemetry = rowcast_telemetry::Options {
            service,
            version,
            filter,
            format: format?,
            otlp_endpoint,
        };
        Some(Self {
            admin_listen: admin_listen?,
            grace: Duration::from_secs(grace?),
            telemetry,
        })
    }
}

fn admin_listen(settings: &mut Settings) -> Option<SocketAddr> {
    settings.optional("admin_listen", SocketAddr::from(([127, 0, 0, 1], 9100)))
}

/// Runs a service: the whole `main` of its process.
///
/// Called as `<service> healthcheck` the program only asks the running one whether it is ready.
///
/// `read` takes the service's settings; `start` connects, spawns named tasks and returns. The
/// process then runs until a signal or the failure of an essential task.
pub fn run<C, S>(
    service: &'static str,
    version: &'static str,
    read: impl FnOnce(&mut Settings) -> Option<C>,
    start: S,
) -> ExitCode
where
    S: AsyncFnOnce(C, Context) -> Result<(), BoxError>,
{
    let mut settings = Settings::from_process();
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some(HEALTHCHECK) => return check_health(settings, service),
        Some(other) => return fail(service, &format!("unknown argument {other:?}"), EXIT_USAGE),
    }
    let shell = Shell::read(&mut settings, service, version);
    let config = read(&mut settings);
    let (shell, config) = match settings.finish(shell.zip(config)) {
        Ok(pair) => pair,
        Err(error) => return fail(service, &error.to_string(), EXIT_CONFIG),
    };
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        return fail(service, "another TLS provider is installed", 1);
    }
    let (lines, task_log) = task_log::channel();
    let telemetry = match rowcast_telemetry::init(&shell.telemetry, lines) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(service, &error.to_string(), 1),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(service, &error.to_string(), 1),
    };
    let metrics = telemetry.metrics.clone();
    let outcome = runtime.block_on(live(shell, config, start, (metrics, task_log)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "stopped");
            ExitCode::FAILURE
        }
    };
    // On a thread without a runtime: the exporter's HTTP client is blocking.
    telemetry.shutdown();
    code
}

fn check_health(mut settings: Settings, service: &str) -> ExitCode {
    let Some(address) = admin_listen(&mut settings) else {
        return fail(service, "ROWCAST_ADMIN_LISTEN is malformed", 1);
    };
    match healthcheck::ask(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(service, &error.to_string(), 1),
    }
}

async fn live<C, S>(
    shell: Shell,
    config: C,
    start: S,
    (metrics, task_log): (Metrics, TaskLog),
) -> Result<(), BoxError>
where
    S: AsyncFnOnce(C, Context) -> Result<(), BoxError>,
{
    let mut signals = Signals::listen()?;
    let listener = admin::bind(shell.admin_listen).await?;
    let stop = CancellationToken::new();
    let (tasks, mut failures) = Tasks::new(stop.clone());
    let readiness = Readiness::default();
    let started = readiness.latch("start");
    // The admin endpoints outlive the other tasks: they tell why a process is not ready yet, and
    // that it is still draining.
    let admin_stop = CancellationToken::new();
    let (admin, _) = Tasks::new(admin_stop.clone());
    let endpoints = admin::serve(listener, readiness.clone(), metrics, admin_stop.clone());
    admin.spawn(Kind::Optional, "admin", endpoints);

    let context = Context {
        tasks: tasks.clone(),
        readiness,
        stop: stop.clone(),
        version: shell.telemetry.version,
        task_log,
    };
    let outcome = tokio::select! {
        result = start(config, context) => result,
        name = signals.next() => {
            tracing::info!(signal = name, "told to stop while starting");
            stop.cancel();
            Ok(())
        }
    };
    let outcome = match outcome {
        Err(error) => Err(error),
        Ok(()) if stop.is_cancelled() => Ok(()),
        Ok(()) => {
            drop(started);
            tracing::info!(admin = %shell.admin_listen, "running");
            tokio::select! {
                name = signals.next() => {
                    tracing::info!(signal = name, "told to stop");
                    Ok(())
                }
                Some(Failure { task, error }) = failures.recv() => {
                    Err(format!("task {task} failed: {}", Chain(&error)).into())
                }
            }
        }
    };
    stop.cancel();
    drain(&tasks, shell.grace).await;
    admin_stop.cancel();
    // A client that keeps its connection open must not keep the process alive.
    tokio::time::timeout(ADMIN_GRACE, admin.drained())
        .await
        .unwrap_or_default();
    outcome
}

async fn drain(tasks: &Tasks, grace: Duration) {
    if tokio::time::timeout(grace, tasks.drained()).await.is_err() {
        tracing::warn!(
            tasks = tasks.running(),
            grace_seconds = grace.as_secs(),
            "tasks did not end in time and are cut off"
        );
    }
}

fn fail(service: &str, problem: &str, code: u8) -> ExitCode {
    // Nothing is left to do where standard error is closed.
    writeln!(std::io::stderr(), "{service}: {problem}").unwrap_or_default();
    ExitCode::from(code)
}
