//! What operators and accountants see.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop};
use rowcast_proto::rest::{IncidentList, Task, UsageList};
use rowcast_testkit::eventually;

#[tokio::test]
async fn every_service_is_found_on_the_bus_and_tells_its_health() {
    let shop = Box::pin(Shop::open(Default::default())).await.unwrap();
    let password = shop.platform.nats_password("task-api").unwrap();
    let control = async_nats::ConnectOptions::with_user_and_password("task-api".into(), password)
        .connect(&shop.platform.nats_url)
        .await
        .unwrap();
    let inbox = control.new_inbox();
    let mut answers = control.subscribe(inbox.clone()).await.unwrap();
    control
        .publish_with_reply("$SRV.PING", inbox, "".into())
        .await
        .unwrap();
    let mut found = BTreeSet::new();
    while let Ok(Some(answer)) = tokio::time::timeout(Duration::from_secs(2), answers.next()).await
    {
        let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
        found.insert(answer["name"].as_str().unwrap().to_owned());
    }
    let asked = [
        "alerting",
        "billing",
        "capture",
        "consumer-group",
        "precheck",
    ];
    assert!(asked.iter().all(|name| found.contains(*name)), "{found:?}");

    for (name, service) in &shop.platform.services {
        for path in ["live", "ready", "metrics"] {
            let url = format!("{}/{path}", service.admin_url);
            let answer = reqwest::get(&url).await.unwrap();
            assert!(
                answer.status().is_success(),
                "{name} {path}: {}",
                answer.status()
            );
        }
    }
}

#[tokio::test]
async fn a_task_that_stops_raises_an_incident_and_a_new_start_ends_it() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    // The role loses its right to stream: no retry helps.
    let admin = shop.platform.sql("postgres").await.unwrap();
    admin
        .batch_execute("ALTER ROLE shop_owner NOREPLICATION")
        .await
        .unwrap();
    admin
        .batch_execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
        .await
        .unwrap();
    shop.reaches(TaskState::Abnormal).await;
    let error = shop.task().await.unwrap().error.unwrap();
    assert_eq!(error.code, "SourceRefused", "{error:?}");
    let open = async |wanted: bool| {
        eventually("the incident follows the task", PATIENCE, async || {
            let list: anyhow::Result<IncidentList> = shop.api.get("/incidents").await;
            list.is_ok_and(|list| {
                list.incidents.len() == 1
                    && list.incidents[0].task_id == shop.task
                    && list.incidents[0].resolved_at.is_none() == wanted
            })
        })
        .await;
    };
    open(true).await;

    admin
        .batch_execute("ALTER ROLE shop_owner REPLICATION")
        .await
        .unwrap();
    let _task: Task = shop.command("start").await.unwrap();
    shop.reaches(TaskState::Running).await;
    open(false).await;
}

#[tokio::test]
async fn a_life_is_metered_written_down_and_leaves_nothing_behind() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    eventually("the running hour is metered", PATIENCE, async || {
        let usage: anyhow::Result<UsageList> = shop.api.get(&shop.path("usage")).await;
        usage.is_ok_and(|usage| usage.lines.iter().any(|line| line.seconds >= 2))
    })
    .await;
    let _task: Task = shop.command("suspend").await.unwrap();
    shop.reaches(TaskState::Suspended).await;
    let _task: Task = shop.command("resume").await.unwrap();
    shop.reaches(TaskState::Running).await;
    let _task: Task = shop.command("release").await.unwrap();
    shop.reaches(TaskState::Released).await;
    eventually("slot and publication are gone", PATIENCE, async || {
        shop.left_on_source().await.unwrap().is_empty()
    })
    .await;
    let told = shop.events().await.unwrap();
    let states: Vec<TaskState> = told.iter().map(|event| event.to).collect();
    assert_eq!(states.last(), Some(&TaskState::Released));
    for state in [
        TaskState::PrecheckPassed,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Suspended,
    ] {
        assert!(
            states.contains(&state),
            "{state:?} is missing in {states:?}"
        );
    }
}
