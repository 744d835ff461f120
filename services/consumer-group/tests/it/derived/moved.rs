//! Positions of groups with streams of their own.

use std::cell::Cell;

use rowcast_bus::async_nats::jetstream::AckKind;
use rowcast_domain::{Lsn, Position, TaskId};
use rowcast_proto::derived::ID;
use rowcast_proto::message as m;
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::rpc::{MoveGroup, SkipChange, UpdateGroup};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use super::{POLICY, Written, transaction};
use crate::dead_letters::{acked, letters};
use crate::fixture::{LIMIT, Member, Service, read};

/// A policy that fits no table.
const UNFIT: &str = "e_keep(op_eq(`colour`, 'red'))";

/// When the transaction with this number is committed: behind the shape of the table.
fn time(number: u64) -> String {
    format!("2026-11-23T06:{number:02}:00.000000Z")
}

fn at(number: u64) -> Target {
    let time: chrono::DateTime<chrono::Utc> = time(number).parse().unwrap();
    Target::Time(time.into())
}

/// Transactions a minute apart, of so many paid orders each.
fn transactions(task: &TaskId, numbers: std::ops::RangeInclusive<u64>) -> Vec<Written> {
    let mut all = Vec::new();
    for number in numbers {
        all.extend(dated(number, transaction(task, number, &[true, true])));
    }
    all
}

fn dated(number: u64, mut all: Vec<Written>) -> Vec<Written> {
    for one in &mut all {
        one.body["committed_at"] = json!(time(number));
    }
    all
}

fn to(member: &Member, target: Target) -> m::MoveGroupRequest {
    m::MoveGroupRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        force: true,
        target: Some(target),
    }
}

impl Service {
    /// Where the messages of the group's own stream stand, in order.
    async fn places(&self, member: &Member) -> anyhow::Result<Vec<Position>> {
        let jetstream = self.capture.jetstream();
        let own = jetstream.get_stream(&member.connection.stream).await?;
        let mut places = Vec::new();
        for sequence in 1..=own.cached_info().state.last_sequence {
            let message = own.get_raw_message(sequence).await?;
            places.push(message.headers.get(ID).unwrap().as_str().parse()?);
        }
        Ok(places)
    }

    async fn moves(&self, member: &Member, target: Target) -> anyhow::Result<u64> {
        let moved = self.ask::<MoveGroup>(&to(member, target)).await?;
        Ok(moved.acknowledged_sequence + 1)
    }

    async fn gives(&self, member: &Member, script: &str) -> anyhow::Result<()> {
        let wish = m::UpdateGroupRequest {
            task_id: member.group.task_id.clone(),
            group_id: member.group.id.clone(),
            actor: "user:test".to_owned(),
            etl: Some(m::EtlPolicy {
                script: script.to_owned(),
                on_error: m::RowErrorAction::Park.into(),
            }),
            ..m::UpdateGroupRequest::default()
        };
        self.ask::<UpdateGroup>(&wish).await?;
        Ok(())
    }
}

/// Sequence of the first message of this transaction, from 1.
fn first_of(places: &[Position], number: u64) -> u64 {
    let lsn = Lsn::new(number * 0x100);
    let index = places.iter().position(|place| place.commit_lsn >= lsn);
    index.unwrap() as u64 + 1
}

async fn is_moved_to_each_target(format: m::GroupFormat) -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transactions(&task, 1..=3)).await?;
    let mode = m::GroupMode::Ordered;
    let member = service.derived(&task, mode, "", format).await?;
    service.is_made(&member).await;
    let places = service.places(&member).await?;
    let (second, end) = (first_of(&places, 2), places.len() as u64 + 1);
    let cases = [
        (at(2), second),
        (Target::Lsn("0/200".to_owned()), second),
        (Target::Lsn("0/1F0".to_owned()), second),
        (Target::Transaction(702), second),
        (Target::Sequence(second + 1), second + 1),
        (Target::Earliest(true), 1),
        (Target::Latest(true), end),
    ];
    for (target, sequence) in cases {
        let next = service.moves(&member, target.clone()).await?;
        assert_eq!(next, sequence, "{target:?}");
    }
    for target in [at(9), Target::Lsn("0/900".to_owned())] {
        let refusal = service.refusal::<MoveGroup>(&to(&member, target)).await;
        assert_eq!(refusal.code, "position_outside", "{refusal:?}");
    }
    let facts = service.facts::<m::GroupMoved>().await?;
    assert_eq!(facts.len(), 7);
    assert_eq!(facts[6].next_sequence, end);
    Ok(())
}

#[tokio::test]
async fn a_group_that_is_told_cloudevents_is_moved_to_each_target() -> anyhow::Result<()> {
    is_moved_to_each_target(m::GroupFormat::Cloudevents).await
}

#[tokio::test]
async fn a_group_that_is_told_as_by_debezium_is_moved_to_each_target() -> anyhow::Result<()> {
    is_moved_to_each_target(m::GroupFormat::Debezium).await
}

#[tokio::test]
async fn what_the_own_stream_is_not_made_of_is_refused_until_it_is() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transactions(&task, 1..=3)).await?;
    let (mode, format) = (m::GroupMode::Ordered, m::GroupFormat::Debezium);
    let member = service.derived(&task, mode, UNFIT, format).await?;
    service.stops(&member.group, "colour").await;
    let backlog = [
        (Target::Latest(true), "latest"),
        (at(2), "time"),
        (Target::Lsn("0/200".to_owned()), "lsn"),
        (Target::Transaction(703), "transaction"),
    ];
    for (target, field) in backlog {
        let refusal = service.refusal::<MoveGroup>(&to(&member, target)).await;
        let named = (refusal.code.as_str(), refusal.field.as_str());
        assert_eq!(named, ("own_stream_behind", field), "{refusal:?}");
        assert!(refusal.repair.contains("stopped"), "{refusal:?}");
    }
    let nowhere = Target::Lsn("0/900".to_owned());
    let refusal = service.refusal::<MoveGroup>(&to(&member, nowhere)).await;
    assert_eq!(refusal.code, "position_outside");
    // What is there is found, as ever.
    let made = Target::Lsn("0/100".to_owned());
    let first = first_of(&service.places(&member).await?, 1);
    assert_eq!(service.moves(&member, made).await?, first);
    let earliest = Target::Earliest(true);
    assert_eq!(service.moves(&member, earliest).await?, 1);

    service.gives(&member, POLICY).await?;
    let next = Cell::new(0);
    eventually("the group is moved behind all", LIMIT, async || {
        let moved = service.moves(&member, Target::Latest(true)).await;
        next.set(moved.unwrap_or_default());
        next.get() > 0
    })
    .await;
    service.is_made(&member).await;
    let places = service.places(&member).await?;
    assert_eq!(next.get(), places.len() as u64 + 1);
    let second = Target::Transaction(702);
    assert_eq!(service.moves(&member, second).await?, first_of(&places, 2));
    Ok(())
}

#[tokio::test]
async fn a_place_that_the_policy_leaves_out_is_that_of_what_comes_next() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    // Rows without markers: of the second nothing is told.
    let row = |number: u64, is_paid: bool| {
        let all = dated(number, transaction(&task, number, &[is_paid]));
        all.into_iter().skip(1).take(1).collect::<Vec<_>>()
    };
    service.write(&row(1, true)).await?;
    service.write(&row(2, false)).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    service.is_made(&member).await;
    let end = service.places(&member).await?.len() as u64 + 1;
    let left_out = [
        at(2),
        Target::Lsn("0/200".to_owned()),
        Target::Transaction(702),
    ];
    for target in left_out {
        let next = service.moves(&member, target.clone()).await?;
        assert_eq!(next, end, "{target:?}");
    }
    service.write(&row(3, true)).await?;
    let client = member.connect().await?;
    eventually("the next one is told", LIMIT, async || {
        let consumer = member.consumer(&client).await.unwrap();
        let messages = read(&consumer, 1).await.unwrap_or_default();
        messages.first().is_some_and(|message| {
            let body: Value = serde_json::from_slice(&message.payload).unwrap();
            body["after"]["id"] == 301
        })
    })
    .await;
    Ok(())
}

/// The id in the row that a partition is sent next, and the message's sequence.
async fn row_of(member: &Member, partition: &str) -> Option<(Value, u64)> {
    let client = member.connect().await.ok()?;
    let name = format!("g_{}_{partition}", member.group.id);
    let consumer = member.consumer_named(&client, &name).await.ok()?;
    let messages = read(&consumer, 1).await.ok()?;
    let message = messages.first()?;
    let body: Value = serde_json::from_slice(&message.payload).unwrap();
    let sequence = message.info().unwrap().stream_sequence;
    // Whoever looks next is sent it at once.
    acked(message, AckKind::Nak(None)).await.ok()?;
    Some((body["after"]["id"].clone(), sequence))
}

async fn is_sent(member: &Member, partition: &str, id: u64) -> u64 {
    let found = Cell::new(0);
    eventually("the partition is sent the row", LIMIT, async || {
        let row = row_of(member, partition).await;
        row.is_some_and(|(sent, sequence)| {
            found.set(sequence);
            sent == id
        })
    })
    .await;
    found.get()
}

#[tokio::test]
async fn a_keyed_group_with_a_policy_is_skipped_and_moved() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    for number in 1..=2 {
        let all = dated(number, transaction(&task, number, &[true, true, true]));
        service.write(&all).await?;
    }
    let member = service.with_policy(&task, m::GroupMode::Keyed).await?;
    service.is_made(&member).await;
    // The rows 101 and 203 are of the partition 2, 102 and 201 of the partition 0.
    let sequence = is_sent(&member, "002", 101).await;
    let other = is_sent(&member, "000", 102).await;
    let skip = |sequence| m::SkipChangeRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        sequence,
        reason: "no such customer".to_owned(),
    };
    let places = service.places(&member).await?;
    let last = places.len() as u64;
    let refusal = service.refusal::<SkipChange>(&skip(last)).await;
    assert_eq!(refusal.code, "not_next");
    service.ask::<SkipChange>(&skip(sequence)).await?;
    let kept = letters(&service, &member).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].cause(), m::DeadLetterCause::Skipped);
    assert_eq!(kept[0].position.clone().unwrap().lsn, "0/100");
    is_sent(&member, "002", 203).await;
    assert_eq!(is_sent(&member, "000", 102).await, other);

    service.moves(&member, Target::Transaction(702)).await?;
    is_sent(&member, "000", 201).await;
    is_sent(&member, "002", 203).await;
    service.moves(&member, Target::Latest(true)).await?;
    let seen = service.seen(&member.group).await;
    assert_eq!((seen.pending, seen.in_flight), (0, 0));
    service.moves(&member, Target::Earliest(true)).await?;
    is_sent(&member, "002", 101).await;

    let facts = service.facts::<m::GroupMoved>().await?;
    let next: Vec<u64> = facts.iter().map(|fact| fact.next_sequence).collect();
    let second = first_of(&places, 2);
    assert_eq!(next, [sequence + 1, second, last + 1, 1]);
    Ok(())
}
