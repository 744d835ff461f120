//! What changes on a source while a task runs.

use std::collections::BTreeMap;

use rowcast_domain::TaskState;
use rowcast_e2e::{PATIENCE, Shop};
use rowcast_proto::rest::{CheckOutcome, Incident, IncidentList, Recheck};
use rowcast_testkit::{PlatformOptions, eventually};

async fn drifted(shop: &Shop) -> Option<Incident> {
    let list: IncidentList = shop.api.get("/incidents?open=true").await.ok()?;
    let mut incidents = list.incidents.into_iter();
    incidents.find(|incident| incident.rule == "source_drifted")
}

#[tokio::test]
async fn what_a_running_task_loses_raises_an_incident_until_it_is_repaired() {
    let often = BTreeMap::from([("ROWCAST_RECHECK_SECONDS".to_owned(), "6".to_owned())]);
    let options = PlatformOptions {
        environment: often,
        ..PlatformOptions::default()
    };
    let shop = Box::pin(Shop::running(options)).await.unwrap();
    let found: Recheck = shop.command("recheck").await.unwrap();
    assert!(found.problems.is_empty(), "{found:?}");
    let publication = found
        .report
        .items
        .iter()
        .find(|item| item.code == "publication");
    assert_eq!(
        publication.unwrap().outcome,
        CheckOutcome::Pass,
        "{found:?}"
    );

    let drop = "ALTER TABLE shop.counter DROP CONSTRAINT counter_pkey";
    shop.sql.batch_execute(drop).await.unwrap();
    eventually("an incident tells of it", PATIENCE, async || {
        drifted(&shop).await.is_some()
    })
    .await;
    let incident = drifted(&shop).await.unwrap();
    assert_eq!(incident.task_id, shop.task);
    assert!(incident.summary.contains("shop.counter"), "{incident:?}");
    let repair = incident.error.unwrap().advice;
    assert!(repair.contains("REPLICA IDENTITY FULL"), "{repair}");
    let last: Recheck = shop.api.get(&shop.path("recheck")).await.unwrap();
    assert_eq!(last.problems, ["keys"]);

    let repair = "ALTER TABLE shop.counter ADD PRIMARY KEY (n)";
    shop.sql.batch_execute(repair).await.unwrap();
    eventually("the repair ends it", PATIENCE, async || {
        drifted(&shop).await.is_none()
    })
    .await;
    assert_eq!(shop.task().await.unwrap().state, TaskState::Running);
}
