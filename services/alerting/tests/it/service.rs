//! The running service, and what others do with it.

use std::process::Stdio;
use std::time::Duration;

use rowcast_bus::request::{self, AskError};
use rowcast_bus::{Bus, BusConfig, Replicas, event_meta, publish};
use rowcast_domain::{Secret, TaskState};
use rowcast_proto::event::Event;
use rowcast_proto::message::{
    EventMeta, Incident, ListIncidentsReply, ListIncidentsRequest, TaskError, TaskStateChanged,
    TraceContext,
};
use rowcast_proto::rpc::ListIncidents;
use rowcast_testkit::{Nats, Postgres, eventually};
use tokio::process::{Child, Command};

pub(crate) const TASK: &str = "t000000000000";
/// Of the keyring.
pub(crate) const KEY: &str = "6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b";
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// How long one answer may take: a question that went to a copy which was killed is asked again.
const ANSWER: Duration = Duration::from_secs(5);

pub(crate) struct Service {
    pub(crate) bus: Bus,
    pub(crate) postgres: Postgres,
    database: String,
    settings: Vec<(&'static str, String)>,
    processes: Vec<Child>,
    nats: Nats,
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::start_with(Vec::new()).await
    }

    /// With these settings beside its own.
    pub(crate) async fn start_with(settings: Vec<(&'static str, String)>) -> Self {
        let (postgres, nats) = tokio::join!(Postgres::start(), Nats::start());
        let (postgres, nats) = (postgres.unwrap(), nats.unwrap());
        let database = postgres.service_database("alerting").await.unwrap();
        let config = BusConfig {
            url: nats.url().to_owned(),
            user: "task-api".to_owned(),
            password: Secret::new(nats.password("task-api")),
            name: "test".to_owned(),
            replicas: Replicas::One,
        };
        let mut service = Self {
            bus: Bus::connect(&config).await.unwrap(),
            postgres,
            database,
            settings,
            processes: Vec::new(),
            nats,
        };
        service.copy();
        let stream = rowcast_proto::stream::EVENTS.name;
        eventually("alerting answers and consumes", WAIT, async || {
            let consumes = service.bus.jetstream().get_stream(stream).await.is_ok();
            consumes && service.ask(ListIncidentsRequest::default()).await.is_ok()
        })
        .await;
        service
    }

    /// One more copy of the service.
    pub(crate) fn copy(&mut self) {
        let process = Command::new(env!("CARGO_BIN_EXE_alerting"))
            .env("ROWCAST_ADMIN_LISTEN", "127.0.0.1:0")
            .env("ROWCAST_NATS_URL", self.nats.url())
            .env("ROWCAST_NATS_PASSWORD", self.nats.password("alerting"))
            .env("ROWCAST_DATABASE_URL", &self.database)
            .env("ROWCAST_SECRET_KEY", KEY)
            .envs(self.settings.iter().cloned())
            .stdout(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.processes.push(process);
    }

    /// Kills all copies.
    pub(crate) async fn kill(&mut self) {
        for mut process in self.processes.drain(..) {
            process.kill().await.unwrap();
        }
    }

    /// Tells that the task has changed its state; the same event if told twice.
    pub(crate) async fn tell(&self, event: &impl Event) {
        let meta = event.meta().cloned().unwrap_or_default();
        self.publish(event, &meta.id, &meta.trace.unwrap_or_default())
            .await;
    }

    /// As [`Self::tell`], past the stream's own memory of ids.
    pub(crate) async fn tell_late(&self, event: &impl Event) {
        let message_id = event_meta().id;
        self.publish(event, &message_id, &TraceContext::default())
            .await;
    }

    async fn publish<E: Event>(&self, event: &E, message_id: &str, trace: &TraceContext) {
        let subject = E::SUBJECT.to_owned();
        let payload = serde_json::to_vec(event).unwrap().into();
        publish::event(&self.bus, subject, message_id, payload, trace)
            .await
            .unwrap();
    }

    pub(crate) async fn ask(
        &self,
        request: ListIncidentsRequest,
    ) -> Result<ListIncidentsReply, AskError> {
        request::ask::<ListIncidents>(&self.bus, &request, ANSWER).await
    }

    pub(crate) async fn incidents(&self, task_id: &str, open: bool) -> Vec<Incident> {
        let task_id = task_id.to_owned();
        let question = ListIncidentsRequest {
            task_id,
            open,
            within: Vec::new(),
        };
        self.ask(question).await.unwrap().incidents
    }

    /// Waits until every event told has been taken or parked.
    pub(crate) async fn settled(&self) {
        eventually("every event is taken", WAIT, async || {
            self.is_settled().await
        })
        .await;
    }

    pub(crate) async fn is_settled(&self) -> bool {
        let name = rowcast_proto::stream::EVENTS.name;
        let stream = self.bus.jetstream().get_stream(name).await.unwrap();
        for consumer in [
            "alerting",
            "alerting-rechecks",
            "alerting-groups",
            "alerting-deleted-groups",
        ] {
            let info = stream.consumer_info(consumer).await;
            if !info.is_ok_and(|info| info.num_pending == 0 && info.num_ack_pending == 0) {
                return false;
            }
        }
        true
    }
}

/// An event with an id of its own.
pub(crate) fn changed(from: TaskState, to: TaskState) -> TaskStateChanged {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
    let trace = Some(TraceContext {
        traceparent,
        tracestate: String::new(),
    });
    TaskStateChanged {
        meta: Some(EventMeta {
            trace,
            ..event_meta()
        }),
        task_id: TASK.to_owned(),
        task_name: "orders".to_owned(),
        from: from.to_string(),
        to: to.to_string(),
        actor: "service:capture".to_owned(),
        reason: "capture stopped".to_owned(),
        error: (to == TaskState::Abnormal).then(|| TaskError {
            code: "SourceReplaced".to_owned(),
            message: "the source is another server".to_owned(),
            advice: "re-read the tables".to_owned(),
        }),
    }
}
