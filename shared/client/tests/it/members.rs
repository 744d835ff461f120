//! For how long a member holds what it was given, where the service does not answer as it should.

use std::time::Duration;

use async_nats::{Client, jetstream};
use futures::StreamExt as _;
use rowcast_client::{Delivery, Error, GroupCredentials, GroupMode, Subscription};
use rowcast_proto::message::{HeldShare, MemberReply};
use rowcast_proto::subject::group_member;
use rowcast_testkit::NatsCluster;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fixture::{Group, LOGIN, credentials, make, next};

/// Answers one of so many questions as the service does: that the asker holds all.
async fn service(
    client: Client,
    of: &GroupCredentials,
    every: usize,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let mut questions = client.subscribe(group_member(&of.group_id)).await?;
    client.flush().await?;
    let share = HeldShare {
        consumer: of.consumer.clone(),
        epoch: 1,
    };
    let reply = serde_json::to_vec(&MemberReply {
        held: vec![share],
        wanted_back: Vec::new(),
        lease_ms: 6000,
    })?;
    let mut answering = JoinSet::new();
    answering.spawn(async move {
        let mut asked = 0;
        while let Some(question) = questions.next().await {
            asked += 1;
            if let (0, Some(asker)) = (asked % every, question.reply) {
                client.publish(asker, reply.clone().into()).await?;
            }
        }
        Ok(())
    });
    Ok(answering)
}

/// Inboxes into which the test may answer; the service does across accounts.
fn inbox(of: &GroupCredentials) -> String {
    format!("_INBOX.{}", of.group_id)
}

/// Whether what was acknowledged may still be; one that is no news tells nobody.
async fn is_held(delivery: &Delivery) -> bool {
    let acked = tokio::time::timeout(Duration::from_millis(200), delivery.ack()).await;
    !matches!(acked, Ok(Err(Error::NotHeld { .. })))
}

async fn stays_held(delivery: &Delivery, time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        assert!(is_held(delivery).await, "{:?}", begun.elapsed());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_lease_lasts_where_most_questions_get_no_answer() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.credentials.inbox_prefix = inbox(&group.credentials);
    group.publish(1).await?;
    let client = group.nats.client(LOGIN).await?;
    let _service = service(client, &group.credentials, 4).await?;
    let mut changes = group.subscribe().await?;
    let change = next(&mut changes).await?;
    change.ack().await?;
    stays_held(&change, Duration::from_secs(12)).await;
    Ok(())
}

#[tokio::test]
async fn a_lease_lasts_without_a_service_where_what_is_held_answers() -> anyhow::Result<()> {
    let mut group = Group::start().await?;
    group.credentials.inbox_prefix = inbox(&group.credentials);
    group.publish(1).await?;
    let client = group.nats.client(LOGIN).await?;
    let service = service(client, &group.credentials, 1).await?;
    let mut changes = group.subscribe().await?;
    let change = next(&mut changes).await?;
    change.ack().await?;
    drop(service);
    stays_held(&change, Duration::from_secs(10)).await;
    // Nothing of it is there any more: another member could have it of those who know that.
    group.remove().await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    let refused = change.ack().await;
    assert!(
        matches!(refused, Err(Error::NotHeld { .. } | Error::PositionMoved)),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_behind_a_server_that_is_cut_off_from_the_others() -> anyhow::Result<()> {
    let mut cluster = NatsCluster::start().await?;
    let client = cluster.client(LOGIN).await?;
    let owner = jetstream::new(client.clone());
    let mut of = credentials(&cluster.urls(), cluster.password(LOGIN), GroupMode::Ordered);
    make(&owner, &of, 1000, 3).await?;
    let subject = format!("rowcast.change.{}.000.public.orders.insert", of.task_id);
    let row = r#"{"id":"0/10.1","op":"insert","database":"shop","schema":"public","table":"orders","lsn":"0/10",
        "ordinal":1,"committed_at":"2026-11-23T05:33:10.123456Z","after":{"id":1}}"#;
    let capture = jetstream::new(cluster.client("capture-data").await?);
    capture.publish(subject, row.into()).await?.await?;

    // The member is at the server that leads its consumer.
    let stream = owner.get_stream(&of.stream).await?;
    let info = stream.consumer_info(&of.consumer).await?;
    let leader = info.cluster.and_then(|cluster| cluster.leader);
    let mut names = (1..=cluster.size()).map(|number| format!("rowcast-{number}"));
    let cut_off = names.position(|name| Some(name) == leader).unwrap();
    let urls = cluster.urls();
    of.inbox_prefix = inbox(&of);
    of.urls = vec![urls.split(',').nth(cut_off).unwrap().to_owned()];
    let service = service(client, &of, 1).await?;
    let mut changes = Subscription::connect(of).await?;
    let change = next(&mut changes).await?;
    change.ack().await?;
    drop(service);
    stays_held(&change, Duration::from_secs(10)).await;

    for number in (0..cluster.size()).filter(|number| *number != cut_off) {
        cluster.kill(number).await?;
    }
    let cut = Instant::now();
    while is_held(&change).await {
        assert!(cut.elapsed() < Duration::from_secs(6), "it is still held");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
