//! Members of a group ask what they may read.

use std::collections::BTreeSet;
use std::time::Duration;

use rowcast_bus::async_nats::{Client, Request};
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::{ErrorKind, GroupMode, HeldShare, MemberReply, MemberRequest};
use rowcast_proto::rpc::ERROR_HEADER;
use rowcast_testkit::eventually;
use tokio::time::Instant;

use crate::fixture::{LIMIT, Member, Service, bodies, read};

/// One that asks as the SDK does.
pub(crate) struct Asker {
    client: Client,
    id: String,
    subject: String,
}

impl Asker {
    /// With a connection that has its name, as the SDK's.
    async fn join(member: &Member, number: u64) -> anyhow::Result<Self> {
        Self::join_at(member, number, &member.connection.urls).await
    }

    /// As [`Self::join`], by one of these servers.
    pub(crate) async fn join_at(
        member: &Member,
        number: u64,
        urls: &[String],
    ) -> anyhow::Result<Self> {
        let id = format!("{number:016x}");
        let options = member.options().name(format!("test {id}"));
        let client = options.connect(urls).await?;
        let subject = format!("rowcast.member.{}", member.group.id);
        Ok(Self {
            client,
            id,
            subject,
        })
    }

    async fn say(&self, request: MemberRequest) -> Result<MemberReply, m::RpcError> {
        self.try_say(&request).await.unwrap()
    }

    /// `None` where nobody answers.
    async fn try_say(&self, request: &MemberRequest) -> Option<Result<MemberReply, m::RpcError>> {
        let request = Request::new()
            .payload(serde_json::to_vec(request).unwrap().into())
            .timeout(Some(Duration::from_secs(5)));
        let sent = self
            .client
            .send_request(self.subject.clone(), request)
            .await;
        let reply = sent.ok()?;
        let headers = reply.headers.as_ref();
        if headers.is_some_and(|headers| headers.get(ERROR_HEADER).is_some()) {
            return Some(Err(serde_json::from_slice(&reply.payload).unwrap()));
        }
        Some(Ok(serde_json::from_slice(&reply.payload).unwrap()))
    }

    /// As [`Self::ask`]; `None` where nobody answers, or nobody can decide.
    pub(crate) async fn try_ask(&self) -> Option<MemberReply> {
        let member_id = self.id.clone();
        let request = MemberRequest {
            member_id,
            ..MemberRequest::default()
        };
        self.try_say(&request).await?.ok()
    }

    pub(crate) async fn ask(&self) -> MemberReply {
        self.release(Vec::new()).await
    }

    async fn release(&self, released: Vec<HeldShare>) -> MemberReply {
        let member_id = self.id.clone();
        let request = MemberRequest {
            member_id,
            released,
            leaves: false,
        };
        self.say(request).await.unwrap()
    }

    async fn leave(&self) -> MemberReply {
        let member_id = self.id.clone();
        let request = MemberRequest {
            member_id,
            leaves: true,
            ..MemberRequest::default()
        };
        self.say(request).await.unwrap()
    }
}

fn names(shares: &[HeldShare]) -> BTreeSet<String> {
    shares.iter().map(|share| share.consumer.clone()).collect()
}

#[tokio::test]
async fn what_a_member_lets_go_comes_to_another_and_what_it_leaves_too() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let group = service.group_of(&task, "orders", GroupMode::Keyed).await?;
    let one = Asker::join(&group, 1).await?;
    let held = one.ask().await;
    assert_eq!(held.held.len(), 4);
    assert!(held.wanted_back.is_empty());

    // The second gets nothing before the first has let go.
    let two = Asker::join(&group, 2).await?;
    assert!(two.ask().await.held.is_empty());
    let asked = one.ask().await;
    assert_eq!((asked.held.len(), asked.wanted_back.len()), (4, 2));
    assert!(two.ask().await.held.is_empty());
    let kept = one.release(asked.wanted_back.clone()).await;
    assert_eq!(kept.held.len(), 2);
    let got = two.ask().await.held;
    assert_eq!(names(&got), names(&asked.wanted_back));
    // It was given anew: who had it before cannot let it go for the one that has it now.
    assert!(got.iter().all(|share| !asked.wanted_back.contains(share)));
    one.release(asked.wanted_back).await;
    assert_eq!(two.ask().await.held, got);

    assert!(two.leave().await.held.is_empty());
    assert_eq!(one.ask().await.held.len(), 4);
    Ok(())
}

#[tokio::test]
async fn who_falls_silent_is_replaced_and_what_it_was_sent_comes_again_at_once()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let group = service.group(&task, "orders").await?;
    for body in ["1", "2", "3", "4"] {
        service.change(&task, body).await?;
    }
    let (one, two) = (Asker::join(&group, 1).await?, Asker::join(&group, 2).await?);
    let lease = Duration::from_millis(one.ask().await.lease_ms);
    let sent = read(&group.consumer(&one.client).await?, 3).await?;
    sent[0]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let silent = Instant::now();
    assert!(two.ask().await.held.is_empty());
    eventually("the second is active", LIMIT, async || {
        two.ask().await.held.len() == 1
    })
    .await;
    assert!(silent.elapsed() >= lease, "the lease was not over");
    let messages = read(&group.consumer(&two.client).await?, 3).await?;
    assert_eq!(bodies(&messages), ["2", "3", "4"]);
    // Far below the 30 s after which they would have come by themselves.
    assert!(silent.elapsed() < lease + Duration::from_secs(6));

    // What the first acknowledges late changes nothing for the second.
    assert!(sent[2].double_ack().await.is_err() || service.seen(&group.group).await.in_flight > 0);
    messages[2]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    assert_eq!(service.seen(&group.group).await.acknowledged_sequence, 4);
    Ok(())
}

#[tokio::test]
async fn a_service_that_comes_back_gives_members_time_to_ask() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let group = service.group(&task, "orders").await?;
    let (one, two) = (Asker::join(&group, 1).await?, Asker::join(&group, 2).await?);
    let lease = Duration::from_millis(one.ask().await.lease_ms);
    service.stop().await?;
    tokio::time::sleep(lease + Duration::from_secs(1)).await;
    service.start_again().await?;
    // The first has not asked for longer than its lease, and it is no fault of its own.
    assert!(two.ask().await.held.is_empty());
    assert_eq!(one.ask().await.held.len(), 1);
    Ok(())
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let group = service.group(&task, "orders").await?;
    let asker = Asker::join(&group, 1).await?;
    let request = MemberRequest {
        member_id: "1'; DROP TABLE members; --".to_owned(),
        ..MemberRequest::default()
    };
    let refusal = asker.say(request).await.unwrap_err();
    assert_eq!(
        (refusal.kind(), refusal.field.as_str()),
        (ErrorKind::Invalid, "member_id")
    );

    // What no share can be is nothing to let go, and no reason to decide nothing.
    asker.ask().await;
    let nonsense = [
        ("x", u64::MAX),
        (group.connection.consumer.as_str(), u64::MAX),
        ("\0", 1),
    ];
    let released = nonsense.map(|(consumer, epoch)| HeldShare {
        consumer: consumer.to_owned(),
        epoch,
    });
    assert_eq!(asker.release(released.to_vec()).await.held.len(), 1);
    Ok(())
}
