//! A task that falls behind its source.

use std::time::Duration;

use rowcast_bus::async_nats::jetstream::kv;
use rowcast_bus::provision;
use rowcast_proto::message::{
    Alerting, CaptureState, DesiredState, Incident, TaskSpec, TaskStatus,
};
use rowcast_proto::stream::{TASK_STATUS, TASKS};
use rowcast_testkit::eventually;

use crate::service::{Service, TASK, WAIT};

/// Longer than the service takes to judge, several times.
const A_WHILE: Duration = Duration::from_secs(5);

pub(crate) struct Buckets {
    pub(crate) wishes: kv::Store,
    reports: kv::Store,
}

impl Buckets {
    pub(crate) async fn of(service: &Service) -> Self {
        Self {
            wishes: provision::bucket(&service.bus, &TASKS).await.unwrap(),
            reports: provision::bucket(&service.bus, &TASK_STATUS).await.unwrap(),
        }
    }

    async fn wish(&self, desired: DesiredState, delay_seconds: u32) {
        let spec = TaskSpec {
            task_id: TASK.to_owned(),
            name: "orders".to_owned(),
            desired: desired.into(),
            alerting: Some(Alerting {
                delay_seconds,
                contacts: Vec::new(),
            }),
            ..TaskSpec::default()
        };
        let value = serde_json::to_vec(&spec).unwrap().into();
        self.wishes.put(TASK, value).await.unwrap();
    }

    pub(crate) async fn report(&self, state: CaptureState, confirmed: &str, source: &str) {
        let status = TaskStatus {
            task_id: TASK.to_owned(),
            state: state.into(),
            confirmed_lsn: confirmed.to_owned(),
            source_lsn: source.to_owned(),
            ..TaskStatus::default()
        };
        let value = serde_json::to_vec(&status).unwrap().into();
        self.reports.put(TASK, value).await.unwrap();
    }
}

async fn opened(service: &Service) -> Incident {
    eventually("an incident is open", WAIT, async || {
        !service.incidents(TASK, true).await.is_empty()
    })
    .await;
    let mut open = service.incidents(TASK, true).await;
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

async fn ended(service: &Service) {
    eventually("no incident is open", WAIT, async || {
        service.incidents(TASK, true).await.is_empty()
    })
    .await;
}

#[tokio::test]
async fn one_that_falls_behind_is_an_incident_until_it_has_caught_up() {
    let mut service = Service::start().await;
    service.copy();
    let buckets = Buckets::of(&service).await;
    buckets.wish(DesiredState::Running, 3).await;
    buckets.report(CaptureState::Running, "0/20", "0/20").await;
    tokio::time::sleep(A_WHILE).await;
    assert!(service.incidents(TASK, false).await.is_empty());

    buckets.report(CaptureState::Running, "0/20", "0/30").await;
    let incident = opened(&service).await;
    assert_eq!(incident.rule, "task_delayed");
    let told = &incident.summary;
    assert!(
        told.starts_with("Task orders is ") && told.ends_with("; 3 s are allowed."),
        "{told}"
    );

    // It goes on, and what it confirms is not enough.
    buckets.report(CaptureState::Running, "0/28", "0/50").await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(opened(&service).await.id, incident.id);
    buckets.report(CaptureState::Running, "0/50", "0/50").await;
    ended(&service).await;

    // An interruption is a delay, whatever was confirmed before.
    buckets.report(CaptureState::Retrying, "0/50", "0/50").await;
    let next = opened(&service).await;
    assert_ne!(next.id, incident.id);
    buckets.wish(DesiredState::Suspended, 3).await;
    ended(&service).await;
    assert_eq!(service.incidents(TASK, false).await.len(), 2);
}

#[tokio::test]
async fn an_open_one_is_found_again_after_a_crash() {
    let mut service = Service::start().await;
    let buckets = Buckets::of(&service).await;
    buckets.wish(DesiredState::Running, 4).await;
    buckets.report(CaptureState::Retrying, "0/20", "0/20").await;
    let incident = opened(&service).await;
    service.kill().await;
    buckets.report(CaptureState::Running, "0/20", "0/30").await;
    service.copy();
    service.copy();
    eventually("alerting answers again", WAIT, async || {
        service.ask(Default::default()).await.is_ok()
    })
    .await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(
        opened(&service).await.id,
        incident.id,
        "it has not caught up"
    );
    buckets.report(CaptureState::Running, "0/30", "0/30").await;
    ended(&service).await;

    // Whoever wants to know no longer is not told.
    buckets.report(CaptureState::Retrying, "0/30", "0/30").await;
    opened(&service).await;
    buckets.wish(DesiredState::Running, 0).await;
    ended(&service).await;
}
