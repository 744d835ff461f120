//! The life of an incident.

use futures::StreamExt as _;
use rowcast_bus::event_meta;
use rowcast_bus::request::AskError;
use rowcast_domain::TaskState::{Abnormal, Locked, Running, Starting};
use rowcast_proto::event::Event;
use rowcast_proto::message::{
    CheckResult, IncidentRaised, IncidentResolved, ListIncidentsRequest, TaskRechecked,
    TaskStateChanged,
};
use rowcast_testkit::eventually;

use crate::service::{Service, TASK, WAIT, changed};

#[tokio::test]
async fn a_failed_task_has_one_incident_and_running_again_resolves_it() {
    let service = Service::start().await;
    let failed = changed(Running, Abnormal);
    service.tell(&failed).await;
    service.tell_late(&failed).await;
    service.tell(&changed(Abnormal, Abnormal)).await;
    service.settled().await;

    let open = service.incidents(TASK, true).await;
    let [incident] = open.as_slice() else {
        panic!("{open:?}")
    };
    assert_eq!(incident.rule, "task_abnormal");
    assert_eq!(incident.error, failed.error);
    assert_eq!(incident.task_name, "orders");
    assert!(incident.resolved_at.is_none());

    service.tell(&changed(Abnormal, Starting)).await;
    service.tell(&changed(Starting, Running)).await;
    // A copy of the first event that comes after everything else opens nothing.
    service.tell_late(&failed).await;
    service.settled().await;
    assert!(service.incidents(TASK, true).await.is_empty());
    let all = service.incidents("", false).await;
    assert_eq!(all.len(), 1);
    assert!(all[0].resolved_at.is_some());
    assert!(service.incidents("t999999999999", false).await.is_empty());
}

#[tokio::test]
async fn a_locked_task_is_an_incident_of_its_own_until_it_goes_on() {
    let service = Service::start().await;
    service.tell(&changed(Running, Abnormal)).await;
    service.tell(&changed(Abnormal, Locked)).await;
    service.settled().await;
    let open = service.incidents(TASK, true).await;
    let [incident] = open.as_slice() else {
        panic!("{open:?}")
    };
    assert_eq!(incident.rule, "task_locked");
    assert!(incident.summary.starts_with("Task orders is locked"));
    service.tell(&changed(Locked, Starting)).await;
    service.settled().await;
    assert!(service.incidents(TASK, true).await.is_empty());
    assert_eq!(service.incidents("", false).await.len(), 2);
}

#[tokio::test]
async fn others_are_told_once_of_each_with_the_trace_of_the_cause() {
    let service = Service::start().await;
    let client = service.bus.client();
    let mut raised = client.subscribe(IncidentRaised::SUBJECT).await.unwrap();
    let mut resolved = client.subscribe(IncidentResolved::SUBJECT).await.unwrap();
    client.flush().await.unwrap();

    let failed = changed(Running, Abnormal);
    service.tell(&failed).await;
    service.tell_late(&failed).await;
    service.tell(&changed(Abnormal, Starting)).await;

    let told = tokio::time::timeout(WAIT, raised.next())
        .await
        .unwrap()
        .unwrap();
    let begun: IncidentRaised = serde_json::from_slice(&told.payload).unwrap();
    let told = tokio::time::timeout(WAIT, resolved.next())
        .await
        .unwrap()
        .unwrap();
    let ended: IncidentResolved = serde_json::from_slice(&told.payload).unwrap();
    let traceparent = begun.meta.unwrap().trace.unwrap().traceparent;
    assert!(
        traceparent.contains("0af7651916cd43dd8448eb211c80319c"),
        "{traceparent}"
    );
    assert_eq!(begun.incident.unwrap().id, ended.incident.unwrap().id);

    // Everything is sent, and nothing of it twice: the next of each would be here already.
    let database = service.postgres.client("rowcast").await.unwrap();
    eventually("the outbox is empty", WAIT, async || {
        let query = "SELECT count(*) FROM alerting.outbox";
        database
            .query_one(query, &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            == 0
    })
    .await;
    client.flush().await.unwrap();
    assert!(futures::FutureExt::now_or_never(raised.next()).is_none());
    assert!(futures::FutureExt::now_or_never(resolved.next()).is_none());
}

#[tokio::test]
async fn an_event_that_can_never_be_taken_is_parked_and_the_next_one_is_taken() {
    let service = Service::start().await;
    let strange = TaskStateChanged {
        to: "exploded".to_owned(),
        ..changed(Running, Abnormal)
    };
    service.tell(&strange).await;
    service.tell(&changed(Running, Abnormal)).await;
    service.settled().await;
    assert_eq!(service.incidents(TASK, true).await.len(), 1);
    for (task, seen) in [(TASK, 1), ("t000000000009", 0)] {
        let question = ListIncidentsRequest {
            within: vec![task.to_owned()],
            ..ListIncidentsRequest::default()
        };
        assert_eq!(service.ask(question).await.unwrap().incidents.len(), seen);
    }
    let parked = service
        .bus
        .jetstream()
        .get_stream("ROWCAST_PARKED")
        .await
        .unwrap();
    let message = parked
        .get_last_raw_message_by_subject(&rowcast_proto::subject::parked("alerting"))
        .await
        .unwrap();
    let kept: TaskStateChanged = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(kept, strange);
}

#[tokio::test]
async fn an_outage_of_the_database_delays_an_event_and_loses_none() {
    let service = Service::start().await;
    let superuser = service.postgres.client("postgres").await.unwrap();
    superuser
        .batch_execute(
            "ALTER DATABASE rowcast ALLOW_CONNECTIONS false;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'rowcast'",
        )
        .await
        .unwrap();
    service.tell(&changed(Running, Abnormal)).await;
    let all = ListIncidentsRequest::default;
    eventually("the outage is told", WAIT, async || {
        match service.ask(all()).await {
            Err(AskError::Refused(error)) => error.code == "database_unavailable",
            Err(_) | Ok(_) => false,
        }
    })
    .await;
    assert!(!service.is_settled().await);

    superuser
        .batch_execute("ALTER DATABASE rowcast ALLOW_CONNECTIONS true")
        .await
        .unwrap();
    service.settled().await;
    assert_eq!(service.incidents(TASK, true).await.len(), 1);
}

#[tokio::test]
async fn an_id_that_is_none_is_refused_with_its_field() {
    let service = Service::start().await;
    let request = ListIncidentsRequest {
        task_id: "x".to_owned(),
        ..ListIncidentsRequest::default()
    };
    match service.ask(request).await {
        Err(AskError::Refused(error)) => assert_eq!(error.field, "task_id"),
        other => panic!("{other:?}"),
    }
}

fn rechecked(codes: &[&str]) -> TaskRechecked {
    let problems = codes.iter().map(|code| CheckResult {
        code: (*code).to_owned(),
        cause: format!("{code} is no longer good"),
        repair: "SELECT 1;".to_owned(),
        ..CheckResult::default()
    });
    TaskRechecked {
        meta: Some(event_meta()),
        task_id: TASK.to_owned(),
        task_name: "orders".to_owned(),
        problems: problems.collect(),
    }
}

#[tokio::test]
async fn what_has_drifted_is_an_incident_until_it_is_good_again() {
    let service = Service::start().await;
    let first = rechecked(&["keys"]);
    service.tell(&first).await;
    service.tell_late(&first).await;
    service.settled().await;
    let open = service.incidents(TASK, true).await;
    let [incident] = open.as_slice() else {
        panic!("{open:?}")
    };
    assert_eq!(incident.rule, "source_drifted");
    assert_eq!(incident.error.as_ref().unwrap().advice, "SELECT 1;");

    // Other problems are another incident; one of another rule stands beside it.
    service.tell(&rechecked(&["keys", "clock"])).await;
    service.tell(&changed(Running, Abnormal)).await;
    service.settled().await;
    let open = service.incidents(TASK, true).await;
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open.iter().all(|now| now.id != incident.id));
    service.tell(&changed(Abnormal, Running)).await;
    service.tell(&rechecked(&[])).await;
    service.settled().await;
    assert!(service.incidents(TASK, true).await.is_empty());

    // By a clock that is behind; an incident does not end before it begins.
    service.tell(&rechecked(&["keys"])).await;
    let mut good = rechecked(&[]);
    let early = (chrono::Utc::now() - chrono::TimeDelta::hours(1)).into();
    good.meta.as_mut().unwrap().occurred_at = Some(early);
    service.tell(&good).await;
    service.settled().await;
    assert!(service.incidents(TASK, true).await.is_empty());
    let all = service.incidents(TASK, false).await;
    let last = all.first().unwrap();
    assert_eq!(last.resolved_at, last.opened_at, "{all:?}");
}
