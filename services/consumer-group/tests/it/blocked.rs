//! What an ordered group does not acknowledge stands still and is told of, until a person puts it away; or it is put away
//! where the group does not wait for one.

use std::time::Duration;

use rowcast_bus::async_nats::jetstream::AckKind;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::{
    DeadLetterCause, GroupMode, GroupMoved, GroupState, GroupStateChanged, OnExhausted,
};
use rowcast_proto::rpc::{
    CreateGroup, DiscardDeadLetters, RedriveDeadLetters, SkipChange, UpdateGroup,
};
use rowcast_testkit::eventually;

use crate::dead_letters::{acked, letter, letters, redriven};
use crate::fixture::{LIMIT, Member, Service, bodies, change, read};
use crate::letters_told;

fn skip(member: &Member, sequence: u64) -> m::SkipChangeRequest {
    m::SkipChangeRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        sequence,
        reason: "no such customer".to_owned(),
    }
}

async fn allow(service: &Service, member: &Member, max_deliver: u32) -> anyhow::Result<()> {
    let wish = m::UpdateGroupRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        max_deliver: Some(max_deliver),
        ..m::UpdateGroupRequest::default()
    };
    service.ask::<UpdateGroup>(&wish).await?;
    Ok(())
}

/// Reads a change and gives it back, again and again, until the group is blocked; nothing behind it comes before.
async fn until_blocked(service: &Service, member: &Member) -> anyhow::Result<m::StuckChange> {
    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    for _ in 0..80 {
        let messages = read(&consumer, 1).await?;
        assert_eq!(bodies(&messages), [change(1, 1)]);
        acked(&messages[0], AckKind::Nak(None)).await?;
        let status = service.seen(&member.group).await.status.unwrap();
        if status.state() == GroupState::Blocked {
            assert!(status.reason.contains("LSN 0/100"), "{}", status.reason);
            return Ok(status.stuck[0].clone());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("the group is not blocked")
}

#[tokio::test]
async fn an_ordered_group_is_blocked_until_the_change_is_put_away() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    allow(&service, &member, 3).await?;
    service.transactions(&task, 1..=2).await?;
    let stuck = until_blocked(&service, &member).await?;
    assert!(stuck.attempts >= 3, "{stuck:?}");
    assert_eq!(stuck.position.clone().unwrap().sequence, 1);
    assert_eq!(letters(&service, &member).await, []);

    let refusal = service.refusal::<SkipChange>(&skip(&member, 2)).await;
    assert_eq!(
        (refusal.code.as_str(), refusal.field.as_str()),
        ("not_next", "sequence")
    );
    let behind = service.ask::<SkipChange>(&skip(&member, 1)).await?;
    assert_eq!(behind.status.unwrap().state(), GroupState::Ok);
    let kept = &letters(&service, &member).await[0];
    assert_eq!(kept.cause(), DeadLetterCause::Skipped);
    assert!(
        kept.attempts >= 3 && kept.last_error == "no such customer",
        "{kept:?}"
    );
    let refusal = service.refusal::<SkipChange>(&skip(&member, 1)).await;
    assert_eq!(refusal.code, "not_next");

    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    eventually("the group goes on", LIMIT, async || {
        let Ok(messages) = read(&consumer, 3).await else {
            return false;
        };
        bodies(&messages) == [change(1, 2), change(2, 1), change(2, 2)]
    })
    .await;
    service
        .ask::<RedriveDeadLetters>(&letter(&member, kept.id))
        .await?;
    let again = read(&redriven(&member, &client).await?, 1).await?;
    assert_eq!(bodies(&again), [change(1, 1)]);

    let told = service.facts::<GroupStateChanged>().await?;
    // That it has a dead letter is told too.
    let told = told.iter().filter(|fact| fact.from() != fact.to());
    let told: Vec<GroupState> = told.map(GroupStateChanged::to).collect();
    assert_eq!(told, [GroupState::Blocked, GroupState::Ok]);
    Ok(())
}

#[tokio::test]
async fn a_blocked_group_is_warned_before_it_loses_anything() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service
        .make_stream_of(&task, Duration::ZERO, 20_000)
        .await?;
    let member = service.group(&task, "orders").await?;
    allow(&service, &member, 3).await?;
    service.transactions(&task, 1..=2).await?;
    until_blocked(&service, &member).await?;
    // About 300 bytes a message.
    service.transactions(&task, 3..=28).await?;
    eventually("the reason tells both", LIMIT, async || {
        let status = service.seen(&member.group).await.status.unwrap();
        let parts = ["nothing behind it can be read", "of the 20000 that"];
        status.state() == GroupState::Blocked
            && parts.iter().all(|part| status.reason.contains(part))
    })
    .await;
    let told = service.facts::<GroupStateChanged>().await?;
    let told: Vec<(GroupState, bool)> = told
        .iter()
        .map(|fact| (fact.to(), fact.warning() != ""))
        .collect();
    assert_eq!(
        told,
        [(GroupState::Blocked, false), (GroupState::Blocked, true)]
    );
    Ok(())
}

#[tokio::test]
async fn a_partition_of_a_keyed_group_goes_on_alone() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group_of(&task, "orders", GroupMode::Keyed).await?;
    allow(&service, &member, 2).await?;
    for (partition, number) in [(0, 1), (2, 2), (0, 3), (2, 4)] {
        let body = change(number, 1);
        service.change_in(&task, Some(partition), &body).await?;
    }
    let client = member.connect().await?;
    let name = |partition: &str| format!("g_{}_{partition}", member.group.id);
    let stuck = member.consumer_named(&client, &name("000")).await?;
    eventually("the group is blocked", LIMIT, async || {
        let messages = read(&stuck, 1).await.unwrap();
        assert_eq!(bodies(&messages), [change(1, 1)]);
        acked(&messages[0], AckKind::Nak(None)).await.unwrap();
        let status = service.seen(&member.group).await.status.unwrap();
        status.state() == GroupState::Blocked
    })
    .await;
    let other = member.consumer_named(&client, &name("002")).await?;
    let messages = read(&other, 1).await?;
    acked(&messages[0], AckKind::Ack).await?;

    // 3 comes later in that partition, and 4 is what the other one is to acknowledge.
    let refusal = service.refusal::<SkipChange>(&skip(&member, 3)).await;
    assert_eq!(refusal.code, "not_next");
    assert!(refusal.detail.contains("1, 4"), "{}", refusal.detail);
    service.ask::<SkipChange>(&skip(&member, 1)).await?;
    let kept = letters(&service, &member).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].cause(), DeadLetterCause::Skipped);
    assert!(kept[0].attempts >= 2, "{kept:?}");

    let client = member.connect().await?;
    for (partition, expected) in [("000", change(3, 1)), ("002", change(4, 1))] {
        let consumer = member.consumer_named(&client, &name(partition)).await?;
        eventually("each partition goes on", LIMIT, async || {
            let messages = read(&consumer, 1).await.unwrap_or_default();
            bodies(&messages) == [expected.clone()]
        })
        .await;
    }
    Ok(())
}

impl Service {
    /// A group that puts away by itself what it was sent twice.
    async fn that_goes_on(&self, task: &TaskId, mode: GroupMode) -> anyhow::Result<Member> {
        let wish = m::CreateGroupRequest {
            mode: mode.into(),
            max_deliver: Some(2),
            on_exhausted: OnExhausted::DeadLetter.into(),
            ..self.wish(task, "orders")
        };
        self.make(wish).await
    }
}

/// Reads with one of the group's consumers, and gives back, until so many changes were put away.
async fn until_put_away(
    service: &Service,
    member: &Member,
    (name, count): (&str, usize),
) -> anyhow::Result<Vec<m::DeadLetter>> {
    for _ in 0..80 {
        let kept = letters(service, member).await;
        if kept.len() == count {
            return Ok(kept);
        }
        // It is cut off, and sent nothing for some seconds, where the group is moved.
        give_back(member, name).await.ok();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("nothing is put away")
}

async fn give_back(member: &Member, name: &str) -> anyhow::Result<()> {
    let client = member.connect().await?;
    let consumer = member.consumer_named(&client, name).await?;
    let messages = read(&consumer, 1).await?;
    acked(&messages[0], AckKind::Nak(None)).await
}

fn is_exhausted(kept: &m::DeadLetter) -> bool {
    let is_told = kept.attempts >= 2 && kept.last_error.contains("times or more");
    kept.cause() == DeadLetterCause::Exhausted && is_told
}

/// Who has moved the group, and to where, once it was moved so often.
async fn moves(service: &Service, count: usize) -> anyhow::Result<Vec<(String, u64)>> {
    eventually("the group is moved", LIMIT, async || {
        let facts = service.facts::<GroupMoved>().await;
        facts.is_ok_and(|facts| facts.len() >= count)
    })
    .await;
    let facts = service.facts::<GroupMoved>().await?;
    let moves = facts
        .into_iter()
        .map(|fact| (fact.actor, fact.next_sequence));
    Ok(moves.collect())
}

#[tokio::test]
async fn an_ordered_group_that_does_not_wait_goes_on_behind_what_is_exhausted() -> anyhow::Result<()>
{
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.that_goes_on(&task, GroupMode::Ordered).await?;
    assert_eq!(member.group.on_exhausted(), OnExhausted::DeadLetter);
    service.transactions(&task, 1..=2).await?;
    let name = member.connection.consumer.clone();
    let kept = until_put_away(&service, &member, (&name, 1)).await?;
    assert!(is_exhausted(&kept[0]), "{kept:?}");
    assert_eq!(kept[0].position.clone().unwrap().sequence, 1);
    let moved = ("service:consumer-group".to_owned(), 2);
    assert_eq!(moves(&service, 1).await?, [moved]);

    let rest = [change(1, 2), change(2, 1), change(2, 2)];
    eventually("the group goes on", LIMIT, async || {
        let Ok(client) = member.connect().await else {
            return false;
        };
        let consumer = member.consumer(&client).await.unwrap();
        let messages = read(&consumer, 3).await.unwrap_or_default();
        bodies(&messages) == rest
    })
    .await;
    let mut told = service.facts::<GroupStateChanged>().await?;
    // That it has a dead letter is told all the same.
    told.retain(|fact| fact.from() != fact.to());
    assert_eq!(told, [], "nobody is waited for");
    assert_eq!(letters(&service, &member).await, kept);
    let told = &letters_told::of(&service, &member, 1).await?[0];
    assert_eq!(told.cause(), DeadLetterCause::Exhausted);
    assert_eq!((told.first_sequence, told.last_sequence), (1, 1));
    Ok(())
}

#[tokio::test]
async fn a_group_that_does_not_wait_is_blocked_while_it_has_as_many_letters_as_it_may()
-> anyhow::Result<()> {
    let service = Service::start_with(&[("ROWCAST_DEAD_LETTERS_PER_GROUP", "1")]).await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.that_goes_on(&task, GroupMode::Ordered).await?;
    service.transactions(&task, 1..=1).await?;
    let name = member.connection.consumer.clone();
    let kept = until_put_away(&service, &member, (&name, 1)).await?;
    eventually("the group is blocked", 2 * LIMIT, async || {
        give_back(&member, &name).await.ok();
        let status = service.seen(&member.group).await.status.unwrap();
        status.state() == GroupState::Blocked
    })
    .await;
    assert_eq!(letters(&service, &member).await, kept);
    let all = letter(&member, 0);
    assert_eq!(service.ask::<DiscardDeadLetters>(&all).await?.done, 1);
    let next = until_put_away(&service, &member, (&name, 1)).await?;
    assert_eq!(next[0].position.clone().unwrap().sequence, 2);
    Ok(())
}

#[tokio::test]
async fn each_partition_of_a_keyed_group_that_does_not_wait_goes_on() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.that_goes_on(&task, GroupMode::Keyed).await?;
    for (partition, number) in [(0, 1), (2, 2), (0, 3), (2, 4)] {
        let body = change(number, 1);
        service.change_in(&task, Some(partition), &body).await?;
    }
    let name = |partition: &str| format!("g_{}_{partition}", member.group.id);
    let first = until_put_away(&service, &member, (&name("000"), 1)).await?;
    let both = until_put_away(&service, &member, (&name("002"), 2)).await?;
    assert_eq!(both[0], first[0]);
    assert!(both.iter().all(is_exhausted), "{both:?}");
    let at = |kept: &m::DeadLetter| kept.position.clone().unwrap().sequence;
    assert_eq!((at(&both[0]), at(&both[1])), (1, 2));
    let by = || "service:consumer-group".to_owned();
    assert_eq!(moves(&service, 2).await?, [(by(), 2), (by(), 3)]);
    for (partition, expected) in [("000", change(3, 1)), ("002", change(4, 1))] {
        eventually("each partition goes on", LIMIT, async || {
            let Ok(client) = member.connect().await else {
                return false;
            };
            let consumer = member.consumer_named(&client, &name(partition)).await;
            let messages = read(&consumer.unwrap(), 1).await.unwrap_or_default();
            bodies(&messages) == [expected.clone()]
        })
        .await;
    }
    Ok(())
}

/// Nothing that moves a group is committed.
const CRASH: &str = "
    CREATE FUNCTION consumer_group.crash() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'crash'; END $$;
    CREATE CONSTRAINT TRIGGER crash AFTER UPDATE ON consumer_group.standings
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.next_sequence IS NOT NULL) EXECUTE FUNCTION consumer_group.crash()";

#[tokio::test]
async fn a_crash_behind_the_letter_puts_nothing_away_twice_and_loses_nothing() -> anyhow::Result<()>
{
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.that_goes_on(&task, GroupMode::Ordered).await?;
    service.transactions(&task, 1..=1).await?;
    sqlx::raw_sql(CRASH).execute(&service.pool).await?;
    let name = member.connection.consumer.clone();
    let kept = until_put_away(&service, &member, (&name, 1)).await?;
    eventually("the group is blocked for now", LIMIT, async || {
        let status = service.seen(&member.group).await.status.unwrap();
        status.state() == GroupState::Blocked
    })
    .await;
    // Whoever reads letters does so meanwhile: that one must not come again.
    let wish = letter(&member, kept[0].id);
    service.ask::<DiscardDeadLetters>(&wish).await?;
    sqlx::raw_sql("DROP TRIGGER crash ON consumer_group.standings")
        .execute(&service.pool)
        .await?;
    let moved = ("service:consumer-group".to_owned(), 2);
    assert_eq!(moves(&service, 1).await?, [moved]);
    eventually("the group goes on", LIMIT, async || {
        let Ok(client) = member.connect().await else {
            return false;
        };
        let consumer = member.consumer(&client).await.unwrap();
        let messages = read(&consumer, 1).await.unwrap_or_default();
        bodies(&messages) == [change(1, 2)]
    })
    .await;
    assert_eq!(letters(&service, &member).await, []);
    Ok(())
}

#[tokio::test]
async fn what_can_never_be_put_away_is_refused() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let shared = m::CreateGroupRequest {
        mode: GroupMode::Shared.into(),
        on_exhausted: OnExhausted::Block.into(),
        ..service.wish(&task, "shared")
    };
    let refusal = service.refusal::<CreateGroup>(&shared).await;
    assert_eq!(
        (refusal.code.as_str(), refusal.field.as_str()),
        ("on_exhausted_shared", "on_exhausted")
    );
    let member = service.group(&task, "orders").await?;
    assert_eq!(member.group.on_exhausted(), OnExhausted::Block);
    let update = |max_deliver, on_exhausted: OnExhausted| m::UpdateGroupRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        max_deliver,
        on_exhausted: on_exhausted.into(),
        ..m::UpdateGroupRequest::default()
    };
    let goes_on = update(None, OnExhausted::DeadLetter);
    let changed = service.ask::<UpdateGroup>(&goes_on).await?;
    assert_eq!(changed.on_exhausted(), OnExhausted::DeadLetter);
    let limitless = update(Some(0), OnExhausted::Unspecified);
    let refusal = service.refusal::<UpdateGroup>(&limitless).await;
    assert_eq!(
        (refusal.code.as_str(), refusal.field.as_str()),
        ("on_exhausted_never", "max_deliver")
    );
    let seen = service.seen(&member.group).await;
    let as_it_was = (10, OnExhausted::DeadLetter);
    assert_eq!((seen.max_deliver, seen.on_exhausted()), as_it_was);
    let waits = update(Some(0), OnExhausted::Block);
    let changed = service.ask::<UpdateGroup>(&waits).await?;
    assert_eq!(changed.on_exhausted(), OnExhausted::Block);
    Ok(())
}

#[tokio::test]
async fn what_holds_nothing_up_in_order_is_not_put_away_by_hand() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    service.transactions(&task, 1..=1).await?;
    let wish = m::CreateGroupRequest {
        mode: GroupMode::Shared.into(),
        ..service.wish(&task, "shared")
    };
    let group = service.ask::<CreateGroup>(&wish).await?;
    let question = m::SkipChangeRequest {
        task_id: task.to_string(),
        group_id: group.id,
        sequence: 1,
        ..m::SkipChangeRequest::default()
    };
    let refusal = service.refusal::<SkipChange>(&question).await;
    assert_eq!(refusal.code, "group_not_ordered");
    assert!(!refusal.repair.is_empty());
    Ok(())
}
