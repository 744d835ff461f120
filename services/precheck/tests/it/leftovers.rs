//! Slots and publications of tasks that are not there, and how many tables there are.

use rowcast_proto::message::{CheckOutcome, LiveTasks, PrecheckReport};

use crate::service::{Service, codes, item, named, question};

const LIVE: &str = "t000000000002";

async fn asked(service: &Service) -> PrecheckReport {
    let mut request = question(service.superuser(), named(&["orders"]));
    let ids = vec![LIVE.to_owned()];
    request.live_tasks = Some(LiveTasks { ids });
    service.ask(request).await.unwrap()
}

#[tokio::test]
async fn what_no_task_has_is_told_with_what_removes_it() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let report = asked(&service).await;
    assert_eq!(item(&report, "leftovers").outcome(), CheckOutcome::Pass);
    for id in [LIVE, "t000000000003"] {
        for statement in [
            format!("CREATE PUBLICATION rowcast_{id}"),
            format!("SELECT pg_create_logical_replication_slot('rowcast_{id}', 'pgoutput')"),
        ] {
            service.sql(&statement).await;
        }
    }
    service.sql("CREATE PUBLICATION rowcast_is_a_name").await;
    let report = asked(&service).await;
    let found = item(&report, "leftovers");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert_eq!(
        found.saw,
        "slots: rowcast_t000000000003; publications: rowcast_t000000000003"
    );
    // Whoever does not know the tasks cannot tell.
    let report = service.report(service.superuser(), &["orders"]).await;
    assert!(report.items.iter().all(|item| item.code != "leftovers"));

    let (_advice, repair) = found.repair.split_once('\n').unwrap();
    for statement in repair.lines() {
        service.sql(statement).await;
    }
    let report = asked(&service).await;
    assert_eq!(item(&report, "leftovers").outcome(), CheckOutcome::Pass);
}

#[tokio::test]
async fn five_hundred_tables_are_advised_at_most() {
    let service = Service::start().await;
    let tables = |from: u32, to: u32| {
        format!(
            "DO $$ BEGIN FOR nth IN {from}..{to} LOOP
                 EXECUTE format('CREATE TABLE many.t%s (id int PRIMARY KEY)', nth);
             END LOOP; END $$"
        )
    };
    service.sql("CREATE SCHEMA many").await;
    service.sql(&tables(1, 500)).await;
    let mut objects = named(&[]);
    objects.schemas[0].name = "many".to_owned();
    objects.schemas[0].all = true;
    let request = || question(service.superuser(), objects.clone());
    let report = service.ask(request()).await.unwrap();
    assert_eq!(item(&report, "table_limit").outcome(), CheckOutcome::Pass);
    service.sql(&tables(501, 501)).await;
    let report = service.ask(request()).await.unwrap();
    let found = item(&report, "table_limit");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert_eq!(found.saw, "tables: 501, advised: at most 500; many has 501");
    assert_eq!(codes(&report, CheckOutcome::Fail), [] as [&str; 0]);
}
