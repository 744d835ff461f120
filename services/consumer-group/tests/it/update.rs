//! A group with another name, or another password.

use rowcast_bus::async_nats::ConnectOptions;
use rowcast_bus::async_nats::connection::State;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::{DeleteGroup, UpdateGroup};
use rowcast_testkit::eventually;

use crate::fixture::{CUT, LIMIT, Member, PASSWORD, Service, bodies, connects, named, read};

const OTHER: &str = "Another-horse-9";

pub(crate) fn update(group: &m::Group) -> m::UpdateGroupRequest {
    m::UpdateGroupRequest {
        task_id: group.task_id.clone(),
        group_id: group.id.clone(),
        actor: "user:test".to_owned(),
        ..m::UpdateGroupRequest::default()
    }
}

fn by_password(member: &Member, password: &str) -> ConnectOptions {
    let login = member.connection.login.clone();
    ConnectOptions::with_user_and_password(login, password.to_owned())
        .custom_inbox_prefix(member.connection.inbox_prefix.clone())
}

async fn lets_in(member: &Member, password: &str) -> bool {
    let options = by_password(member, password);
    options.connect(&member.connection.urls).await.is_ok()
}

#[tokio::test]
async fn another_password_closes_the_connections_and_keeps_the_position() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    for body in ["1", "2"] {
        service.change(&task, body).await?;
    }
    let other = service.group(&task, "others").await?;
    let others = other.connect().await?;
    let client = member.connect().await?;
    let changes = read(&member.consumer(&client).await?, 1).await?;
    changes[0]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;

    let wish = m::UpdateGroupRequest {
        password: Some(service.seal(&task, OTHER)),
        ..update(&member.group)
    };
    let changed = service.ask::<UpdateGroup>(&wish).await?;
    assert_eq!(changed.acknowledged_sequence, 1);
    // The client comes back with the old password, again and again, and is not let in.
    eventually("the connection is closed", CUT, async || {
        client.connection_state() != State::Connected
    })
    .await;
    assert!(!lets_in(&member, PASSWORD).await);
    assert!(lets_in(&member, OTHER).await);

    let again = by_password(&member, OTHER)
        .connect(&member.connection.urls)
        .await?;
    let changes = read(&member.consumer(&again).await?, 1).await?;
    assert_eq!(bodies(&changes), ["2"]);
    eventually("nothing is left to close", LIMIT, async || {
        let due = "SELECT count(*) FROM consumer_group.groups WHERE kick_due_at IS NOT NULL";
        let due: Result<i64, _> = sqlx::query_scalar(due).fetch_one(&service.pool).await;
        matches!(due, Ok(0))
    })
    .await;
    assert_eq!(connects(&others), 1, "another group was cut off");
    Ok(())
}

/// It may have been judged by the password before, and let in behind the first closing.
#[tokio::test]
async fn what_logs_in_while_the_password_is_changed_is_closed_in_time() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let wish = m::UpdateGroupRequest {
        password: Some(service.seal(&task, OTHER)),
        ..update(&member.group)
    };
    service.ask::<UpdateGroup>(&wish).await?;
    let client = by_password(&member, OTHER)
        .connect(&member.connection.urls)
        .await?;
    eventually("it is closed, and comes back", CUT, async || {
        connects(&client) == 2
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn the_reconciler_closes_what_logged_in_meanwhile() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let client = member.connect().await?;
    let before = connects(&client);
    // As if the login had been judged in the moment of the change.
    sqlx::query("UPDATE consumer_group.groups SET kick_due_at = now() WHERE id = $1")
        .bind(&member.group.id)
        .execute(&service.pool)
        .await?;
    eventually("it is closed, and comes back once", CUT, async || {
        connects(&client) == before + 1
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(connects(&client), before + 1);
    Ok(())
}

#[tokio::test]
async fn a_policy_is_given_to_no_group_that_reads_its_tasks_stream() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let given = |script: &str| m::UpdateGroupRequest {
        etl: Some(m::EtlPolicy {
            script: script.to_owned(),
            on_error: m::RowErrorAction::Stop.into(),
        }),
        ..update(&member.group)
    };
    let malformed = service.refusal::<UpdateGroup>(&given("e_drp()")).await;
    assert_eq!(malformed.field, "etl.script");
    let refused = service
        .refusal::<UpdateGroup>(&given("e_keep(`paid`)"))
        .await;
    assert_eq!(
        (refused.code.as_str(), refused.field.as_str()),
        ("group_reads_task_stream", "etl")
    );
    assert!(
        refused.repair.contains("another group"),
        "{}",
        refused.repair
    );
    // It has none.
    let same = service.ask::<UpdateGroup>(&given("")).await?;
    assert_eq!(same.etl, None);
    Ok(())
}

#[tokio::test]
async fn another_name_closes_nothing_and_must_be_free() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    let _other = service.group(&task, "others").await?;
    let client = member.connect().await?;
    let renamed = |name: &str| m::UpdateGroupRequest {
        name: name.to_owned(),
        ..update(&member.group)
    };
    let changed = service.ask::<UpdateGroup>(&renamed("sales")).await?;
    assert_eq!(changed.name, "sales");
    let taken = service.refusal::<UpdateGroup>(&renamed("others")).await;
    assert_eq!(taken.code, "group_name_taken");
    let malformed = service.refusal::<UpdateGroup>(&renamed(" a")).await;
    assert_eq!(malformed.field, "name");
    let weak = m::UpdateGroupRequest {
        password: Some(service.seal(&task, "short")),
        ..update(&member.group)
    };
    assert_eq!(
        service.refusal::<UpdateGroup>(&weak).await.field,
        "password"
    );
    client.flush().await?;
    assert!(lets_in(&member, PASSWORD).await);

    service.ask::<DeleteGroup>(&named(&member.group)).await?;
    let gone = service.refusal::<UpdateGroup>(&renamed("again")).await;
    assert_eq!(gone.code, "group_not_found");
    Ok(())
}
