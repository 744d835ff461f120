//! Logins that the server refuses.

use super::World;

/// What makes it wrong, what it is called.
const WAYS: [(&str, &str); 6] = [
    ("ALTER ROLE tracker PASSWORD 'another'", "password_wrong"),
    ("ALTER ROLE tracker NOLOGIN", "login_forbidden"),
    (
        "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
        "connect_forbidden",
    ),
    (
        "ALTER ROLE tracker CONNECTION LIMIT 0",
        "too_many_connections",
    ),
    (
        "ALTER DATABASE postgres CONNECTION LIMIT 0",
        "too_many_connections",
    ),
    ("ALTER ROLE tracker PASSWORD NULL", "password_wrong"),
];

#[tokio::test]
async fn each_refusal_ends_with_what_its_item_says() {
    let mut world = World::start(None).await;
    for (wrong, name) in WAYS {
        world.sql(wrong).await;
        let item = world.is_not_reached(name, "login").await;
        let choice = usize::from(name == "password_wrong");
        world.repair_by(&item, choice).await;
        world.is_right().await;
    }
}

#[tokio::test]
async fn a_line_that_pg_hba_conf_lacks() {
    let mut world = World::start(None).await;
    for lines in [
        "",
        "host all tracker 127.0.0.1/32 reject",
        "host all tracker 127.0.0.1/32 ident",
    ] {
        world.admit_only(lines).await;
        let item = world.is_not_reached("login_forbidden", "login").await;
        world.repair(&item).await;
        world.is_right().await;
    }
}

#[tokio::test]
async fn a_database_that_is_missing() {
    let mut world = World::start(None).await;
    world.source.database = "Shop".to_owned();
    let item = world.is_not_reached("database_missing", "login").await;
    world.repair_by(&item, 1).await;
    assert!(world.service.test(world.source.clone()).await.passed);
}
