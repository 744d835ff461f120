//! Groups that lose what they have not read, and what is kept of them over time.

use std::time::Duration;

use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::move_group_request::Target;
use rowcast_proto::message::{GroupState, GroupStateChanged};
use rowcast_proto::rpc::{GetGroupHistory, ListConsumption, MoveGroup};
use rowcast_testkit::eventually;

use crate::fixture::{LIMIT, Member, Service, committed_at};

/// Longer than the watch needs to see something.
const SEEN: Duration = Duration::from_secs(40);

async fn has_state(service: &Service, member: &Member, state: GroupState) {
    eventually("the state is seen", SEEN, async || {
        let status = service.seen(&member.group).await.status.unwrap();
        status.state() == state
    })
    .await;
}

async fn states(service: &Service, member: &Member) -> anyhow::Result<Vec<GroupState>> {
    let facts = service.facts::<GroupStateChanged>().await?;
    let mine = facts.iter().filter(|fact| fact.group_id == member.group.id);
    Ok(mine.map(GroupStateChanged::to).collect())
}

/// Waits until the watch has seen the group as it is.
async fn is_looked_at(service: &Service, member: &Member, acknowledged: i64) {
    let query = "SELECT count(*) FROM consumer_group.standings, jsonb_each(seen) AS consumer
                 WHERE group_id = $1 AND (consumer.value->>'acknowledged')::bigint = $2";
    eventually("the group is looked at", SEEN, async || {
        let seen: Result<i64, _> = sqlx::query_scalar(query)
            .bind(&member.group.id)
            .bind(acknowledged)
            .fetch_one(&service.pool)
            .await;
        matches!(seen, Ok(1))
    })
    .await;
}

#[tokio::test]
async fn a_gap_is_told_once_and_ends_with_the_first_change_read_behind_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service
        .make_stream_of(&task, Duration::ZERO, 20_000)
        .await?;
    let member = service.group(&task, "orders").await?;
    let abreast = service.group(&task, "abreast").await?;
    service.transactions(&task, 1..=5).await?;
    let client = member.connect().await?;
    member.reads(&client, 4).await?;
    let of_abreast = abreast.connect().await?;
    abreast.reads(&of_abreast, 10).await?;
    // Each time less than half of what the stream keeps, so that nothing is lost of what is read at once.
    for first in (6..=66).step_by(15) {
        service.transactions(&task, first..=first + 14).await?;
        abreast.reads(&of_abreast, 30).await?;
    }
    has_state(&service, &member, GroupState::Gap).await;
    let status = service.seen(&member.group).await.status.unwrap();
    let first = status.range.unwrap().first.unwrap();
    assert!(first.sequence > 5, "{first:?}");
    let expected = [
        format!("from 5 to {} ", first.sequence - 1),
        format!("still there is {}, LSN {}", first.sequence, first.lsn),
    ];
    for part in expected {
        assert!(status.reason.contains(&part), "{}", status.reason);
    }
    is_looked_at(&service, &abreast, 160).await;
    assert_eq!(states(&service, &abreast).await?, []);
    let late = service.group(&task, "late").await?;
    is_looked_at(&service, &late, i64::try_from(first.sequence)? - 1).await;
    let told = states(&service, &late).await?;
    assert!(
        !told.contains(&GroupState::Gap),
        "it begins behind what is gone"
    );

    member.reads(&client, 20).await?;
    has_state(&service, &member, GroupState::Ok).await;
    assert_eq!(
        states(&service, &member).await?,
        [GroupState::Gap, GroupState::Ok]
    );

    service.transactions(&task, 81..=82).await?;
    abreast.reads(&of_abreast, 4).await?;
    is_looked_at(&service, &abreast, 164).await;
    assert_eq!(states(&service, &abreast).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_gap_ends_with_a_move() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    service.transactions(&task, 1..=5).await?;
    is_looked_at(&service, &member, 0).await;
    let stream = service.capture.jetstream();
    let stream = stream.get_stream(&member.connection.stream).await?;
    stream.purge().await?;
    has_state(&service, &member, GroupState::Gap).await;
    let question = m::MoveGroupRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        actor: "user:test".to_owned(),
        force: false,
        target: Some(Target::Latest(true)),
    };
    let moved = service.ask::<MoveGroup>(&question).await?;
    let status = moved.status.unwrap();
    assert_eq!(
        (status.state(), status.reason.as_str()),
        (GroupState::Ok, "")
    );
    assert_eq!(moved.acknowledged_sequence, 10);
    assert_eq!(
        states(&service, &member).await?,
        [GroupState::Gap, GroupState::Ok]
    );
    Ok(())
}

#[tokio::test]
async fn a_group_is_warned_before_it_loses_anything() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (by_age, by_bytes) = (TaskId::random(), TaskId::random());
    service
        .make_stream_of(&by_age, Duration::from_secs(60), -1)
        .await?;
    service
        .make_stream_of(&by_bytes, Duration::ZERO, 20_000)
        .await?;
    let (old, full) = (
        service.group(&by_age, "orders").await?,
        service.group(&by_bytes, "orders").await?,
    );
    service.transactions(&by_age, 1..=1).await?;
    // About 300 bytes a message.
    service.transactions(&by_bytes, 1..=28).await?;
    has_state(&service, &full, GroupState::Warning).await;
    let reason = service.seen(&full.group).await.status.unwrap().reason;
    assert!(reason.contains("of the 20000"), "{reason}");
    eventually(
        "the group is warned by age",
        Duration::from_secs(70),
        async || {
            let status = service.seen(&old.group).await.status.unwrap();
            status.state() == GroupState::Warning
                && status.reason.contains("keeps changes for 60 s")
        },
    )
    .await;
    Ok(())
}

#[tokio::test]
async fn how_far_a_group_was_is_kept_and_told_in_pieces() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let member = service.group(&task, "orders").await?;
    service.transactions(&task, 1..=3).await?;
    let now = chrono::Utc::now();
    let question = |since: chrono::TimeDelta, points| m::GroupHistoryRequest {
        task_id: member.group.task_id.clone(),
        group_id: member.group.id.clone(),
        since: Some((now - since).into()),
        until: Some((now + chrono::TimeDelta::hours(1)).into()),
        points,
    };
    let minute = question(chrono::TimeDelta::minutes(1), 1000);
    eventually("a sample is taken", SEEN + LIMIT, async || {
        let told = service.ask::<GetGroupHistory>(&minute).await.unwrap();
        let last = told.samples.last();
        last.is_some_and(|last| (last.unread, last.delay_seconds, last.members) == (6, 120, 0))
    })
    .await;
    sqlx::query(
        "INSERT INTO consumer_group.samples
         SELECT $1, now() - interval '6 hours' + n * interval '30 seconds', false, n, 500 - n, 0, n, 1
         FROM generate_series(0, 499) AS n",
    )
    .bind(&member.group.id)
    .execute(&service.pool)
    .await?;
    let told = service
        .ask::<GetGroupHistory>(&question(chrono::TimeDelta::hours(7), 100))
        .await?
        .samples;
    assert!((40..=100).contains(&told.len()), "{}", told.len());
    assert!(
        told.iter().any(|sample| sample.unread == 500),
        "the worst is told"
    );
    assert!(told.is_sorted_by_key(|sample| sample.at.as_ref().map(|at| at.seconds)));

    let refusal = service
        .refusal::<GetGroupHistory>(&question(chrono::TimeDelta::hours(-2), 100))
        .await;
    assert_eq!(refusal.field, "since");
    let refusal = service
        .refusal::<GetGroupHistory>(&question(chrono::TimeDelta::hours(1), 1001))
        .await;
    assert_eq!(refusal.field, "points");
    Ok(())
}

#[tokio::test]
async fn of_a_task_in_a_list_the_slowest_group_is_told() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let task = TaskId::random();
    service.make_stream(&task).await?;
    let groups = [
        service.group(&task, "abreast").await?,
        service.group(&task, "behind").await?,
    ];
    service.transactions(&task, 1..=3).await?;
    for (member, count) in groups.iter().zip([6, 2]) {
        member.reads(&member.connect().await?, count).await?;
    }
    let question = m::ListConsumptionRequest {
        task_ids: vec![task.to_string(), TaskId::random().to_string()],
    };
    let of_a_minute: chrono::DateTime<chrono::Utc> = committed_at(1).parse()?;
    eventually("the last look is told", SEEN + LIMIT, async || {
        let told = service.ask::<ListConsumption>(&question).await.unwrap();
        assert_eq!(
            told.tasks.len(),
            1,
            "of a task without groups there is nothing"
        );
        let told = &told.tasks[0];
        (
            told.groups,
            told.slowest.as_str(),
            told.unread,
            told.delay_seconds,
        ) == (2, "behind", 4, 120)
            && told.acknowledged_sequence == 2
            && told.acknowledged_at == Some(of_a_minute.into())
    })
    .await;
    Ok(())
}
