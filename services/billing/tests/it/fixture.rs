//! A running billing service and those who talk to it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use rowcast_bus::request::{AskError, ask};
use rowcast_bus::{Bus, BusConfig, Replicas, event_meta, provision, publish};
use rowcast_domain::{Secret, TaskId, TaskState};
use rowcast_proto::event::Event;
use rowcast_proto::message as m;
use rowcast_proto::rpc::{GetQuote, Rpc};
use rowcast_proto::stream::EVENTS;
use rowcast_testkit::{Nats, Postgres, eventually};
use sqlx::PgPool;
use tokio::process::{Child, Command};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Billing {
    nats: Nats,
    database_url: String,
    /// The service's own tables.
    pub(crate) pool: PgPool,
    /// A connection as task-api.
    pub(crate) bus: Bus,
    process: Option<Child>,
    // Last, so that the server outlives what is connected to it.
    _postgres: Postgres,
}

impl Billing {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let postgres = Postgres::start().await?;
        let nats = Nats::start().await?;
        let database_url = postgres.service_database("billing").await?;
        let pool = PgPool::connect(&database_url).await?;
        let bus = Bus::connect(&BusConfig {
            url: nats.url().to_owned(),
            user: "task-api".to_owned(),
            password: Secret::new(nats.password("task-api")),
            name: "test".to_owned(),
            replicas: Replicas::One,
        })
        .await?;
        provision::stream(&bus, &EVENTS).await?;
        let mut billing = Self {
            nats,
            database_url,
            pool,
            bus,
            process: None,
            _postgres: postgres,
        };
        billing.resume().await?;
        Ok(billing)
    }

    /// Starts the process and waits until it answers.
    pub(crate) async fn resume(&mut self) -> anyhow::Result<()> {
        self.process = Some(self.new_copy()?);
        let question = m::QuoteRequest {
            charge_type: m::ChargeType::PayAsYouGo.into(),
            ..m::QuoteRequest::default()
        };
        eventually("billing answers", LIMIT, async || {
            self.ask::<GetQuote>(&question).await.is_ok()
        })
        .await;
        Ok(())
    }

    /// Starts a process beside whatever runs.
    pub(crate) fn new_copy(&self) -> anyhow::Result<Child> {
        let process = Command::new(env!("CARGO_BIN_EXE_billing"))
            .env("ROWCAST_ADMIN_LISTEN", "127.0.0.1:0")
            .env("ROWCAST_LOG_FORMAT", "text")
            .env("ROWCAST_NATS_URL", self.nats.url())
            .env("ROWCAST_NATS_USER", "billing")
            .env("ROWCAST_NATS_PASSWORD", self.nats.password("billing"))
            .env("ROWCAST_DATABASE_URL", &self.database_url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(process)
    }

    /// Ends the process without a warning.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("not running")?.kill().await?;
        Ok(())
    }

    pub(crate) async fn ask<R: Rpc>(&self, question: &R::Request) -> Result<R::Reply, AskError> {
        ask::<R>(&self.bus, question, Duration::from_secs(5)).await
    }

    /// What billing answers when it refuses.
    pub(crate) async fn refusal<R>(&self, question: &R::Request) -> m::RpcError
    where
        R: Rpc<Reply: std::fmt::Debug>,
    {
        match self.ask::<R>(question).await {
            Err(AskError::Refused(error)) => error,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Says, as task-api, that a task entered `to`.
    pub(crate) async fn tell(
        &self,
        task: &TaskId,
        to: TaskState,
        at: DateTime<Utc>,
    ) -> anyhow::Result<m::TaskStateChanged> {
        let event = m::TaskStateChanged {
            meta: Some(m::EventMeta {
                occurred_at: Some(at.into()),
                ..event_meta()
            }),
            task_id: task.to_string(),
            to: to.to_string(),
            ..m::TaskStateChanged::default()
        };
        self.send(&event, "").await?;
        Ok(event)
    }

    /// Sends an event; with `suffix` on the message id, past the stream's own deduplication.
    pub(crate) async fn send<E: Event>(&self, event: &E, suffix: &str) -> anyhow::Result<()> {
        let id = format!("{}{suffix}", event.meta().context("no meta")?.id);
        let payload = serde_json::to_vec(event)?.into();
        let trace = m::TraceContext::default();
        publish::event(&self.bus, E::SUBJECT.to_owned(), &id, payload, &trace)
            .await
            .map_err(|error| anyhow::anyhow!(error))
    }

    /// Every fact of a kind in the stream, as long as billing has nothing more to send.
    pub(crate) async fn facts<E: Event>(&self) -> anyhow::Result<Vec<E>> {
        eventually("the outbox is empty", LIMIT, async || {
            let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM billing.outbox")
                .fetch_one(&self.pool)
                .await;
            matches!(left, Ok(0))
        })
        .await;
        let stream = self.bus.jetstream().get_stream(EVENTS.name).await?;
        let last = stream.cached_info().state.last_sequence;
        let mut facts = Vec::new();
        for sequence in 1..=last {
            let message = stream.get_raw_message(sequence).await?;
            if message.subject.as_str() == E::SUBJECT {
                facts.push(serde_json::from_slice(&message.payload)?);
            }
        }
        Ok(facts)
    }

    pub(crate) async fn purchase(&self, task: &TaskId) -> Result<m::Instance, AskError> {
        self.ask::<rowcast_proto::rpc::PurchaseInstance>(&order(task, &format!("order of {task}")))
            .await
    }
}

/// A good order.
pub(crate) fn order(task: &TaskId, key: &str) -> m::PurchaseRequest {
    m::PurchaseRequest {
        task_id: task.to_string(),
        charge_type: m::ChargeType::PayAsYouGo.into(),
        order_key: key.to_owned(),
        actor: "user:test".to_owned(),
        ..m::PurchaseRequest::default()
    }
}
