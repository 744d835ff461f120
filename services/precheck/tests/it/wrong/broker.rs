//! A cluster of NATS servers of which one is down, or that keeps one copy only.

use std::time::Duration;

use rowcast_bus::Replicas;
use rowcast_proto::message::CheckOutcome::{self, Alert, Fail, Pass};
use rowcast_proto::message::{CheckResult, PrecheckReport};
use rowcast_testkit::{NatsCluster, Postgres, eventually};

use crate::service::{Service, item, named, question};

/// A server that is back has to find its place among the others.
const PATIENCE: Duration = Duration::from_secs(60);

const CODE: &str = "jetstream_servers";

async fn report(service: &Service) -> PrecheckReport {
    let request = question(service.superuser(), named(&["orders"]));
    service.ask(request).await.unwrap()
}

/// The item, once it is so; nothing else hinders.
async fn told(service: &Service, outcome: CheckOutcome) -> CheckResult {
    eventually("the servers are judged so", PATIENCE, async || {
        let request = question(service.superuser(), named(&["orders"]));
        match service.ask(request).await {
            Ok(report) => item(&report, CODE).outcome() == outcome,
            Err(_unanswered) => false,
        }
    })
    .await;
    let report = report(service).await;
    for other in report.items.iter().filter(|other| other.code != CODE) {
        assert_ne!(other.outcome(), Fail, "{other:?}");
    }
    item(&report, CODE).clone()
}

#[tokio::test]
async fn one_of_three_servers_is_down_and_one_copy_is_kept() {
    let mut cluster = NatsCluster::start().await.unwrap();
    let postgres = Postgres::start().await.unwrap();
    let three = Service::on_cluster(postgres, &cluster, Replicas::Three).await;
    three.sql("CREATE TABLE orders (id int PRIMARY KEY)").await;
    told(&three, Pass).await;
    let urls = cluster.monitor_urls();
    let silent = urls.split(',').nth(1).unwrap();
    cluster.kill(1).await.unwrap();
    let found = told(&three, Fail).await;
    assert!(found.saw.starts_with("2 of 3 NATS servers"), "{found:?}");
    assert!(found.repair.contains(silent), "{found:?}");
    // As the repair says.
    cluster.restart(1).await.unwrap();
    told(&three, Pass).await;

    let one = Service::on_cluster(three.end(), &cluster, Replicas::One).await;
    let found = told(&one, Alert).await;
    assert!(
        found.repair.contains("ROWCAST_NATS_REPLICAS = 3"),
        "{found:?}"
    );
    let three = Service::on_cluster(one.end(), &cluster, Replicas::Three).await;
    told(&three, Pass).await;
}
