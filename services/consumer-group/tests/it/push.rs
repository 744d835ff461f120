//! Groups whose changes are sent to plain subscriptions.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::{Client, Message, Subscriber};
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::message::{GroupDelivery, GroupMode};
use rowcast_proto::rpc::{CreateGroup, MoveGroup};
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Member, QUIET, Service};
use crate::permission::Intruder;

/// A stream with these changes in partition 0, and a push group of this mode.
async fn begin(mode: GroupMode, bodies: &[&str]) -> anyhow::Result<(Service, TaskId, Member)> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    for body in bodies {
        service.change(&task, body).await?;
    }
    let member = service.push_group(&task, "orders", mode).await?;
    Ok((service, task, member))
}

/// Subscribes as the connection document says, and as the server has taken it.
async fn subscribe(client: &Client, member: &Member) -> anyhow::Result<Subscriber> {
    let subject = member.connection.deliver_subject.clone();
    let queue = member.connection.deliver_group.clone();
    let changes = if queue.is_empty() {
        client.subscribe(subject).await?
    } else {
        client.queue_subscribe(subject, queue).await?
    };
    client.flush().await?;
    Ok(changes)
}

async fn next(changes: &mut Subscriber) -> Message {
    // What a subscriber had that is gone comes again after the ack wait, which is as long as the limit.
    let next = tokio::time::timeout(2 * LIMIT, changes.next()).await;
    next.unwrap().unwrap()
}

async fn acknowledge(client: &Client, message: &Message) -> anyhow::Result<()> {
    let reply = message.reply.clone().unwrap();
    // Answered once it is stored.
    client.request(reply, "+ACK".into()).await?;
    Ok(())
}

/// Reads so many bodies, each acknowledged.
async fn take(
    client: &Client,
    changes: &mut Subscriber,
    count: usize,
) -> anyhow::Result<Vec<String>> {
    let mut bodies = Vec::new();
    while bodies.len() < count {
        let message = next(changes).await;
        acknowledge(client, &message).await?;
        bodies.push(String::from_utf8(message.payload.to_vec())?);
    }
    Ok(bodies)
}

async fn is_quiet(changes: &mut Subscriber) {
    let more = tokio::time::timeout(QUIET, changes.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn a_subscriber_is_sent_one_change_after_the_other() -> anyhow::Result<()> {
    let (service, task, member) = begin(GroupMode::Ordered, &["1", "2"]).await?;
    assert_eq!(member.connection.delivery(), GroupDelivery::Push);
    // Nobody is there: nothing is sent.
    tokio::time::sleep(QUIET).await;
    let seen = service.seen(&member.group).await;
    assert_eq!((seen.pending, seen.in_flight), (2, 0));

    let client = member.connect().await?;
    let mut changes = subscribe(&client, &member).await?;
    let first = next(&mut changes).await;
    assert_eq!(&*first.payload, b"1");
    assert!(
        first.subject.starts_with("rowcast.change."),
        "{}",
        first.subject
    );
    is_quiet(&mut changes).await;
    acknowledge(&client, &first).await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["2"]);
    service.change(&task, "3").await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["3"]);

    let seen = service.seen(&member.group).await;
    assert_eq!(
        (seen.acknowledged_sequence, seen.pending, seen.in_flight),
        (3, 0, 0)
    );
    assert_eq!(seen.delivery(), GroupDelivery::Push);
    // Who is connected is asked once a second at most.
    eventually("the subscriber is a member", LIMIT, async || {
        let status = service.seen(&member.group).await.status.unwrap();
        (status.unconsumed, status.members.len()) == (0, 1)
    })
    .await;

    // While it is away nothing is lost.
    drop((changes, client));
    service.change(&task, "4").await?;
    let client = member.connect().await?;
    let mut changes = subscribe(&client, &member).await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["4"]);
    Ok(())
}

#[tokio::test]
async fn what_a_lost_subscriber_had_comes_again_before_anything_newer() -> anyhow::Result<()> {
    let (_service, _task, member) = begin(GroupMode::Ordered, &["1", "2", "3"]).await?;
    let client = member.connect().await?;
    let mut changes = subscribe(&client, &member).await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["1"]);
    assert_eq!(&*next(&mut changes).await.payload, b"2");
    drop((changes, client));
    let client = member.connect().await?;
    let mut changes = subscribe(&client, &member).await?;
    is_quiet(&mut changes).await;
    let again = next(&mut changes).await;
    assert_eq!(&*again.payload, b"2");
    acknowledge(&client, &again).await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["3"]);
    Ok(())
}

#[tokio::test]
async fn members_of_a_shared_push_group_divide_its_changes() -> anyhow::Result<()> {
    let numbers: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let bodies: Vec<&str> = numbers.iter().map(String::as_str).collect();
    let (service, task, member) = begin(GroupMode::Shared, &[]).await?;
    let (one, two) = (member.connect().await?, member.connect().await?);
    let mut of_one = subscribe(&one, &member).await?;
    let mut of_two = subscribe(&two, &member).await?;
    for body in bodies {
        service.change(&task, body).await?;
    }
    let mut told = Vec::new();
    let mut counts = (0, 0);
    while told.len() < 50 {
        let (client, message) = tokio::select! {
            message = next(&mut of_one) => { counts.0 += 1; (&one, message) }
            message = next(&mut of_two) => { counts.1 += 1; (&two, message) }
        };
        acknowledge(client, &message).await?;
        told.push(String::from_utf8(message.payload.to_vec())?);
    }
    is_quiet(&mut of_one).await;
    is_quiet(&mut of_two).await;
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
    let told: BTreeSet<String> = told.into_iter().collect();
    assert_eq!(told, numbers.into_iter().collect());
    Ok(())
}

#[tokio::test]
async fn each_partition_of_a_keyed_push_group_has_a_subject() -> anyhow::Result<()> {
    let (service, task, member) = begin(GroupMode::Keyed, &["a"]).await?;
    service.change_in(&task, Some(2), "b").await?;
    service.change_in(&task, None, "c").await?;
    assert_eq!(member.connection.deliver_subject, "");
    let client = member.connect().await?;
    for (partition, body) in [("000", "a"), ("002", "b"), ("tx", "c")] {
        let mut of = member.connection.consumers.iter();
        let of = of.find(|of| of.partition == partition).unwrap();
        let mut changes = client.subscribe(of.deliver_subject.clone()).await?;
        assert_eq!(take(&client, &mut changes, 1).await?, [body]);
    }
    Ok(())
}

#[tokio::test]
async fn the_position_of_a_push_group_is_moved() -> anyhow::Result<()> {
    let (service, task, member) = begin(GroupMode::Ordered, &[]).await?;
    service.transactions(&task, 1..=3).await?;
    let client = member.connect().await?;
    let mut changes = subscribe(&client, &member).await?;
    let before = take(&client, &mut changes, 6).await?;
    let wish = |force| m::MoveGroupRequest {
        task_id: task.to_string(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        force,
        target: Some(Target::Sequence(3)),
    };
    let refusal = service.refusal::<MoveGroup>(&wish(false)).await;
    assert_eq!(refusal.code, "group_connected");
    service.ask::<MoveGroup>(&wish(true)).await?;
    // The client comes back by itself, and subscribes again.
    assert_eq!(take(&client, &mut changes, 4).await?, before[2..]);
    assert_eq!(service.seen(&member.group).await.acknowledged_sequence, 6);
    Ok(())
}

#[tokio::test]
async fn who_subscribes_to_something_else_is_told() -> anyhow::Result<()> {
    let (service, task, ordered) = begin(GroupMode::Ordered, &["1"]).await?;
    let shared = service
        .push_group(&task, "shared", GroupMode::Shared)
        .await?;
    let subject = |member: &Member| member.connection.deliver_subject.clone();
    let mut of_ordered = Intruder::connect(&ordered).await?;
    let group = format!("rowcast.deliver.{}", ordered.group.id);
    for wildcard in [
        format!("{group}.>"),
        format!("{group}.*.changes"),
        format!("{group}.changes"),
    ] {
        of_ordered.may_not_subscribe(&wildcard).await;
    }
    let mut of_shared = Intruder::connect(&shared).await?;
    // Without its queue group nothing would come.
    of_shared.may_not_subscribe(&subject(&shared)).await;
    Ok(())
}

/// Also where the other group's subject is known.
#[tokio::test]
async fn no_group_reaches_the_deliveries_of_another() -> anyhow::Result<()> {
    let (service, task, victim) = begin(GroupMode::Ordered, &["secret"]).await?;
    let pulls = service.group(&task, "pulls").await?;
    let pushed = service
        .push_group(&task, "pushed", GroupMode::Ordered)
        .await?;
    let deliveries = victim.connection.deliver_subject.clone();
    for member in [&pulls, &pushed] {
        let mut intruder = Intruder::connect(member).await?;
        intruder.may_not_subscribe(&deliveries).await;
        intruder.may_not_publish(&deliveries, "forged").await;
        intruder
            .may_not_subscribe(&format!("rowcast.deliver.{}.>", victim.group.id))
            .await;
        let asks = format!("rowcast.member.{}", victim.group.id);
        intruder.may_not_publish(&asks, "").await;
        let acks = format!(
            "$JS.ACK.{}.{}.1.1.1.1.0",
            victim.connection.stream, victim.connection.consumer
        );
        intruder.may_not_publish(&acks, "").await;
    }
    // A push group cannot publish into its own deliveries either, nor ask for a share.
    let mut intruder = Intruder::connect(&victim).await?;
    intruder.may_not_publish(&deliveries, "forged").await;
    intruder
        .may_not_publish(&format!("rowcast.member.{}", victim.group.id), "")
        .await;

    let client = victim.connect().await?;
    let mut changes = subscribe(&client, &victim).await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["secret"]);
    is_quiet(&mut changes).await;
    Ok(())
}

/// The answer to a pull goes where the asker says, and the server does not look whether that is somebody's deliveries:
/// so nobody else may know where they are.
#[tokio::test]
async fn where_a_group_is_sent_its_changes_cannot_be_guessed() -> anyhow::Result<()> {
    let (service, task, victim) = begin(GroupMode::Ordered, &[]).await?;
    let intruder = service.group(&task, "pulls").await?;
    let client = victim.connect().await?;
    let mut changes = subscribe(&client, &victim).await?;
    service.change(&task, "1").await?;
    assert_eq!(take(&client, &mut changes, 1).await?, ["1"]);

    let subject = &victim.connection.deliver_subject;
    let secret = subject
        .strip_prefix(&format!("rowcast.deliver.{}.", victim.group.id))
        .unwrap();
    let secret = secret.strip_suffix(".changes").unwrap();
    assert!(
        secret.len() == 32 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{secret}"
    );
    let another = service
        .push_group(&task, "another", GroupMode::Ordered)
        .await?;
    assert!(!another.connection.deliver_subject.contains(secret));

    // What the server says of it to others: nothing.
    let attacker = Intruder::connect(&intruder).await?;
    let pull = format!(
        "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
        intruder.connection.stream, intruder.connection.consumer
    );
    for guess in ["changes", "*", ">", "*.changes"] {
        let aimed = format!("rowcast.deliver.{}.{guess}", victim.group.id);
        attacker
            .client
            .publish_with_reply(pull.clone(), aimed, "1".into())
            .await?;
    }
    attacker.client.flush().await?;
    is_quiet(&mut changes).await;
    Ok(())
}

#[tokio::test]
async fn delivery_is_chosen_once() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let wish = m::CreateGroupRequest {
        request_key: "key 1".to_owned(),
        delivery: GroupDelivery::Push.into(),
        ..service.wish(&TaskId::random(), "orders")
    };
    let group = service.ask::<CreateGroup>(&wish).await?;
    assert_eq!(service.ask::<CreateGroup>(&wish).await?.id, group.id);
    let another = m::CreateGroupRequest {
        delivery: GroupDelivery::Pull.into(),
        ..wish
    };
    let refusal = service.refusal::<CreateGroup>(&another).await;
    assert_eq!(refusal.code, "request_key_used");
    // Made before its task was started, it has its consumer once the stream is there.
    let task: TaskId = group.task_id.parse()?;
    service.make_stream(&task).await?;
    let stream = service
        .capture
        .jetstream()
        .get_stream(format!("RC_{task}"))
        .await?;
    eventually(
        "the consumer is there",
        Duration::from_secs(20),
        async || {
            stream
                .consumer_info(format!("g_{}", group.id))
                .await
                .is_ok()
        },
    )
    .await;
    Ok(())
}
