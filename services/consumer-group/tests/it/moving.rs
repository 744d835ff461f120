//! A group's position is moved, and only as far as the stream reaches.

use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::message::{ErrorKind, GroupMoved};
use rowcast_proto::rpc::MoveGroup;
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Member, Service, committed_at, read};

fn to(member: &Member, target: Target) -> m::MoveGroupRequest {
    m::MoveGroupRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        force: false,
        target: Some(target),
    }
}

fn by_force(member: &Member, target: Target) -> m::MoveGroupRequest {
    m::MoveGroupRequest {
        force: true,
        ..to(member, target)
    }
}

fn at(time: &str) -> Target {
    let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
    Target::Time(time.into())
}

/// A group of a task with a hundred transactions.
async fn group(service: &Service) -> anyhow::Result<Member> {
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    service.transactions(&task, 1..=100).await?;
    Ok(member)
}

#[tokio::test]
async fn a_position_is_moved_by_time_lsn_transaction_and_sequence() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = group(&service).await?;
    // Each transaction has two messages: that of number n begins at 2n - 1.
    let cases = [
        (at("2026-11-23T00:40:00Z"), 79),
        (at("2026-11-23T00:39:59.5Z"), 79),
        (Target::Lsn("0/2800".to_owned()), 79),
        (Target::Lsn("0/2701".to_owned()), 79),
        (Target::Lsn("0/100".to_owned()), 1),
        (Target::Transaction(740), 79),
        (Target::Transaction(701), 1),
        (Target::Transaction(800), 199),
        (Target::Sequence(80), 80),
        (Target::Latest(true), 201),
        (Target::Earliest(true), 1),
    ];
    // The reconciler may come upon a move that is under way: it takes a number of its own for it, so one may be missing.
    let mut generation = 0;
    for (target, sequence) in cases {
        let moved = service
            .ask::<MoveGroup>(&to(&member, target.clone()))
            .await?;
        assert_eq!(moved.acknowledged_sequence, sequence - 1, "{target:?}");
        assert_eq!(moved.pending, 201 - sequence, "{target:?}");
        let number = moved.status.unwrap().generation;
        assert!(number > generation, "{number} after {generation}");
        generation = number;
    }
    let facts = service.facts::<GroupMoved>().await?;
    let last = facts.last().unwrap();
    assert_eq!((facts.len(), last.generation), (11, generation));
    assert_eq!((last.acknowledged_sequence, last.next_sequence), (200, 1));
    assert_eq!(last.actor, "user:test");

    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    let first = read(&consumer, 1).await?;
    assert_eq!(first[0].info().unwrap().stream_sequence, 1);
    Ok(())
}

#[tokio::test]
async fn what_lies_outside_is_refused_with_the_range() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = group(&service).await?;
    let stream = service.capture.jetstream();
    let stream = stream.get_stream(&member.connection.stream).await?;
    // Retention takes the first twenty transactions and half of the next one.
    stream.purge().sequence(42).await?;
    let cases = [
        (at("2026-11-23T00:20:00Z"), "time"),
        (at("2026-11-23T02:00:00Z"), "time"),
        (Target::Lsn("0/1400".to_owned()), "lsn"),
        (Target::Lsn("0/1500".to_owned()), "lsn"),
        (Target::Lsn("1/0".to_owned()), "lsn"),
        (Target::Sequence(41), "sequence"),
        (Target::Sequence(202), "sequence"),
        (Target::Transaction(710), "transaction"),
        (Target::Transaction(721), "transaction"),
        (Target::Transaction(5), "transaction"),
    ];
    for (target, field) in cases {
        let refusal = service
            .refusal::<MoveGroup>(&to(&member, target.clone()))
            .await;
        assert_eq!(
            refusal.kind(),
            ErrorKind::Conflict,
            "{target:?}: {refusal:?}"
        );
        assert_eq!(refusal.code, "position_outside");
        assert_eq!(refusal.field, field);
        let names = [
            "sequences 42 to 200",
            "LSN 0/1500",
            "LSN 0/6400",
            &committed_at(100),
        ];
        for name in names {
            assert!(refusal.detail.contains(name), "{}", refusal.detail);
        }
    }
    let moved = service
        .ask::<MoveGroup>(&to(&member, Target::Earliest(true)))
        .await?;
    assert_eq!(moved.acknowledged_sequence, 41);
    let nothing = m::MoveGroupRequest {
        target: None,
        ..to(&member, Target::Latest(true))
    };
    let refusal = service.refusal::<MoveGroup>(&nothing).await;
    assert_eq!(refusal.code, "target_missing");
    assert_eq!(service.facts::<GroupMoved>().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_connected_member_forbids_the_move_and_is_named() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = group(&service).await?;
    let client = member
        .options()
        .name("warehouse")
        .connect(&member.connection.urls)
        .await?;
    member.reads(&client, 4).await?;
    let refusal = service
        .refusal::<MoveGroup>(&to(&member, Target::Earliest(true)))
        .await;
    assert_eq!(
        (refusal.kind(), refusal.code.as_str()),
        (ErrorKind::Conflict, "group_connected")
    );
    assert!(refusal.detail.contains("(warehouse)"), "{}", refusal.detail);
    assert_eq!(service.seen(&member.group).await.acknowledged_sequence, 4);
    Ok(())
}

#[tokio::test]
async fn a_late_acknowledgement_of_a_client_that_was_cut_off_moves_nothing() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = group(&service).await?;
    let client = member.connect().await?;
    let old = read(&member.consumer(&client).await?, 50).await?;
    old[9]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let connects = || {
        client
            .statistics()
            .connects
            .load(std::sync::atomic::Ordering::Relaxed)
    };
    let before = connects();

    let moved = service
        .ask::<MoveGroup>(&by_force(&member, Target::Earliest(true)))
        .await?;
    assert_eq!((moved.acknowledged_sequence, moved.pending), (0, 200));
    eventually("the client is back", LIMIT, async || connects() > before).await;
    // What it still had to say, as its worker ends.
    old[49]
        .ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    client.flush().await?;
    let again = read_again(&member, &client).await?;
    assert_eq!(again, (1..=20).collect::<Vec<u64>>());
    let seen = service.seen(&member.group).await;
    assert_eq!((seen.acknowledged_sequence, seen.in_flight), (0, 20));
    Ok(())
}

/// The sequences of the next twenty messages, once the pause is over.
async fn read_again(
    member: &Member,
    client: &rowcast_bus::async_nats::Client,
) -> anyhow::Result<Vec<u64>> {
    let consumer = member.consumer(client).await?;
    let mut sequences = Vec::new();
    while sequences.len() < 20 {
        let batch = consumer
            .fetch()
            .max_messages(20 - sequences.len())
            .messages()
            .await?;
        let mut batch = Box::pin(batch);
        while let Some(message) = futures::StreamExt::next(&mut batch).await {
            let message = message.map_err(|error| anyhow::anyhow!(error))?;
            sequences.push(message.info().unwrap().stream_sequence);
        }
    }
    Ok(sequences)
}

#[tokio::test]
async fn a_wish_that_a_crash_has_left_is_carried_out() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let member = group(&service).await?;
    let client = member.connect().await?;
    member.reads(&client, 100).await?;
    drop(client);
    // As a copy leaves it that ends between the wish and the move.
    sqlx::query(
        "INSERT INTO consumer_group.standings (group_id, generation, next_sequence, moved_by)
         VALUES ($1, 1, 21, 'user:test')
         ON CONFLICT (group_id) DO UPDATE SET generation = 1, next_sequence = 21, moved_by = 'user:test'",
    )
    .bind(&member.group.id)
    .execute(&service.pool)
    .await?;
    eventually("the group is moved", LIMIT, async || {
        let query = "SELECT count(*) FROM consumer_group.standings WHERE next_sequence IS NULL";
        let done: Result<i64, _> = sqlx::query_scalar(query).fetch_one(&service.pool).await;
        matches!(done, Ok(1))
    })
    .await;
    assert_eq!(service.seen(&member.group).await.acknowledged_sequence, 20);
    let facts = service.facts::<GroupMoved>().await?;
    assert_eq!(
        (facts.len(), facts[0].next_sequence, facts[0].generation),
        (1, 21, 1)
    );
    Ok(())
}
