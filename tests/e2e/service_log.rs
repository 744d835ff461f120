//! What the services logged about a task is told to its users, by whichever of them.

use std::collections::BTreeSet;

use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop};
use rowcast_proto::rest::{LogLevel, TaskLog};
use rowcast_testkit::eventually;

#[tokio::test]
async fn every_service_tells_what_it_did_for_a_task() {
    let shop = Box::pin(Shop::running(Default::default())).await.unwrap();
    let group = shop.group("reader").await.unwrap();
    let _client = group.subscribe().await.unwrap();
    let expected = BTreeSet::from(["capture", "consumer-group", "precheck", "task-api"]);
    let log = async |query: &str| {
        let path = shop.path(&format!("log{query}"));
        shop.api.get::<TaskLog>(&path).await.unwrap().lines
    };
    eventually("all services have told", PATIENCE, async || {
        let lines = log("?limit=200").await;
        let services: BTreeSet<&str> = lines.iter().map(|line| &*line.service).collect();
        let has = |service: &str, message: &str| {
            let mut lines = lines.iter();
            lines.any(|line| line.service == service && line.message == message)
        };
        expected.is_subset(&services)
            && has("capture", "publication created")
            && has("capture", "running")
            && has("consumer-group", "login")
            && lines.is_sorted_by_key(|line| line.at)
    })
    .await;

    let task = shop.task().await.unwrap();
    let sql = format!("DROP PUBLICATION rowcast_{}", task.id);
    shop.sql.batch_execute(&sql).await.unwrap();
    shop.reaches(TaskState::Abnormal).await;
    eventually("the stop is in the log", PATIENCE, async || {
        let lines = log("?level=error&service=capture").await;
        lines.iter().all(|line| line.level == LogLevel::Error)
            && lines.iter().any(|line| {
                line.fields
                    .get("code")
                    .is_some_and(|code| code == "PublicationMissing")
            })
    })
    .await;
    assert_eq!(log("?limit=1").await.len(), 1);
}
