//! A member reaches its own consumer and nothing else.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::{Client, Event};
use rowcast_domain::TaskId;
use rowcast_testkit::eventually;
use tokio::sync::mpsc;

use crate::fixture::{LIMIT, Member, QUIET, Service, change_subject, read};

/// A member with the errors that the server tells it.
struct Intruder {
    client: Client,
    inbox: String,
    errors: mpsc::Receiver<String>,
}

impl Intruder {
    async fn connect(member: &Member) -> anyhow::Result<Self> {
        let (sender, errors) = mpsc::channel(64);
        let client = member
            .options()
            .event_callback(move |event| {
                let sender = sender.clone();
                async move {
                    if let Event::ServerError(error) = event {
                        sender.send(error.to_string()).await.unwrap_or_default();
                    }
                }
            })
            .connect(&member.connection.urls)
            .await?;
        Ok(Self {
            client,
            inbox: format!("{}.intruder", member.connection.inbox_prefix),
            errors,
        })
    }

    async fn refused(&mut self, what: &str) {
        let error = tokio::time::timeout(LIMIT, self.errors.recv()).await;
        let error = error
            .unwrap_or_else(|_elapsed| panic!("{what} is not refused"))
            .unwrap();
        assert!(
            error.to_lowercase().contains("permissions violation"),
            "{what}: {error}"
        );
    }

    async fn may_not_publish(&mut self, subject: &str, body: &str) {
        self.client
            .publish_with_reply(
                subject.to_owned(),
                self.inbox.clone(),
                body.to_owned().into(),
            )
            .await
            .unwrap();
        self.refused(&format!("publishing to {subject}")).await;
    }

    async fn may_not_subscribe(&mut self, subject: &str) {
        let _subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.refused(&format!("subscribing to {subject}")).await;
    }
}

/// Where a member asks for changes.
fn pull(member: &Member) -> String {
    format!(
        "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
        member.connection.stream, member.connection.consumer
    )
}

#[tokio::test]
async fn a_member_may_not_leave_its_consumer() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    let (member, other) = (
        service.group(&task, "orders").await?,
        service.group(&task, "others").await?,
    );
    let mut intruder = Intruder::connect(&member).await?;
    let stream = member.connection.stream.as_str();
    let (own, others) = (
        member.connection.consumer.as_str(),
        other.connection.consumer.as_str(),
    );

    for subject in [
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{others}"),
        format!("$JS.API.CONSUMER.INFO.{stream}.{others}"),
        format!("$JS.API.CONSUMER.DELETE.{stream}.{own}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}.{own}"),
        format!("$JS.API.CONSUMER.NAMES.{stream}"),
        format!("$JS.API.STREAM.INFO.{stream}"),
        format!("$JS.API.STREAM.DELETE.{stream}"),
        format!("$JS.API.STREAM.PURGE.{stream}"),
        format!("$JS.API.STREAM.MSG.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}"),
        "$JS.API.STREAM.NAMES".to_owned(),
        "$JS.API.INFO".to_owned(),
        format!("$JS.ACK.{stream}.{others}.1.1.1.1.0"),
        "$SYS.REQ.SERVER.PING.CONNZ".to_owned(),
        "$SYS.REQ.USER.AUTH".to_owned(),
        change_subject(&task),
        format!("{}.x", other.connection.inbox_prefix),
    ] {
        intruder.may_not_publish(&subject, "").await;
    }
    for subject in [
        format!("{}.>", other.connection.inbox_prefix),
        "_INBOX.>".to_owned(),
        ">".to_owned(),
        "rowcast.>".to_owned(),
        change_subject(&task),
        "$JS.>".to_owned(),
        "$SYS.>".to_owned(),
    ] {
        intruder.may_not_subscribe(&subject).await;
    }
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

#[tokio::test]
async fn members_of_one_group_share_its_changes() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    service.change(&task, "2").await?;
    let member = service.group(&task, "orders").await?;
    let (one, two) = (member.connect().await?, member.connect().await?);
    let first = read(&member.consumer(&one).await?, 1).await?;
    let second = read(&member.consumer(&two).await?, 1).await?;
    assert_eq!(
        (&*first[0].payload, &*second[0].payload),
        (&b"1"[..], &b"2"[..])
    );
    let nothing = member
        .consumer(&one)
        .await?
        .fetch()
        .max_messages(1)
        .expires(Duration::from_millis(200))
        .messages()
        .await?
        .next()
        .await;
    assert!(nothing.is_none(), "{nothing:?}");
    Ok(())
}
