//! The platform with a source of its own, and tasks on it that are ready to run.

use std::time::Duration;

use anyhow::Context as _;
use rowcast_domain::{Lsn, SourceId, TaskId, TaskState};
use rowcast_e2e::{Api, Tracked};
use rowcast_proto::change::Change;
use rowcast_proto::rest::{Source, Task};
use rowcast_proto::stream::{source_object, task_stream};
use rowcast_testkit::{Platform, PlatformOptions};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::process;

/// The database that is tracked.
pub(crate) const DATABASE: &str = "bench";

/// How long nothing may happen before a measurement is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks at a server: short against what is measured, and cheap.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// Between two looks at a stream: the broker answers them beside its work.
const STREAM_LOOK: Duration = Duration::from_millis(50);

/// The platform under measurement.
pub(crate) struct Lab {
    pub(crate) platform: Platform,
    pub(crate) sql: tokio_postgres::Client,
    pub(crate) data: async_nats::Client,
    api: Api,
    source: SourceId,
}

/// Processor seconds of those who take part.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) capture: f64,
    pub(crate) nats: f64,
}

/// The time, in microseconds since 1970.
pub(crate) fn now_micros() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
}

impl Lab {
    /// Starts everything; `schema` runs on the source first.
    pub(crate) async fn start(options: PlatformOptions, schema: &str) -> anyhow::Result<Self> {
        let platform = Box::pin(Platform::start(options)).await?;
        let admin = platform.sql("postgres").await?;
        admin
            .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
            .await?;
        let sql = platform.sql(DATABASE).await?;
        sql.batch_execute(schema).await?;
        let api = Api::new(&platform.api_url, platform.admin_token.expose())?;
        let (port, password) = (platform.postgres.port(), platform.postgres.password());
        let source = register(&api, "bench", port, password.expose()).await?;
        let data = rowcast_e2e::data(&platform).await?;
        Ok(Self {
            platform,
            sql,
            data,
            api,
            source,
        })
    }

    /// Registers the tracked database of another server.
    pub(crate) async fn register(
        &self,
        name: &str,
        port: u16,
        password: &str,
    ) -> anyhow::Result<SourceId> {
        register(&self.api, name, port, password).await
    }

    /// A task that runs. Members of `more` replace those of its definition.
    pub(crate) async fn running(&self, name: &str, more: &Value) -> anyhow::Result<Tracked> {
        let mut body = json!({
            "name": name, "source_id": self.source, "retry_minutes": 10,
            "objects": {"schemas": [{"name": DATABASE, "all": true}]},
        });
        for (member, value) in more.as_object().into_iter().flatten() {
            body[member.as_str()] = value.clone();
        }
        let task: Task = self.api.post("/tasks", &body).await?;
        let sql = self.platform.sql(DATABASE).await?;
        let tracked = Tracked {
            api: self.api.clone(),
            sql,
            task: task.id,
        };
        tracked.run().await?;
        Ok(tracked)
    }

    /// A task that keeps its place until it is started.
    pub(crate) async fn suspended(&self, name: &str, more: &Value) -> anyhow::Result<Tracked> {
        let tracked = self.running(name, more).await?;
        let _task: Task = tracked.command("suspend").await?;
        tracked.reaches(TaskState::Suspended).await;
        let slot = source_object(&tracked.task);
        self.wait("the slot is given back", async || {
            Ok(self.reader(&slot).await?.is_none())
        })
        .await?;
        Ok(tracked)
    }

    /// Removes a task with its slot and its stream.
    pub(crate) async fn release(&self, tracked: Tracked) -> anyhow::Result<()> {
        let _task: Task = tracked.command("release").await?;
        let slot = source_object(&tracked.task);
        self.wait("the slot is removed", async || {
            let query = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1";
            let row = self.sql.query_one(query, &[&slot]).await?;
            Ok(row.get::<_, i64>(0) == 0 && self.stored(&tracked.task).await? == 0)
        })
        .await
    }

    /// Messages in a task's stream.
    pub(crate) async fn stored(&self, task: &TaskId) -> anyhow::Result<u64> {
        rowcast_testkit::stream_length(&self.data, task).await
    }

    /// Ends a backlog: gives the LSN behind it, and commits one row more there.
    pub(crate) async fn end_of_backlog(&self) -> anyhow::Result<Lsn> {
        let query = "SELECT pg_current_wal_insert_lsn()::text";
        let end: String = self.sql.query_one(query, &[]).await?.get(0);
        self.sql.batch_execute(crate::backlog::LAST).await?;
        Ok(end.parse()?)
    }

    /// Where the last message of a stream stands in the source's WAL.
    async fn stored_up_to(&self, stream: &str) -> anyhow::Result<Lsn> {
        let context = async_nats::jetstream::new(self.data.clone());
        let stream = context.get_stream(stream).await?;
        let last = stream.cached_info().state.last_sequence;
        if last == 0 {
            return Ok(Lsn::INVALID);
        }
        let message = stream.get_raw_message(last).await?;
        Ok(Change::read(&message.payload)?.lsn)
    }

    /// Waits until a task's stream has everything that was committed before `end`.
    pub(crate) async fn stores(&self, task: &TaskId, end: Lsn) -> anyhow::Result<()> {
        self.holds(&task_stream(task), end).await
    }

    /// Waits until a stream has everything that was committed before `end`. However long that takes, it must go on.
    pub(crate) async fn holds(&self, stream: &str, end: Lsn) -> anyhow::Result<()> {
        let (mut length, mut grown) = (0, Instant::now());
        while self.stored_up_to(stream).await? < end {
            let now = self.length(stream).await?;
            if now > length {
                (length, grown) = (now, Instant::now());
            }
            let stands = grown.elapsed() < PATIENCE;
            anyhow::ensure!(
                stands,
                "the stream stays at {length} messages for {PATIENCE:?}"
            );
            tokio::time::sleep(STREAM_LOOK).await;
        }
        Ok(())
    }

    /// Messages in a stream.
    pub(crate) async fn length(&self, stream: &str) -> anyhow::Result<u64> {
        let context = async_nats::jetstream::new(self.data.clone());
        let stream = context.get_stream(stream).await?;
        Ok(stream.cached_info().state.messages)
    }

    /// Whether a stream is there.
    pub(crate) async fn has(&self, stream: &str) -> bool {
        let context = async_nats::jetstream::new(self.data.clone());
        context.get_stream(stream).await.is_ok()
    }

    /// Bytes in a task's stream.
    pub(crate) async fn stored_bytes(&self, task: &TaskId) -> anyhow::Result<u64> {
        let context = async_nats::jetstream::new(self.data.clone());
        let stream = context.get_stream(task_stream(task)).await?;
        Ok(stream.cached_info().state.bytes)
    }

    /// Process of the walsender that reads a slot.
    pub(crate) async fn reader(&self, slot: &str) -> anyhow::Result<Option<u32>> {
        let query = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
        let row = self.sql.query_opt(query, &[&slot]).await?;
        let pid: Option<i32> = row.and_then(|row| row.get(0));
        Ok(pid.and_then(|pid| u32::try_from(pid).ok()))
    }

    /// Processor time so far.
    pub(crate) fn used(&mut self) -> anyhow::Result<Used> {
        Ok(Used {
            capture: self.cpu("capture")?,
            nats: process::cpu_seconds(self.broker()?).context("nats-server has ended")?,
        })
    }

    /// Process of nats-server.
    pub(crate) fn broker(&mut self) -> anyhow::Result<u32> {
        let process = self.platform.nats.child().id();
        process.context("nats-server has ended")
    }

    /// Process of capture.
    pub(crate) fn capture(&mut self) -> anyhow::Result<u32> {
        self.service("capture")
    }

    /// Process of a service.
    pub(crate) fn service(&mut self, name: &str) -> anyhow::Result<u32> {
        let service = self.platform.services.get_mut(name);
        service
            .and_then(|running| running.child().id())
            .with_context(|| format!("{name} does not run"))
    }

    /// Processor seconds of a service so far.
    pub(crate) fn cpu(&mut self, name: &str) -> anyhow::Result<f64> {
        process::cpu_seconds(self.service(name)?).with_context(|| format!("{name} has ended"))
    }

    /// Whether those who have to do with a task answer: billing, consumer-group, and the broker.
    pub(crate) async fn answers(&self, task: &TaskId) -> bool {
        for of in ["usage", "groups"] {
            let path = format!("/tasks/{task}/{of}");
            if self.api.get::<Value>(&path).await.is_err() {
                return false;
            }
        }
        self.data.flush().await.is_ok()
    }

    /// Waits for a fact.
    pub(crate) async fn wait(
        &self,
        what: &str,
        fact: impl AsyncFn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !fact().await? {
            anyhow::ensure!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

async fn register(api: &Api, name: &str, port: u16, password: &str) -> anyhow::Result<SourceId> {
    let body = json!({
        "name": name, "host": "127.0.0.1", "port": port, "sslmode": "disable",
        "database": DATABASE, "account": "postgres", "password": password,
    });
    let source: Source = api.post("/sources", &body).await?;
    Ok(source.id)
}
