//! A member reaches its own consumer and nothing else.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::{Client, Event, HeaderMap};
use rowcast_domain::TaskId;
use rowcast_proto::message::GroupMode;
use rowcast_proto::rpc::{DeleteGroup, GetGroup, Rpc as _};
use rowcast_proto::stream::{TASKS, task_stream};
use rowcast_testkit::eventually;
use tokio::sync::mpsc;

use crate::fixture::{LIMIT, Member, QUIET, Service, change_subject, consumers, read};

/// A member with the errors that the server tells it.
pub(crate) struct Intruder {
    pub(crate) client: Client,
    inbox: String,
    errors: mpsc::Receiver<String>,
}

impl Intruder {
    pub(crate) async fn connect(member: &Member) -> anyhow::Result<Self> {
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

    pub(crate) async fn may_not_publish(&mut self, subject: &str, body: &str) {
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

    pub(crate) async fn may_not_subscribe(&mut self, subject: &str) {
        let _subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.refused(&format!("subscribing to {subject}")).await;
    }
}

/// What a member has no business to say, all of it about a stream that it reads.
fn not_to_publish(task: &TaskId, stream: &str, own: &str, others: &str) -> Vec<String> {
    let foreign = task_stream(&TaskId::random());
    let mut subjects = vec![
        format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{others}"),
        format!("$JS.API.CONSUMER.MSG.NEXT.{foreign}.{own}"),
        format!("$JS.API.CONSUMER.INFO.{stream}.{others}"),
        format!("$JS.API.CONSUMER.INFO.{foreign}.{own}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}"),
        format!("$JS.API.CONSUMER.CREATE.{stream}.{own}.rowcast.>"),
        format!("$JS.API.CONSUMER.NAMES.{stream}"),
        format!("$JS.API.CONSUMER.LIST.{stream}"),
        format!("$JS.API.STREAM.MSG.GET.{stream}"),
        format!("$JS.API.STREAM.MSG.DELETE.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}"),
        format!("$JS.API.DIRECT.GET.{stream}.{}", change_subject(task)),
        format!("$JS.ACK.{stream}.{others}.1.1.1.1.0"),
        format!("$JS.ACK.{foreign}.{own}.1.1.1.1.0"),
        format!("$JS.ACK._.x.{stream}.{others}.1.1.1.1.0.x"),
        format!("$JS.SNAPSHOT.ACK.{stream}.x"),
        format!("$KV.{}.{task}", TASKS.name),
        format!("rowcast.event.task-api.task.{task}"),
        GetGroup::SUBJECT.to_owned(),
        DeleteGroup::SUBJECT.to_owned(),
        change_subject(task),
    ];
    for verb in ["CREATE", "DURABLE.CREATE", "DELETE", "PAUSE", "RESET"] {
        subjects.push(format!("$JS.API.CONSUMER.{verb}.{stream}.{own}"));
        subjects.push(format!("$JS.API.CONSUMER.{verb}.{stream}.{others}"));
    }
    for verb in ["UNPIN", "LEADER.STEPDOWN"] {
        subjects.push(format!("$JS.API.CONSUMER.{verb}.{stream}.{others}"));
    }
    for verb in [
        "CREATE",
        "UPDATE",
        "INFO",
        "DELETE",
        "PURGE",
        "SNAPSHOT",
        "RESTORE",
        "LEADER.STEPDOWN",
    ] {
        subjects.push(format!("$JS.API.STREAM.{verb}.{stream}"));
    }
    let of_the_server = [
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.META.LEADER.STEPDOWN",
        "$SRV.PING",
        "$SRV.STOP",
        "$SYS.REQ.SERVER.PING.CONNZ",
        "$SYS.REQ.USER.AUTH",
        "$SYS.REQ.USER.INFO",
    ];
    subjects.extend(of_the_server.map(str::to_owned));
    subjects
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

    for subject in not_to_publish(&task, stream, own, others) {
        intruder.may_not_publish(&subject, "").await;
    }
    let inbox = &other.connection.inbox_prefix;
    intruder.may_not_publish(&format!("{inbox}.x"), "").await;
    for subject in [
        format!("{inbox}.>"),
        format!("rowcast.deliver.{}.>", other.group.id),
        format!("rowcast.deliver.{}.>", member.group.id),
        change_subject(&task),
    ] {
        intruder.may_not_subscribe(&subject).await;
    }
    for subject in [
        "_INBOX.>",
        "_INBOX_*.>",
        "*.>",
        ">",
        "rowcast.>",
        "rowcast.deliver.>",
        "rowcast.event.>",
        "rowcast.rpc.>",
        "$JS.>",
        "$JS.ACK.>",
        "$JS.EVENT.>",
        "$KV.>",
        "$O.>",
        "$SRV.>",
        "$SYS.>",
    ] {
        intruder.may_not_subscribe(subject).await;
    }
    Ok(())
}

/// Of a group in each mode, everything that belongs to the two others.
#[tokio::test]
async fn a_member_of_any_mode_may_not_leave_its_consumers() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.change(&task, "1").await?;
    let groups = [
        service.group(&task, "ordered").await?,
        service.group_of(&task, "keyed", GroupMode::Keyed).await?,
        service.group_of(&task, "shared", GroupMode::Shared).await?,
    ];
    for member in &groups {
        let mut intruder = Intruder::connect(member).await?;
        let stream = member.connection.stream.as_str();
        let others = groups
            .iter()
            .filter(|other| other.group.id != member.group.id);
        for other in others {
            for (own, theirs) in consumers(&member.connection)
                .into_iter()
                .cycle()
                .zip(consumers(&other.connection))
            {
                for subject in not_to_publish(&task, stream, own, theirs) {
                    intruder.may_not_publish(&subject, "").await;
                }
            }
            let asks = format!("rowcast.member.{}", other.group.id);
            intruder.may_not_publish(&asks, "").await;
            intruder.may_not_subscribe(&asks).await;
        }
        intruder.may_not_subscribe("rowcast.member.>").await;
    }
    let shared = &groups[2];
    let mut intruder = Intruder::connect(shared).await?;
    let asks = format!("rowcast.member.{}", shared.group.id);
    intruder.may_not_publish(&asks, "").await;
    // What looks like a consumer of the group's own, and is not there.
    for partition in ["*", ">", "000"] {
        let subject = format!("{}_{partition}", pull(shared));
        intruder.may_not_publish(&subject, "").await;
    }
    Ok(())
}

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
        format!("{}.x", victim.connection.inbox_prefix),
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
