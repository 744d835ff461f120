//! Members log in with account and password of their group, and read.

use rowcast_bus::async_nats::ConnectOptions;
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::rpc::DeleteGroup;
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, PASSWORD, Service, bodies, named, read};

#[tokio::test]
async fn a_member_reads_acknowledges_and_goes_on_where_the_group_stood() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    for body in ["1", "2", "3", "4", "5"] {
        service.change(&task, body).await?;
    }

    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    let changes = read(&consumer, 3).await?;
    assert_eq!(bodies(&changes), ["1", "2", "3"]);
    let seen = service.seen(&member.group).await;
    assert_eq!(
        (seen.acknowledged_sequence, seen.pending, seen.in_flight),
        (0, 2, 3)
    );

    // One acknowledgement stands for all before it.
    changes[2]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let seen = service.seen(&member.group).await;
    assert_eq!(
        (seen.acknowledged_sequence, seen.pending, seen.in_flight),
        (3, 2, 0)
    );

    let again = member.connect().await?;
    let changes = read(&member.consumer(&again).await?, 2).await?;
    assert_eq!(bodies(&changes), ["4", "5"]);
    changes[1]
        .ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    eventually("the group has read everything", LIMIT, async || {
        let seen = service.seen(&member.group).await;
        (seen.acknowledged_sequence, seen.pending, seen.in_flight) == (5, 0, 0)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_group_made_before_its_stream_reads_from_the_first_change() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let wish = service.wish(&task, "orders");
    let group = service
        .ask::<rowcast_proto::rpc::CreateGroup>(&wish)
        .await?;
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    let connection = service
        .ask::<rowcast_proto::rpc::GetGroupConnection>(&named(&group))
        .await?;
    let member = crate::fixture::Member { group, connection };
    eventually("the consumer is there", LIMIT, async || {
        service.consumer_exists(&member.connection).await
    })
    .await;
    let client = member.connect().await?;
    let changes = read(&member.consumer(&client).await?, 1).await?;
    assert_eq!(bodies(&changes), ["1"]);
    Ok(())
}

#[tokio::test]
async fn only_the_right_login_and_password_are_let_in() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let other = service.group(&task, "others").await?;
    let login = member.connection.login.as_str();
    assert!(service.lets_in(login, PASSWORD).await);

    assert!(!service.lets_in(login, "hunter2B").await);
    assert!(!service.lets_in(login, "").await);
    let id = &member.group.id;
    assert!(!service.lets_in(&format!("writer-{id}"), PASSWORD).await);
    assert!(
        !service
            .lets_in(&format!("reader-{}", GroupId::random()), PASSWORD)
            .await
    );
    for login in ["", "reader", id.as_str(), "reader-", "*", "reader-*"] {
        assert!(!service.lets_in(login, PASSWORD).await, "{login:?}");
    }
    let nobody = ConnectOptions::new().connect(service.nats.url()).await;
    assert!(nobody.is_err());

    service.ask::<DeleteGroup>(&named(&member.group)).await?;
    assert!(!service.lets_in(login, PASSWORD).await);
    assert!(service.lets_in(&other.connection.login, PASSWORD).await);
    Ok(())
}

#[tokio::test]
async fn the_services_of_rowcast_log_in_without_the_callout() -> anyhow::Result<()> {
    let service = Service::start().await?;
    for user in ["billing", "capture-data", "sys"] {
        assert!(service.lets_in(user, service.nats.password(user)).await);
        assert!(!service.lets_in(user, PASSWORD).await);
    }
    Ok(())
}
