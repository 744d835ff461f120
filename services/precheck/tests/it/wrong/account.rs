//! What the account may not do.

use rowcast_proto::message::CheckOutcome::{Fail, Skipped};

use super::World;

/// What makes it wrong, the check that tells it, and those that follow.
type Way = (
    &'static str,
    &'static str,
    &'static [(&'static str, rowcast_proto::message::CheckOutcome)],
);

const WAYS: [Way; 3] = [
    (
        "ALTER ROLE tracker NOREPLICATION",
        "privileges",
        &[("replication_login", Skipped)],
    ),
    (
        "REVOKE CREATE ON DATABASE postgres FROM tracker",
        "privileges",
        &[],
    ),
    (
        "CREATE ROLE \"Shop's owner\"; ALTER TABLE orders OWNER TO \"Shop's owner\"",
        "privileges",
        &[],
    ),
];

#[tokio::test]
async fn each_missing_right_is_granted_by_what_its_item_says() {
    let mut world = World::start(Some(16)).await;
    for (wrong, code, following) in WAYS {
        world.sql(wrong).await;
        let item = world.gives_with(code, Fail, following).await;
        world.repair(&item).await;
        world.is_right().await;
    }
}

#[tokio::test]
async fn a_publication_by_a_superuser_stands_in_for_ownership() {
    let mut world = World::start(None).await;
    world
        .sql("CREATE ROLE shop; ALTER TABLE orders OWNER TO shop")
        .await;
    let item = world.gives("privileges", Fail).await;
    world.repair_by(&item, 1).await;
    world.is_right().await;
}

#[tokio::test]
async fn a_managed_server_grants_replication_by_its_own_role() {
    let world = World::start(None).await;
    world
        .sql("CREATE ROLE rds_replication REPLICATION; ALTER ROLE tracker NOREPLICATION")
        .await;
    let following = [("replication_login", Skipped)];
    let item = world.gives_with("privileges", Fail, &following).await;
    assert_eq!(item.repair, "GRANT \"rds_replication\" TO \"tracker\";");
}
