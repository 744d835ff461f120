//! How far the way to a source leads, step by step.

use std::net::TcpListener;
use std::time::Duration;

use rowcast_proto::message::{CheckOutcome, CheckResult, SourceConnection, SourceTest};
use tokio::time::Instant;

use crate::service::Service;

const STEPS: [&str; 7] = [
    "name",
    "tcp",
    "tls",
    "login",
    "replication_login",
    "version",
    "databases",
];

/// The only step that failed; those behind it that need it are skipped.
#[track_caller]
fn failed<'a>(test: &'a SourceTest, code: &str) -> &'a CheckResult {
    let codes: Vec<_> = test.steps.iter().map(|step| step.code.as_str()).collect();
    assert_eq!(codes, STEPS);
    assert!(!test.passed);
    let failed: Vec<_> = test
        .steps
        .iter()
        .filter(|step| step.outcome() == CheckOutcome::Fail)
        .collect();
    assert_eq!(failed.len(), 1, "{test:?}");
    assert_eq!(failed[0].code, code, "{test:?}");
    assert!(
        !failed[0].cause.is_empty() && !failed[0].repair.is_empty(),
        "{test:?}"
    );
    failed[0]
}

#[track_caller]
fn outcome(test: &SourceTest, code: &str) -> CheckOutcome {
    let step = test.steps.iter().find(|step| step.code == code).unwrap();
    step.outcome()
}

#[tokio::test]
async fn a_good_source_is_walked_to_its_end() {
    let service = Service::start().await;
    service.sql("CREATE DATABASE shop").await;
    let test = service.test(service.superuser()).await;
    assert!(test.passed, "{test:?}");
    for code in STEPS {
        let expected = if code == "tls" {
            CheckOutcome::Skipped
        } else {
            CheckOutcome::Pass
        };
        assert_eq!(outcome(&test, code), expected, "{code}: {test:?}");
    }
    let databases = ["postgres", "rowcast", "shop"].map(str::to_owned);
    assert!(
        databases[2..]
            .iter()
            .all(|name| test.databases.contains(name)),
        "{test:?}"
    );
    let client = service.postgres.client("postgres").await.unwrap();
    let row = client.query_one("SHOW server_version", &[]).await.unwrap();
    let version: String = row.get(0);
    assert!(
        version.starts_with(&test.server_version) && !test.server_version.is_empty(),
        "{version} {test:?}"
    );
    assert!(test.started_at.is_some() && test.finished_at.is_some());
}

#[tokio::test]
async fn the_step_that_fails_is_named_with_its_cause() {
    let service = Service::start().await;
    let good = service.superuser();
    let test = service.test(service.login("postgres", "wrong")).await;
    assert!(failed(&test, "login").saw.starts_with("password_wrong: "));
    assert_eq!(outcome(&test, "tcp"), CheckOutcome::Pass);
    assert_eq!(outcome(&test, "databases"), CheckOutcome::Skipped);

    service.sql("CREATE DATABASE shop").await;
    let elsewhere = SourceConnection {
        database: "nowhere".to_owned(),
        ..good.clone()
    };
    let test = service.test(elsewhere).await;
    let login = failed(&test, "login");
    assert!(login.saw.starts_with("database_missing: "), "{login:?}");
    assert!(login.repair.contains("shop"), "{login:?}");

    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = SourceConnection {
        port: free.local_addr().unwrap().port().into(),
        ..good.clone()
    };
    drop(free);
    let test = service.test(closed).await;
    let tcp = failed(&test, "tcp");
    assert!(tcp.saw.starts_with("refused: "), "{tcp:?}");
    assert!(tcp.repair.contains("listen_addresses"), "{tcp:?}");

    let unnamed = SourceConnection {
        host: "nowhere.invalid".to_owned(),
        ..good.clone()
    };
    let test = service.test(unnamed).await;
    assert!(failed(&test, "name").saw.starts_with("host_not_found: "));

    let encrypted = SourceConnection {
        sslmode: "require".to_owned(),
        ..good
    };
    let test = service.test(encrypted).await;
    assert!(failed(&test, "tls").saw.starts_with("tls: "));
}

#[tokio::test]
async fn a_role_that_may_not_stream_is_told_what_it_lacks() {
    let service = Service::start().await;
    service
        .sql("CREATE ROLE \"Ada\" LOGIN PASSWORD 'lovelace'")
        .await;
    let ada = service.login("Ada", "lovelace");
    let test = service.test(ada.clone()).await;
    let step = failed(&test, "replication_login");
    assert!(step.saw.starts_with("replication_forbidden: "), "{step:?}");
    assert_eq!(outcome(&test, "databases"), CheckOutcome::Pass);
    // What it is told to run is what helps.
    service.sql(&step.repair).await;
    let test = service.test(ada).await;
    assert!(test.passed, "{test:?}");
}

#[tokio::test]
async fn the_line_that_pg_hba_conf_lacks_is_the_one_that_helps() {
    let service = Service::start().await;
    service
        .sql("CREATE ROLE ada LOGIN REPLICATION PASSWORD 'lovelace'")
        .await;
    let file = service.postgres.data_folder().join("pg_hba.conf");
    std::fs::write(&file, "host all postgres 127.0.0.1/32 scram-sha-256\n").unwrap();
    service.sql("SELECT pg_reload_conf()").await;
    let mut ada = service.login("ada", "lovelace");
    let test = service.test(ada.clone()).await;
    let login = failed(&test, "login");
    assert!(login.saw.starts_with("login_forbidden: "), "{login:?}");
    let line = "host postgres ada 127.0.0.1/32 scram-sha-256";
    assert!(login.repair.contains(line), "{login:?}");

    let both = format!("host all postgres 127.0.0.1/32 scram-sha-256\n{line}\n");
    std::fs::write(&file, both).unwrap();
    service.sql("SELECT pg_reload_conf()").await;
    // The server reads the file a moment later.
    let mut passed = false;
    for _ in 0..50 {
        passed = service.test(ada.clone()).await.passed;
        if passed {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(passed);
    ada.database = "rowcast".to_owned();
    failed(&service.test(ada).await, "login");
}

#[tokio::test]
async fn a_role_that_may_not_log_in_is_told_so() {
    let service = Service::start().await;
    service
        .sql("CREATE ROLE ada REPLICATION PASSWORD 'lovelace'")
        .await;
    let test = service.test(service.login("ada", "lovelace")).await;
    let login = failed(&test, "login");
    assert!(
        login.repair.starts_with("ALTER ROLE \"ada\" LOGIN;"),
        "{login:?}"
    );
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_costs_one_limit() {
    let service = Service::start().await;
    // The kernel takes the connections; nobody reads.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let source = SourceConnection {
        port: silent.local_addr().unwrap().port().into(),
        ..service.superuser()
    };
    for (sslmode, step) in [("disable", "login"), ("require", "tls")] {
        let begun = Instant::now();
        let test = service
            .test(SourceConnection {
                sslmode: sslmode.to_owned(),
                ..source.clone()
            })
            .await;
        let took = begun.elapsed();
        let step = failed(&test, step);
        assert!(step.saw.starts_with("timeout: "), "{step:?}");
        assert!(step.duration_ms >= 4_000, "{step:?}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}

#[tokio::test]
async fn of_several_hosts_the_way_to_the_primary_is_walked() {
    let mut service = Service::start().await;
    let standby = Box::pin(service.postgres.standby(false)).await.unwrap();
    let primary = service.postgres.port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap().port();
    drop(closed);
    let cluster = |ports: &[u16]| {
        let hosts: Vec<_> = ports
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        SourceConnection {
            host: hosts.join(","),
            ..service.superuser()
        }
    };
    let all = cluster(&[standby.port(), primary]);
    let with_another = cluster(&[nobody, primary]);
    let test = service.test(all.clone()).await;
    assert!(test.passed, "{test:?}");
    let hosts = &test.steps[0];
    let saw = format!(
        "127.0.0.1:{} is a standby; 127.0.0.1:{primary} takes writes",
        standby.port()
    );
    assert_eq!(
        (hosts.code.as_str(), hosts.saw.as_str()),
        ("hosts", saw.as_str())
    );
    assert!(
        service
            .report(all.clone(), &[])
            .await
            .items
            .iter()
            .any(|item| {
                item.code == "connectivity" && item.saw.contains(&format!(":{primary} as"))
            })
    );

    let test = service.test(with_another).await;
    assert!(test.passed, "{test:?}");
    assert_eq!(test.steps[0].outcome(), CheckOutcome::Alert, "{test:?}");
    assert!(test.steps[0].cause.contains("After a failover"), "{test:?}");

    service.postgres.stop().await.unwrap();
    let test = service.test(all).await;
    assert_eq!(test.steps[0].outcome(), CheckOutcome::Fail, "{test:?}");
    assert!(test.steps[0].saw.starts_with("no_primary: "), "{test:?}");
    assert_eq!(outcome(&test, "login"), CheckOutcome::Skipped);
}
