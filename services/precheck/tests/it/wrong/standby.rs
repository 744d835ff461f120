//! A server that follows another one.

use rowcast_proto::message::CheckOutcome::{Alert, Fail};

use super::World;

#[tokio::test]
async fn a_standby_names_its_primary_or_becomes_one() {
    let mut world = World::start(None).await;
    let standby = Box::pin(world.service.postgres.standby(false))
        .await
        .unwrap();
    let primary = world.source.port;
    world.source.port = standby.port().into();
    let item = world.gives("primary", Fail).await;
    assert!(
        item.repair.contains(&format!("port = {primary}")),
        "{item:?}"
    );
    world.repair(&item).await;
    assert_eq!(world.source.port, primary);
    // The primary has a slot for the standby, which a failover would leave without the task's.
    world.gives("slot_failover", Alert).await;

    // The other choice is for the standby itself.
    let statement = item.repair.lines().last().unwrap();
    let sql = standby.client("postgres").await.unwrap();
    sql.batch_execute(statement).await.unwrap();
    world.source.port = standby.port().into();
    world.is_right().await;
}
