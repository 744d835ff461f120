//! The way to the server: TLS, firewalls, addresses.

use rowcast_testkit::{Blackhole, eventually};

use super::{SOON, World};

#[tokio::test]
async fn a_server_that_lets_in_over_tls_only() {
    let mut world = World::start(None).await;
    world.service.postgres.switch_tls_on().await.unwrap();
    world
        .admit_only("hostssl all tracker 127.0.0.1/32 scram-sha-256")
        .await;
    let item = world.is_not_reached("tls_required", "login").await;
    world.repair_by(&item, 1).await;
    assert_eq!(world.source.sslmode, "require");
    world.is_right().await;
    // These find the way by themselves.
    for sslmode in ["allow", "prefer"] {
        world.source.sslmode = sslmode.to_owned();
        world.is_right().await;
    }
    world.source.sslmode = "disable".to_owned();
    world.sql("ALTER ROLE tracker PASSWORD 'another'").await;
    // Both are wrong, and TLS comes first.
    world.is_not_reached("tls_required", "login").await;
}

#[tokio::test]
async fn a_server_that_has_no_tls() {
    for choice in [0, 1] {
        let mut world = World::start(None).await;
        world.source.sslmode = "require".to_owned();
        let item = world.is_not_reached("tls", "tls").await;
        world.repair_by(&item, choice).await;
        assert_eq!(world.source.sslmode == "disable", choice == 1);
        world.is_right().await;
    }
}

#[tokio::test]
async fn a_server_that_lets_in_without_tls_only() {
    let mut world = World::start(None).await;
    world.service.postgres.switch_tls_on().await.unwrap();
    world
        .admit_only("hostnossl all tracker 127.0.0.1/32 scram-sha-256")
        .await;
    world.source.sslmode = "require".to_owned();
    let item = world.is_not_reached("login_forbidden", "login").await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_of_the_client() {
    let mut world = World::start(None).await;
    world.service.postgres.switch_tls_on().await.unwrap();
    world
        .each(&[
            "ALTER SYSTEM SET ssl_ca_file = 'server.crt'",
            "SELECT pg_reload_conf()",
        ])
        .await;
    world
        .admit_only("hostssl all tracker 127.0.0.1/32 cert")
        .await;
    world.source.sslmode = "require".to_owned();
    let item = world.is_not_reached("certificate_required", "login").await;
    assert!(item.repair.contains("sslcert and sslkey"), "{item:?}");
}

#[tokio::test]
async fn a_certificate_that_proves_nothing() {
    let mut world = World::start(None).await;
    world.service.postgres.switch_tls_on().await.unwrap();
    world.source.sslmode = "verify-full".to_owned();
    world.source.host = "localhost".to_owned();
    let item = world.is_not_reached("tls", "tls").await;
    assert!(item.cause.contains("this machine trusts"), "{item:?}");
    world.repair_by(&item, 1).await;
    world.is_right().await;

    let certificate = world.service.postgres.data_folder().join("server.crt");
    world.source.sslrootcert = std::fs::read_to_string(certificate).unwrap();
    world.source.sslmode = "verify-full".to_owned();
    world.is_right().await;
    world.source.host = "127.0.0.1".to_owned();
    let item = world.is_not_reached("tls", "tls").await;
    assert!(item.cause.contains("not for 127.0.0.1"), "{item:?}");
    world.repair_by(&item, 1).await;
    assert_eq!(world.source.sslmode, "verify-ca");
    world.is_right().await;
}

#[tokio::test]
async fn a_server_that_listens_elsewhere() {
    let mut world = World::start(None).await;
    world.source.host = "127.0.0.2".to_owned();
    let item = world.is_not_reached("refused", "tcp").await;
    world.repair(&item).await;
    world.is_right().await;
}

#[tokio::test]
async fn a_firewall_that_drops() {
    let mut world = World::start(None).await;
    let port = world.service.postgres.port();
    let firewall = Blackhole::dig().await.unwrap();
    let number = firewall.port();
    world.source.port = number.into();
    let (report, walk) = tokio::join!(world.report(), world.service.test(world.source.clone()));
    let item = &report.items[0];
    assert_eq!(item.saw, "timeout: connecting did not finish within 10s");
    let expected =
        format!("Let TCP connections from Rowcast to port {number} of 127.0.0.1 through");
    assert!(item.repair.starts_with(&expected), "{item:?}");
    let tcp = walk.steps.iter().find(|step| step.code == "tcp").unwrap();
    assert_eq!(tcp.saw, "timeout: tcp did not finish within 5s");
    assert_eq!(tcp.repair, item.repair);

    let _through = firewall.open(port).unwrap();
    eventually("the source is reached", SOON, async || {
        world.service.test(world.source.clone()).await.passed
    })
    .await;
    world.is_right().await;
}
