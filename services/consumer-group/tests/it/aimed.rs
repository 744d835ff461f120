//! What NATS answers goes where the asker says: it must not do there what a member may not.

use futures::StreamExt as _;
use rowcast_bus::async_nats::HeaderMap;
use rowcast_domain::TaskId;
use rowcast_proto::rpc::{DeleteGroup, Rpc as _};
use rowcast_proto::stream::TASKS;
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, QUIET, Service, change_subject, read};
use crate::permission::{Intruder, pull};

/// A change that is sent to where another group's members ask would be taken as a question.
#[tokio::test]
async fn an_answer_cannot_be_aimed_at_the_questions_of_another_group() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    // No change begins like this; whoever writes rows decides about what is further down.
    service
        .change(&task, r#"{"memberId":"00000000000000ff"}"#)
        .await?;
    let (member, victim) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let intruder = Intruder::connect(&member).await?;
    let asks = format!("rowcast.member.{}", victim.group.id);
    intruder
        .client
        .publish_with_reply(pull(&member), asks, "1".into())
        .await?;
    intruder.client.flush().await?;
    eventually("the member's own change is sent", LIMIT, async || {
        service.seen(&member.group).await.in_flight == 1
    })
    .await;
    tokio::time::sleep(QUIET).await;
    let members: i64 = sqlx::query_scalar("SELECT count(*) FROM consumer_group.members")
        .fetch_one(&service.pool)
        .await?;
    assert_eq!(members, 0);
    Ok(())
}

/// The server takes acks in two forms, of nine tokens and of eleven or more. A permission that one
/// form needs must not fit the other form's acks of another group: the body `+NXT` of an ack asks for
/// the next change of that consumer.
#[tokio::test]
async fn an_ack_in_the_other_form_does_not_reach_another_group() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "secret").await?;
    let (member, other) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let intruder = Intruder::connect(&member).await?;
    let mut stolen = intruder.client.subscribe(intruder.inbox.clone()).await?;
    let stream = member.connection.stream.as_str();
    let (own, others) = (&member.connection.consumer, &other.connection.consumer);
    for subject in [
        format!("$JS.ACK.{stream}.{others}.{stream}.{own}.1.1.1"),
        format!("$JS.ACK.{stream}.{own}.{stream}.{others}.1.1.1.1.0"),
        format!("$JS.ACK.{stream}.{own}.{stream}.{others}.1.1.1.1.0.x"),
    ] {
        intruder
            .client
            .publish_with_reply(subject, intruder.inbox.clone(), "+NXT".into())
            .await?;
    }
    intruder.client.flush().await?;
    // A subject that nobody listens to is answered with a status and no body.
    while let Ok(Some(answer)) = tokio::time::timeout(QUIET, stolen.next()).await {
        assert!(
            answer.payload.is_empty(),
            "the change of another group: {answer:?}"
        );
    }
    let seen = service.seen(&other.group).await;
    assert_eq!(
        (seen.acknowledged_sequence, seen.pending, seen.in_flight),
        (0, 1, 0)
    );
    Ok(())
}

#[tokio::test]
async fn a_pull_cannot_write_into_the_stream() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    let member = service.group(&task, "orders").await?;
    let intruder = Intruder::connect(&member).await?;
    // The reply subject is the member's to choose; inside the account of the data it would be stored.
    intruder
        .client
        .publish_with_reply(pull(&member), change_subject(&task), "1".into())
        .await?;
    // On the same connection: the server has taken the other pull before this one is served.
    read(&member.consumer(&intruder.client).await?, 1).await?;
    let info = service
        .capture
        .jetstream()
        .get_stream(&member.connection.stream)
        .await?;
    assert_eq!(info.cached_info().state.last_sequence, 1);
    Ok(())
}

/// The server answers an empty pull, and an ack, with a message without a body, which elsewhere is an
/// ack. Where the answer goes is the member's to choose.
#[tokio::test]
async fn an_answer_cannot_be_aimed_at_the_acks_of_another_group() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    let (member, victim) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let victims = victim.connect().await?;
    let unread = read(&victim.consumer(&victims).await?, 1).await?;
    let target = unread[0].reply.clone().unwrap();

    let mut intruder = Intruder::connect(&member).await?;
    let own = read(&member.consumer(&intruder.client).await?, 1).await?;
    let empty_pull = r#"{"batch":1,"no_wait":true}"#;
    for (subject, body) in [
        (own[0].reply.clone().unwrap().to_string(), ""),
        (pull(&member), empty_pull),
    ] {
        intruder
            .client
            .publish_with_reply(subject.clone(), target.clone(), body.into())
            .await?;
        intruder
            .refused(&format!("a reply to {target} from {subject}"))
            .await;
    }
    assert_eq!(service.seen(&victim.group).await.in_flight, 1);
    Ok(())
}

/// A change that is sent to the subject of another group's pulls would be taken as a pull.
#[tokio::test]
async fn an_answer_cannot_be_aimed_at_the_pulls_of_another_group() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, r#"{"op":"insert"}"#).await?;
    let (member, victim) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let intruder = Intruder::connect(&member).await?;
    for body in ["1", r#"{"batch":1,"no_wait":true}"#] {
        intruder
            .client
            .publish_with_reply(pull(&member), pull(&victim), body.into())
            .await?;
    }
    intruder.client.flush().await?;
    eventually("the member's own change is sent", LIMIT, async || {
        service.seen(&member.group).await.in_flight == 1
    })
    .await;
    let moved = tokio::time::timeout(QUIET, async {
        while service.seen(&victim.group).await.in_flight == 0 {}
    });
    assert!(moved.await.is_err(), "the other group's change was sent");
    Ok(())
}

/// What a pull answers, and the trace of a message, go where the member says. Nothing of it may reach
/// an account in which a subject is a command.
#[tokio::test]
async fn an_answer_or_a_trace_cannot_be_aimed_at_a_command() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    let (member, victim) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let stream = member.connection.stream.as_str();
    let others = victim.connection.consumer.as_str();
    let targets = [
        format!("$JS.API.STREAM.PURGE.{stream}"),
        format!("$JS.API.STREAM.DELETE.{stream}"),
        format!("$JS.API.CONSUMER.DELETE.{stream}.{others}"),
        format!("$KV.{}.{task}", TASKS.name),
        DeleteGroup::SUBJECT.to_owned(),
        change_subject(&task),
    ];
    let mut heard = Vec::new();
    for user in ["capture-data", "task-api"] {
        let client = service.nats.client(user).await?;
        for target in &targets {
            heard.push(client.subscribe(target.clone()).await?);
        }
        client.flush().await?;
    }

    let intruder = Intruder::connect(&member).await?;
    let mut own = intruder.client.subscribe(intruder.inbox.clone()).await?;
    for target in &targets {
        let mut traced = HeaderMap::new();
        traced.insert("Nats-Trace-Dest", target.as_str());
        for (reply, headers) in [(target, HeaderMap::new()), (&intruder.inbox, traced)] {
            let body = r#"{"batch":1,"no_wait":true}"#;
            intruder
                .client
                .publish_with_reply_and_headers(pull(&member), reply.clone(), headers, body.into())
                .await?;
        }
    }
    // A pull without a trace is served, after all of those above.
    intruder
        .client
        .publish_with_reply(
            pull(&member),
            intruder.inbox.clone(),
            r#"{"no_wait":true}"#.into(),
        )
        .await?;
    let served = tokio::time::timeout(LIMIT, own.next()).await?;
    assert!(served.is_some(), "no pull is answered");
    intruder.client.flush().await?;
    let mut heard = futures::stream::select_all(heard);
    let message = tokio::time::timeout(QUIET, heard.next()).await;
    assert!(message.is_err(), "came through: {message:?}");
    let mut stored = service.capture.jetstream().get_stream(stream).await?;
    assert_eq!(stored.info().await?.state.messages, 1);
    assert!(service.consumer_exists(&victim.connection).await);
    let seen = service.seen(&victim.group).await;
    assert_eq!((seen.pending, seen.in_flight), (1, 0));
    Ok(())
}

/// Where the answer to a pull goes is the member's to choose, also into the inboxes of another group: of those it reaches only
/// what it knows by name, and a client makes each of its inboxes' names of 128 random bits.
#[tokio::test]
async fn an_answer_reaches_an_inbox_of_another_group_only_by_its_name() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let (member, victim) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let victims = victim.connect().await?;
    let inbox = victims.new_inbox();
    let mut heard = victims.subscribe(inbox.clone()).await?;
    victims.flush().await?;

    let intruder = Intruder::connect(&member).await?;
    let prefix = &victim.connection.inbox_prefix;
    let empty_pull = r#"{"batch":1,"no_wait":true}"#;
    for guess in ["x", "*", ">", "*.>"] {
        let target = format!("{prefix}.{guess}");
        intruder
            .client
            .publish_with_reply(pull(&member), target, empty_pull.into())
            .await?;
    }
    intruder.client.flush().await?;
    let reached = tokio::time::timeout(QUIET, heard.next()).await;
    assert!(reached.is_err(), "reached by a guess: {reached:?}");

    intruder
        .client
        .publish_with_reply(pull(&member), inbox, empty_pull.into())
        .await?;
    let reached = tokio::time::timeout(LIMIT, heard.next()).await?;
    // That there is no change: it tells nothing of another group, and a client that did not ask drops it.
    assert!(reached.is_some_and(|answer| answer.payload.is_empty()));
    Ok(())
}
