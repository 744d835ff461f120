//! What a shared group cannot deal with is put away, and can be sent once more.

use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rowcast_bus::async_nats::Client;
use rowcast_bus::async_nats::jetstream::consumer::PullConsumer;
use rowcast_bus::async_nats::jetstream::{AckKind, Message, stream};
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::{DeadLetterCause, ErrorKind, GroupMode};
use rowcast_proto::rpc::{
    CreateGroup, DeleteGroup, DiscardDeadLetters, GetDeadLetter, GetGroupConnection,
    ListDeadLetters, RedriveDeadLetters, UpdateGroup,
};
use rowcast_proto::stream::{ADVISORIES, DEAD};
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Member, Service, bodies, change, named, read};

/// A shared group that tries so often, of a task with a stream.
pub(crate) async fn shared(
    service: &Service,
    task: &TaskId,
    max_deliver: u32,
) -> anyhow::Result<Member> {
    service.make_stream(task).await?;
    let wish = m::CreateGroupRequest {
        mode: GroupMode::Shared.into(),
        max_deliver: Some(max_deliver),
        ..service.wish(task, "orders")
    };
    let group = service.ask::<CreateGroup>(&wish).await?;
    assert_eq!(group.max_deliver, max_deliver);
    let connection = service.ask::<GetGroupConnection>(&named(&group)).await?;
    eventually("the consumer is there", LIMIT, async || {
        service.consumer_exists(&connection).await
    })
    .await;
    Ok(Member { group, connection })
}

pub(crate) async fn acked(message: &Message, kind: AckKind) -> anyhow::Result<()> {
    let acked = message.double_ack_with(kind).await;
    acked.map_err(|error| anyhow::anyhow!(error))
}

/// Reads and gives back until nothing comes; how often something came.
pub(crate) async fn refuses(consumer: &PullConsumer) -> anyhow::Result<usize> {
    let mut count = 0;
    loop {
        let mut batch = consumer
            .batch()
            .max_messages(10)
            .expires(Duration::from_secs(1))
            .messages()
            .await?;
        let before = count;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| anyhow::anyhow!(error))?;
            count += 1;
            let given_back = message.ack_with(AckKind::Nak(None)).await;
            given_back.map_err(|error| anyhow::anyhow!(error))?;
        }
        if count == before {
            return Ok(count);
        }
    }
}

pub(crate) async fn letters(service: &Service, member: &Member) -> Vec<m::DeadLetter> {
    page(service, member, 0, 100).await.letters
}

async fn page(
    service: &Service,
    member: &Member,
    after: u64,
    limit: u32,
) -> m::ListDeadLettersReply {
    let question = m::ListDeadLettersRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        after,
        limit,
    };
    service.ask::<ListDeadLetters>(&question).await.unwrap()
}

async fn come(service: &Service, member: &Member, count: usize) -> Vec<m::DeadLetter> {
    eventually("the dead letters are there", LIMIT, async || {
        letters(service, member).await.len() == count
    })
    .await;
    letters(service, member).await
}

pub(crate) fn letter(member: &Member, id: u64) -> m::DeadLetterRequest {
    m::DeadLetterRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        id,
    }
}

/// What the group is sent of its redriven letters.
pub(crate) async fn redriven(member: &Member, client: &Client) -> anyhow::Result<PullConsumer> {
    let context = rowcast_bus::async_nats::jetstream::new(client.clone());
    let connection = &member.connection;
    let consumer = context
        .get_consumer_from_stream(&connection.redrive_consumer, &connection.redrive_stream)
        .await?;
    Ok(consumer)
}

#[tokio::test]
async fn what_was_tried_as_often_as_allowed_is_put_away_and_redriven() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let member = shared(&service, &task, 2).await?;
    service.transactions(&task, 1..=1).await?;
    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    let first = read(&consumer, 2).await?;
    acked(&first[0], AckKind::Ack).await?;
    acked(&first[1], AckKind::Nak(None)).await?;
    assert_eq!(refuses(&consumer).await?, 1, "the second of two attempts");

    let kept = &come(&service, &member, 1).await[0];
    assert_eq!(kept.cause(), DeadLetterCause::Exhausted);
    assert_eq!((kept.attempts, kept.redriven), (2, 0));
    assert!(
        kept.last_error
            .starts_with("not acknowledged in 2 attempts"),
        "{}",
        kept.last_error
    );
    let position = kept.position.clone().unwrap();
    assert_eq!((position.sequence, position.lsn.as_str()), (2, "0/100"));
    assert!(kept.subject.ends_with(".public.orders.insert") && kept.payload.is_empty());
    let whole = service
        .ask::<GetDeadLetter>(&letter(&member, kept.id))
        .await?;
    assert_eq!(whole.payload, change(1, 2).as_bytes());
    assert_eq!(whole.bytes, whole.payload.len() as u64);

    let done = service
        .ask::<RedriveDeadLetters>(&letter(&member, kept.id))
        .await?;
    assert_eq!((done.done, done.left), (1, 0));
    let again = redriven(&member, &client).await?;
    let messages = read(&again, 1).await?;
    assert_eq!(bodies(&messages), [change(1, 2)]);
    acked(&messages[0], AckKind::Ack).await?;
    assert_eq!(letters(&service, &member).await, []);
    let refusal = service
        .refusal::<RedriveDeadLetters>(&letter(&member, kept.id))
        .await;
    assert_eq!(refusal.code, "dead_letter_not_found");

    let stream = service.capture.jetstream().get_stream(DEAD.name).await?;
    eventually("what was acknowledged is gone", 2 * LIMIT, async || {
        let info = stream.get_info().await;
        info.is_ok_and(|info| info.state.messages == 0)
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_redriven_one_that_fails_again_is_a_letter_again() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let member = shared(&service, &task, 2).await?;
    service.transactions(&task, 1..=1).await?;
    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    let messages = read(&consumer, 2).await?;
    let reply = messages[0].reply.clone().context("no reply subject")?;
    client
        .request(reply, "+TERM no such customer".into())
        .await?;
    acked(&messages[1], AckKind::Ack).await?;
    let kept = &come(&service, &member, 1).await[0];
    assert_eq!(kept.cause(), DeadLetterCause::GivenUp);
    assert_eq!(
        (kept.attempts, kept.last_error.as_str()),
        (1, "no such customer")
    );

    let all = letter(&member, 0);
    let done = service.ask::<RedriveDeadLetters>(&all).await?;
    assert_eq!((done.done, done.left), (1, 0));
    assert_eq!(refuses(&redriven(&member, &client).await?).await?, 2);
    let again = &come(&service, &member, 1).await[0];
    assert!(again.id > kept.id);
    assert_eq!(again.cause(), DeadLetterCause::Exhausted);
    assert_eq!((again.attempts, again.redriven), (3, 1));
    assert_eq!(again.last_error, "no such customer");
    assert_eq!(again.position, kept.position);

    let discarded = service.ask::<DiscardDeadLetters>(&all).await?;
    assert_eq!((discarded.done, discarded.left), (1, 0));
    assert_eq!(letters(&service, &member).await, []);
    Ok(())
}

#[tokio::test]
async fn nothing_is_missed_while_the_service_or_the_server_is_away() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let task = TaskId::random();
    let member = shared(&service, &task, 3).await?;
    service.transactions(&task, 1..=5).await?;
    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    service.stop().await?;
    assert_eq!(refuses(&consumer).await?, 30);
    service.nats.kill().await?;
    service.nats.restart().await?;
    service.start_again().await?;
    let kept = come(&service, &member, 10).await;
    let sequences: Vec<u64> = kept
        .iter()
        .filter_map(|letter| letter.position.as_ref().map(|place| place.sequence))
        .collect();
    assert_eq!(sequences.len(), 10);
    assert!(
        (1..=10).all(|sequence| sequences.contains(&sequence)),
        "{sequences:?}"
    );
    assert!(kept.iter().all(|letter| letter.attempts == 3), "{kept:?}");

    let first = page(&service, &member, 0, 4).await;
    assert_eq!((first.letters.len(), first.total), (4, 10));
    let rest = page(&service, &member, first.next_after, 6).await;
    assert_eq!((rest.letters.len(), rest.next_after), (6, 0));
    Ok(())
}

/// How many dead letters the group is shown to have, and how many of these wait.
async fn shown(service: &Service, member: &Member) -> (u64, u64) {
    let status = service.seen(&member.group).await.status.unwrap();
    (status.dead_letters(), status.dead_letters_waiting)
}

#[tokio::test]
async fn what_is_too_much_of_one_group_waits_and_others_are_put_away() -> anyhow::Result<()> {
    let service = Service::start_with(&[("ROWCAST_DEAD_LETTERS_PER_GROUP", "3")]).await?;
    let (task, other) = (TaskId::random(), TaskId::random());
    let careless = shared(&service, &task, 1).await?;
    let careful = shared(&service, &other, 1).await?;
    service.transactions(&task, 1..=3).await?;
    service.transactions(&other, 1..=1).await?;
    let client = careless.connect().await?;
    assert_eq!(refuses(&careless.consumer(&client).await?).await?, 6);
    let of_careful = careful.connect().await?;
    assert_eq!(refuses(&careful.consumer(&of_careful).await?).await?, 2);
    come(&service, &careful, 2).await;
    come(&service, &careless, 3).await;
    eventually("all that it has is shown", LIMIT, async || {
        shown(&service, &careless).await == (6, 3) && shown(&service, &careful).await == (2, 0)
    })
    .await;
    let told = service.facts::<m::GroupStateChanged>().await?;
    let told: Vec<&str> = told
        .iter()
        .filter(|fact| fact.dead_letters() > 0)
        .map(|fact| fact.group_id.as_str())
        .collect();
    assert_eq!(told.len(), 2, "once of each group: {told:?}");

    let all = letter(&careless, 0);
    // What waited may come while the others go.
    let first = service.ask::<DiscardDeadLetters>(&all).await?.done;
    assert!((3..=6).contains(&first), "{first}");
    let left = 6 - first;
    let rest = come(&service, &careless, usize::try_from(left)?).await;
    assert!(
        rest.iter().all(|letter| !letter.is_without_body),
        "{rest:?}"
    );
    assert_eq!(service.ask::<DiscardDeadLetters>(&all).await?.done, left);
    eventually("that there are none is told", LIMIT, async || {
        let told = service.facts::<m::GroupStateChanged>().await.unwrap();
        let mut of_group = told.iter();
        let last = of_group.rfind(|fact| fact.group_id == careless.group.id);
        last.is_some_and(|fact| fact.dead_letters == Some(0))
    })
    .await;
    assert_eq!(shown(&service, &careless).await, (0, 0));
    Ok(())
}

#[tokio::test]
async fn what_the_broker_does_not_take_waits_and_holds_up_no_other_group() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, other) = (TaskId::random(), TaskId::random());
    let large = shared(&service, &task, 1).await?;
    let small = shared(&service, &other, 1).await?;
    let jetstream = service.capture.jetstream();
    let shelf = jetstream.get_stream(DEAD.name).await?;
    let as_it_was = shelf.cached_info().config.clone();
    let narrow = stream::Config {
        max_message_size: 2000,
        ..as_it_was.clone()
    };
    jetstream.update_stream(narrow).await?;
    let body = format!("{}{}", change(1, 1), " ".repeat(4000));
    service.change(&task, &body).await?;
    service.transactions(&other, 1..=1).await?;
    let client = large.connect().await?;
    assert_eq!(refuses(&large.consumer(&client).await?).await?, 1);
    eventually("it waits", LIMIT, async || {
        shown(&service, &large).await.1 == 1
    })
    .await;
    let of_small = small.connect().await?;
    assert_eq!(refuses(&small.consumer(&of_small).await?).await?, 2);
    come(&service, &small, 2).await;

    jetstream.update_stream(as_it_was).await?;
    let kept = &come(&service, &large, 1).await[0];
    assert_eq!(kept.bytes, body.len() as u64);
    eventually("nothing waits any more", LIMIT, async || {
        shown(&service, &large).await == (1, 0)
    })
    .await;
    Ok(())
}

/// A shared group whose connected member has refused both changes of a transaction once too often.
async fn with_two_letters(
    service: &Service,
    task: &TaskId,
) -> anyhow::Result<(Member, Client, Vec<m::DeadLetter>)> {
    let member = shared(service, task, 1).await?;
    service.transactions(task, 1..=1).await?;
    let client = member.connect().await?;
    assert_eq!(refuses(&member.consumer(&client).await?).await?, 2);
    let kept = come(service, &member, 2).await;
    Ok((member, client, kept))
}

#[tokio::test]
async fn a_deleted_group_takes_its_letters_with_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let (member, _client, kept) = with_two_letters(&service, &task).await?;
    service
        .ask::<RedriveDeadLetters>(&letter(&member, kept[0].id))
        .await?;
    service.ask::<DeleteGroup>(&named(&member.group)).await?;
    let stream = service.capture.jetstream().get_stream(DEAD.name).await?;
    let state = stream.get_info().await?.state;
    assert_eq!((state.messages, state.consumer_count), (0, 0));
    let refusal = service
        .refusal::<GetDeadLetter>(&letter(&member, kept[1].id))
        .await;
    assert_eq!(refusal.code, "group_not_found");
    Ok(())
}

#[tokio::test]
async fn a_letter_of_another_group_is_not_found() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let (member, _client, kept) = with_two_letters(&service, &task).await?;
    let other = service.group(&task, "another").await?;
    for id in [kept[0].id, 999] {
        let refusal = service
            .refusal::<DiscardDeadLetters>(&letter(&other, id))
            .await;
        assert_eq!(refusal.code, "dead_letter_not_found");
        let refusal = service.refusal::<GetDeadLetter>(&letter(&other, id)).await;
        assert_eq!(
            (refusal.kind(), refusal.field.as_str()),
            (ErrorKind::NotFound, "id")
        );
    }
    assert_eq!(letters(&service, &member).await.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_group_cannot_give_up_what_another_is_sent() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, foreign) = (TaskId::random(), TaskId::random());
    let member = shared(&service, &task, 1).await?;
    let thief = shared(&service, &foreign, 1).await?;
    let mut kept = Vec::new();
    let client = member.connect().await?;
    let of_thief = thief.connect().await?;
    for (task, member, client) in [(&foreign, &thief, &of_thief), (&task, &member, &client)] {
        service.transactions(task, 1..=1).await?;
        refuses(&member.consumer(client).await?).await?;
        kept = come(&service, member, 2).await;
        service
            .ask::<RedriveDeadLetters>(&letter(member, kept[0].id))
            .await?;
    }
    let again = read(&redriven(&member, &client).await?, 1).await?;
    let theirs = again[0].info().map_err(|error| anyhow::anyhow!(error))?;

    let own = read(&redriven(&thief, &of_thief).await?, 1).await?;
    let reply = own[0].reply.clone().context("no reply subject")?;
    let info = own[0].info().map_err(|error| anyhow::anyhow!(error))?;
    let of_stream = |sequence: u64| format!(".{sequence}.{}.", info.consumer_sequence);
    let forged = reply.replace(
        &of_stream(info.stream_sequence),
        &of_stream(theirs.stream_sequence),
    );
    anyhow::ensure!(forged != *reply, "nothing is forged in {reply}");
    let advisories = service.capture.jetstream();
    let advisories = advisories.get_stream_no_info(ADVISORIES.name).await?;
    let before = advisories.get_info().await?.state.last_sequence;
    // The server answers nothing to that.
    of_thief.publish(forged, "+TERM mine".into()).await?;
    of_thief.flush().await?;
    eventually("what the thief has sent is taken", LIMIT, async || {
        let told = advisories.get_info().await.unwrap().state.last_sequence;
        let taken = advisories.consumer_info("consumer-group").await.unwrap();
        told > before && taken.num_pending == 0 && taken.num_ack_pending == 0
    })
    .await;
    assert_eq!(letters(&service, &thief).await.len(), 1);
    acked(&again[0], AckKind::Nak(None)).await?;
    assert_eq!(refuses(&redriven(&member, &client).await?).await?, 0);
    let back = come(&service, &member, 2).await;
    assert!(
        back.iter()
            .any(|letter| letter.position == kept[0].position && letter.redriven == 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_limit_is_not_lowered_below_what_was_tried() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    let member = shared(&service, &task, 5).await?;
    service.transactions(&task, 1..=1).await?;
    let limit = |max_deliver| m::UpdateGroupRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        max_deliver: Some(max_deliver),
        ..m::UpdateGroupRequest::default()
    };
    assert_eq!(service.ask::<UpdateGroup>(&limit(4)).await?.max_deliver, 4);
    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    assert_eq!(consumer.cached_info().config.max_deliver, 4);
    for _ in 0..3 {
        let messages = read(&consumer, 2).await?;
        acked(&messages[0], AckKind::Nak(None)).await?;
        acked(&messages[1], AckKind::Nak(None)).await?;
    }
    let refusal = service.refusal::<UpdateGroup>(&limit(2)).await;
    assert_eq!(
        (refusal.code.as_str(), refusal.field.as_str()),
        ("max_deliver_lowered", "max_deliver")
    );
    assert_eq!(service.seen(&member.group).await.max_deliver, 4);
    assert_eq!(service.ask::<UpdateGroup>(&limit(0)).await?.max_deliver, 0);
    assert_eq!(
        member
            .consumer(&client)
            .await?
            .cached_info()
            .config
            .max_deliver,
        -1
    );
    let refusal = service.refusal::<UpdateGroup>(&limit(1001)).await;
    assert_eq!(refusal.field, "max_deliver");
    assert_eq!(letters(&service, &member).await, []);
    Ok(())
}
