//! For how long a member holds what it was given, where the service does not answer as it should.

use std::time::Duration;

use async_nats::Client;
use futures::StreamExt as _;
use rowcast_client::{Delivery, Error, GroupCredentials};
use rowcast_proto::message::{HeldShare, MemberReply};
use rowcast_proto::subject::group_member;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fixture::{Group, LOGIN, next};

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
