//! Messages of the task's stream that are gone, or stand there in another way than before.

use rowcast_bus::async_nats::jetstream::stream;
use rowcast_proto::message as m;
use rowcast_proto::stream::task_stream;
use rowcast_proto::subject::Op;
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use super::{Written, message, shape, transaction, written};
use crate::fixture::{LIMIT, Member, Service};

/// Several rows of a transaction in one message.
fn pack(task: &rowcast_domain::TaskId, number: u64, rows: &[Written]) -> Written {
    let mut body = message(number, rows.last().unwrap().ordinal(), "pack");
    body["pack"] = rows.iter().map(|row| row.body.clone()).collect();
    written(task, Some(0), Op::Pack, body)
}

impl Written {
    fn ordinal(&self) -> u64 {
        self.body["ordinal"].as_u64().unwrap()
    }
}

/// Ids of the rows that were told, in order, and what else was.
fn told(own: &[(String, Value)]) -> Vec<Value> {
    let rows = own
        .iter()
        .flat_map(|(_subject, body)| match body.get("pack") {
            Some(pack) => pack.as_array().unwrap().clone(),
            None => vec![body.clone()],
        });
    rows.map(|row| match row["op"].as_str() {
        Some("insert") => row["after"]["id"].clone(),
        _ => row["op"].clone(),
    })
    .collect()
}

impl Service {
    /// Puts another stream in the place of the task's, as a broker does that has lost the end of it and gets that again:
    /// nothing says that it is another one.
    async fn replace(&self, member: &Member, all: &[Written]) -> anyhow::Result<()> {
        let jetstream = self.capture.jetstream();
        let name = task_stream(&member.group.task_id.parse()?);
        jetstream.delete_stream(&name).await?;
        self.make_stream(&member.group.task_id.parse()?).await?;
        self.write(all).await?;
        let made = jetstream.get_stream(&name).await?;
        let made = made
            .cached_info()
            .created
            .unix_timestamp_nanos()
            .to_string();
        let own = jetstream.get_stream(&member.connection.stream).await?;
        let mut config: stream::Config = own.cached_info().config.clone();
        config
            .metadata
            .insert("rowcast_source_made".to_owned(), made.clone());
        jetstream.update_stream(config).await?;
        sqlx::query("UPDATE consumer_group.derivations SET source_made = $1 WHERE group_id = $2")
            .bind(made)
            .bind(&member.group.id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn what_is_gone_in_the_middle_of_the_tasks_stream_is_told_and_passed() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transaction(&task, 1, &[true])).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    assert_eq!(service.own(&member).await?.len(), 4);
    service.stop().await?;
    service.write(&transaction(&task, 2, &[true])).await?;
    let of_task = service
        .capture
        .jetstream()
        .get_stream(task_stream(&task))
        .await?;
    // The row, between the markers of its transaction.
    of_task.delete_message(6).await?;
    service.start_again().await?;
    let own = service.own(&member).await?;
    let gap = &own[5].1;
    assert_eq!(
        (&gap["op"], &gap["id"], &gap["gap"]["from"]),
        (&json!("gap"), &json!("0/200.1"), &json!("0/200"))
    );
    assert_eq!(own[6].1["op"], "commit");
    // The group is told too, until it has read that.
    eventually("the gap is the group's", LIMIT, async || {
        let status = service.seen(&member.group).await.status.unwrap_or_default();
        status.state() == m::GroupState::Gap && status.reason.contains("6 to 6")
    })
    .await;
    member.reads(&member.connect().await?, own.len()).await?;
    eventually("the gap is passed", LIMIT, async || {
        let status = service.seen(&member.group).await.status.unwrap_or_default();
        status.state() == m::GroupState::Ok
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn what_is_gone_before_a_pack_is_told_before_its_first_row() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let all = transaction(&task, 1, &[true; 4]);
    let [begin, rows @ .., commit] = all.as_slice() else {
        unreachable!("markers");
    };
    let packed = pack(&task, 1, &rows[1..]);
    let written = [begin.clone(), rows[0].clone(), packed, commit.clone()];
    service.write(&written).await?;
    let of_task = service.capture.jetstream().get_stream(task_stream(&task));
    of_task.await?.delete_message(3).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let own = service.own(&member).await?;
    let expected = json!(["schema", "begin", "gap", 102, 103, 104, "commit"]);
    assert_eq!(json!(told(&own)), expected);
    // Whoever has read that has not read any row of the pack.
    assert_eq!(own[2].1["id"], "0/100.1");
    Ok(())
}

#[tokio::test]
async fn a_stream_that_comes_again_in_other_packs_is_told_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let all = transaction(&task, 1, &[true, false, true, true, false, true]);
    let [begin, rows @ .., commit] = all.as_slice() else {
        unreachable!("markers");
    };
    let first = [begin.clone(), pack(&task, 1, &rows[..3])];
    service.write(&first).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let own = service.own(&member).await?;
    assert_eq!(
        told(&own),
        [json!("schema"), json!("begin"), json!(101), json!(103)]
    );
    service.stop().await?;
    let again = [
        shape(&task),
        begin.clone(),
        rows[0].clone(),
        pack(&task, 1, &rows[1..5]),
        rows[5].clone(),
        commit.clone(),
    ];
    service.replace(&member, &again).await?;
    service.start_again().await?;
    let own = service.own(&member).await?;
    let expected = json!(["schema", "begin", 101, 103, 104, 106, "commit"]);
    assert_eq!(json!(told(&own)), expected);
    assert_eq!(own.last().unwrap().1["changes"], 4);
    // Where it is by now is written down, though the sequences of the task's stream are others.
    let marked: i64 = sqlx::query_scalar("SELECT source_sequence FROM consumer_group.derivations")
        .fetch_one(&service.pool)
        .await?;
    assert_eq!(marked, 6);
    Ok(())
}

#[tokio::test]
async fn what_comes_again_behind_what_retention_has_removed_is_told_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let all = transaction(&task, 1, &[true, false, true, true, false, true]);
    let [begin, rows @ .., commit] = all.as_slice() else {
        unreachable!("markers");
    };
    let first = [begin.clone(), pack(&task, 1, &rows[..3])];
    service.write(&first).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let own = service.own(&member).await?;
    let before = [json!("schema"), json!("begin"), json!(101), json!(103)];
    assert_eq!(told(&own), before);
    service.stop().await?;
    // In more messages than before: the rows 102 and 103 come behind the third one.
    let mut again = vec![shape(&task), begin.clone()];
    again.extend(rows.iter().cloned());
    again.push(commit.clone());
    service.replace(&member, &again).await?;
    let jetstream = service.capture.jetstream();
    let of_task = jetstream.get_stream(task_stream(&task)).await?;
    for sequence in 1..=3 {
        of_task.delete_message(sequence).await?;
    }
    service.start_again().await?;
    let own = service.own(&member).await?;
    let expected = json!(["schema", "begin", 101, 103, 104, 106, "commit"]);
    assert_eq!(json!(told(&own)), expected);
    Ok(())
}

#[tokio::test]
async fn what_was_removed_of_an_end_that_has_come_again_is_told_as_a_gap() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let all = transaction(&task, 1, &[true, false, true, true, false, true]);
    let [begin, rows @ .., commit] = all.as_slice() else {
        unreachable!("markers");
    };
    let mut first = vec![begin.clone()];
    first.extend(rows[..3].iter().cloned());
    service.write(&first).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let before = [json!("schema"), json!("begin"), json!(101), json!(103)];
    assert_eq!(told(&service.own(&member).await?), before);
    service.stop().await?;
    // In fewer messages, of which the third was removed: nobody was told of the row 104.
    let again = [
        shape(&task),
        pack(&task, 1, &rows[..3]),
        rows[3].clone(),
        rows[4].clone(),
        rows[5].clone(),
        commit.clone(),
    ];
    service.replace(&member, &again).await?;
    let jetstream = service.capture.jetstream();
    let of_task = jetstream.get_stream(task_stream(&task)).await?;
    for sequence in 1..=3 {
        of_task.delete_message(sequence).await?;
    }
    service.start_again().await?;
    let own = service.own(&member).await?;
    let expected = json!(["schema", "begin", 101, 103, "gap", 106, "commit"]);
    assert_eq!(json!(told(&own)), expected);
    Ok(())
}
