//! Groups are made once, within limits, and told of.

use rowcast_bus::event_meta;
use rowcast_bus::publish;
use rowcast_domain::{TaskId, TaskState};
use rowcast_proto::event::Event as _;
use rowcast_proto::message as m;
use rowcast_proto::message::ErrorKind;
use rowcast_proto::rpc::{CreateGroup, DeleteGroup, GetGroup, GetGroupConnection, ListGroups};
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Service, named};

#[tokio::test]
async fn a_group_is_made_listed_and_told_of() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let group = service
        .ask::<CreateGroup>(&service.wish(&task, "orders"))
        .await?;
    assert_eq!(group.task_id, task.as_str());
    assert_eq!(group.account, "reader");

    let question = m::ListGroupsRequest {
        task_id: task.to_string(),
    };
    let list = service.ask::<ListGroups>(&question).await?;
    let seen = service.ask::<GetGroup>(&named(&group)).await?;
    assert_eq!(list.groups, std::slice::from_ref(&seen));
    assert_eq!(
        (seen.id.clone(), seen.name),
        (group.id.clone(), "orders".to_owned())
    );

    let connection = service.ask::<GetGroupConnection>(&named(&group)).await?;
    assert_eq!(connection.urls, [service.nats.url()]);
    assert_eq!(connection.login, format!("reader-{}", group.id));
    assert_eq!(connection.stream, format!("RC_{task}"));
    assert_eq!(connection.consumer, format!("g_{}", group.id));
    assert_eq!(connection.inbox_prefix, format!("_INBOX_{}", group.id));

    let facts = service.facts::<m::GroupCreated>().await?;
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].group.as_ref().unwrap().id, group.id);

    let hash: String = sqlx::query_scalar("SELECT password_hash FROM consumer_group.groups")
        .fetch_one(&service.pool)
        .await?;
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    Ok(())
}

#[tokio::test]
async fn the_same_request_key_makes_one_group() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let wish = m::CreateGroupRequest {
        request_key: "key 1".to_owned(),
        ..service.wish(&task, "orders")
    };
    let (first, second) = tokio::join!(
        service.ask::<CreateGroup>(&wish),
        service.ask::<CreateGroup>(&wish),
    );
    let first = first?;
    assert_eq!(first.id, second?.id);
    assert_eq!(service.facts::<m::GroupCreated>().await?.len(), 1);

    let another = m::CreateGroupRequest {
        password: Some(service.seal(&task, "another1")),
        ..wish.clone()
    };
    let refusal = service.refusal::<CreateGroup>(&another).await;
    assert_eq!(refusal.code, "request_key_used");

    service.ask::<DeleteGroup>(&named(&first)).await?;
    let refusal = service.refusal::<CreateGroup>(&wish).await;
    assert_eq!(refusal.code, "request_key_used");
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_wish_is_named() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let good = service.wish(&task, "orders");
    let of = |change: fn(&mut m::CreateGroupRequest)| {
        let mut wish = good.clone();
        change(&mut wish);
        wish
    };
    let cases = [
        (of(|wish| wish.task_id = "x".to_owned()), "task_id"),
        (of(|wish| wish.name = String::new()), "name"),
        (of(|wish| wish.account = "Reader".to_owned()), "account"),
        (of(|wish| wish.account = "a.b".to_owned()), "account"),
        (of(|wish| wish.password = None), "password"),
    ];
    for (wish, field) in cases {
        let refusal = service.refusal::<CreateGroup>(&wish).await;
        assert_eq!(
            (refusal.kind(), refusal.field.as_str()),
            (ErrorKind::Invalid, field)
        );
        assert!(!refusal.repair.is_empty());
    }
    for password in ["short1", "onlyletters"] {
        let wish = m::CreateGroupRequest {
            password: Some(service.seal(&task, password)),
            ..good.clone()
        };
        let refusal = service.refusal::<CreateGroup>(&wish).await;
        assert_eq!(refusal.code, "password_weak");
    }
    assert_eq!(service.facts::<m::GroupCreated>().await?.len(), 0);
    Ok(())
}

#[tokio::test]
async fn names_are_unique_and_the_number_is_limited_in_a_task() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let first = service
        .ask::<CreateGroup>(&service.wish(&task, "1"))
        .await?;
    let refusal = service
        .refusal::<CreateGroup>(&service.wish(&task, "1"))
        .await;
    assert_eq!(refusal.code, "group_name_taken");
    let elsewhere = service.wish(&TaskId::random(), "1");
    service.ask::<CreateGroup>(&elsewhere).await?;

    for name in ["2", "3"] {
        service
            .ask::<CreateGroup>(&service.wish(&task, name))
            .await?;
    }
    let refusal = service
        .refusal::<CreateGroup>(&service.wish(&task, "4"))
        .await;
    assert_eq!(refusal.code, "too_many_groups");

    service.ask::<DeleteGroup>(&named(&first)).await?;
    service
        .ask::<CreateGroup>(&service.wish(&task, "1"))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_group_is_found_in_its_own_task_only() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let group = service
        .ask::<CreateGroup>(&service.wish(&TaskId::random(), "orders"))
        .await?;
    let elsewhere = m::GroupRequest {
        task_id: TaskId::random().to_string(),
        ..named(&group)
    };
    assert_eq!(
        service.refusal::<GetGroup>(&elsewhere).await.code,
        "group_not_found"
    );
    assert_eq!(
        service.refusal::<DeleteGroup>(&elsewhere).await.code,
        "group_not_found"
    );
    assert!(service.ask::<GetGroup>(&named(&group)).await.is_ok());
    Ok(())
}

#[tokio::test]
async fn the_consumer_is_made_when_the_stream_comes_and_comes_back() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let group = service
        .ask::<CreateGroup>(&service.wish(&task, "orders"))
        .await?;
    let connection = service.ask::<GetGroupConnection>(&named(&group)).await?;
    assert!(!service.consumer_exists(&connection).await);

    service.make_stream(&task).await?;
    eventually("the consumer is made", LIMIT, async || {
        service.consumer_exists(&connection).await
    })
    .await;

    service
        .capture
        .jetstream()
        .delete_stream(&connection.stream)
        .await?;
    service.make_stream(&task).await?;
    eventually("the consumer is made again", LIMIT, async || {
        service.consumer_exists(&connection).await
    })
    .await;
    Ok(())
}

/// Tells that a task is released.
async fn is_released(service: &Service, task: &TaskId) -> anyhow::Result<()> {
    let event = m::TaskStateChanged {
        meta: Some(event_meta()),
        task_id: task.to_string(),
        to: TaskState::Released.to_string(),
        ..m::TaskStateChanged::default()
    };
    let id = event.meta().unwrap().id.clone();
    let subject = m::TaskStateChanged::SUBJECT.to_owned();
    let payload = serde_json::to_vec(&event)?.into();
    let trace = m::TraceContext::default();
    publish::event(&service.bus, subject, &id, payload, &trace)
        .await
        .map_err(|error| anyhow::anyhow!(error))
}

#[tokio::test]
async fn no_group_is_made_of_a_task_that_is_known_to_be_released() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    is_released(&service, &task).await?;
    eventually("the fact is taken", LIMIT, async || {
        let query = "SELECT count(*) FROM consumer_group.released_tasks WHERE task_id = $1";
        let known: Result<i64, _> = sqlx::query_scalar(query)
            .bind(task.as_str())
            .fetch_one(&service.pool)
            .await;
        matches!(known, Ok(1))
    })
    .await;
    let refusal = service
        .refusal::<CreateGroup>(&service.wish(&task, "orders"))
        .await;
    assert_eq!(refusal.kind(), ErrorKind::Conflict);
    assert_eq!(
        (refusal.code.as_str(), refusal.field.as_str()),
        ("task_released", "task_id")
    );
    assert!(!refusal.repair.is_empty());
    let other = service.wish(&TaskId::random(), "orders");
    service.ask::<CreateGroup>(&other).await?;
    let made = service.facts::<m::GroupCreated>().await?;
    assert_eq!(made.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_released_task_takes_its_groups_with_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let group = service
        .ask::<CreateGroup>(&service.wish(&task, "orders"))
        .await?;
    let other = service
        .ask::<CreateGroup>(&service.wish(&TaskId::random(), "orders"))
        .await?;

    is_released(&service, &task).await?;
    eventually("the group is deleted", LIMIT, async || {
        service.ask::<GetGroup>(&named(&group)).await.is_err()
    })
    .await;
    assert!(service.ask::<GetGroup>(&named(&other)).await.is_ok());
    let facts = service.facts::<m::GroupDeleted>().await?;
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[0].group_id, group.id);
    Ok(())
}

#[tokio::test]
async fn a_task_has_at_most_twenty_groups_where_nothing_else_is_set() -> anyhow::Result<()> {
    let service = Service::start_with(&[]).await?;
    let task = TaskId::random();
    for number in 1..=20 {
        let wish = service.wish(&task, &format!("group {number}"));
        service.ask::<CreateGroup>(&wish).await?;
    }
    let refusal = service
        .refusal::<CreateGroup>(&service.wish(&task, "one more"))
        .await;
    assert_eq!(refusal.code, "too_many_groups");
    assert!(format!("{refusal:?}").contains("at most 20"), "{refusal:?}");
    // Another task has its own.
    let wish = service.wish(&TaskId::random(), "orders");
    service.ask::<CreateGroup>(&wish).await?;
    Ok(())
}
