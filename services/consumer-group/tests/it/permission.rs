//! A member reaches its own consumer and nothing else.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::{Client, Event};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::GroupMode;
use rowcast_proto::rpc::{DeleteGroup, GetGroup, Rpc as _};
use rowcast_proto::stream::{
    DEAD, TASKS, group_consumer, group_stream, redrive_consumer, task_stream,
};
use tokio::sync::mpsc;

use crate::fixture::{LIMIT, Member, Service, change_subject, consumers, read};

/// A member with the errors that the server tells it.
pub(crate) struct Intruder {
    pub(crate) client: Client,
    pub(crate) inbox: String,
    errors: mpsc::Receiver<String>,
}

impl Member {
    /// As [`Self::connect`], with what the server says against the client.
    pub(crate) async fn connect_and_hear(
        &self,
    ) -> anyhow::Result<(Client, mpsc::Receiver<String>)> {
        let (sender, errors) = mpsc::channel(64);
        let client = self
            .options()
            .event_callback(move |event| {
                let sender = sender.clone();
                async move {
                    if let Event::ServerError(error) = event {
                        sender.send(error.to_string()).await.unwrap_or_default();
                    }
                }
            })
            .connect(&self.connection.urls)
            .await?;
        Ok((client, errors))
    }
}

impl Intruder {
    pub(crate) async fn connect(member: &Member) -> anyhow::Result<Self> {
        let (client, errors) = member.connect_and_hear().await?;
        Ok(Self {
            client,
            inbox: format!("{}.intruder", member.connection.inbox_prefix),
            errors,
        })
    }

    pub(crate) async fn refused(&mut self, what: &str) {
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
        subjects.push(format!("$JS.API.CONSUMER.{verb}.{stream}.{own}"));
        subjects.push(format!("$JS.API.CONSUMER.{verb}.{stream}.{others}"));
    }
    for consumer in [own, others] {
        subjects.push(format!("$JS.FC.{stream}.{consumer}.x"));
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

/// The same of the streams that another group has for itself: its own one, and its part of the dead letters.
fn not_to_publish_about(other: &GroupId) -> Vec<String> {
    let mut subjects = Vec::new();
    for (stream, consumer) in [
        (group_stream(other), group_consumer(other)),
        (DEAD.name.to_owned(), redrive_consumer(other)),
    ] {
        subjects.extend([
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"),
            format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}"),
            format!("$JS.ACK.{stream}.{consumer}.1.1.1.1.0"),
            format!("$JS.ACK._.x.{stream}.{consumer}.1.1.1.1.0.x"),
            format!("$JS.API.STREAM.INFO.{stream}"),
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            format!("$JS.API.CONSUMER.DELETE.{stream}.{consumer}"),
        ]);
    }
    subjects
}

/// Where a member asks for changes.
pub(crate) fn pull(member: &Member) -> String {
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
    for subject in not_to_publish_about(&other.group.id.parse()?) {
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
        "$JS.FC.>",
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
