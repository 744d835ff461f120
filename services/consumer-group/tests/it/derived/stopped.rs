//! Groups whose own streams stand still.

use std::time::Duration;

use rowcast_bus::async_nats::jetstream::stream;
use rowcast_proto::message as m;
use rowcast_proto::rpc::CreateGroup;
use rowcast_proto::stream::{GROUP_PARKED, task_stream};
use rowcast_proto::subject;
use rowcast_testkit::eventually;
use serde_json::json;

use super::{Written, transaction};
use crate::fixture::{LIMIT, Member, Service, named};
use rowcast_proto::rpc::GetGroupConnection;

/// Fails on the row with this id, and does not fit a table without a status.
const FAILING: &str = "e_keep(1 / (`id` - 101) > -1)\ne_keep(op_eq(`status`, 'paid'))";

/// Fails on the rows with these two ids.
const FAILING_TWICE: &str = "e_keep(1 / (`id` - 101) > -1)\ne_keep(1 / (`id` - 102) > -1)";

impl Service {
    async fn parked(&self) -> anyhow::Result<u64> {
        let parked = self.bus.jetstream().get_stream(GROUP_PARKED.name).await?;
        Ok(parked.cached_info().state.messages)
    }

    pub(super) async fn stops(&self, group: &m::Group, reason: &str) {
        eventually("the group has stopped", LIMIT, async || {
            let status = self.seen(group).await.status.unwrap_or_default();
            let derivation = status.derivation.unwrap_or_default();
            derivation.state() == m::DerivationState::Stopped && derivation.reason.contains(reason)
        })
        .await;
    }

    /// How many sessions were begun on the group's own stream.
    async fn sessions(&self, group: &m::Group) -> anyhow::Result<i64> {
        let session = "SELECT session FROM consumer_group.derivations WHERE group_id = $1";
        let sessions = sqlx::query_scalar(session).bind(&group.id);
        Ok(sessions.fetch_one(&self.pool).await?)
    }

    async fn failing(&self, task: &rowcast_domain::TaskId) -> anyhow::Result<m::Group> {
        self.failing_as(task, "failing", FAILING).await
    }

    async fn failing_as(
        &self,
        task: &rowcast_domain::TaskId,
        name: &str,
        script: &str,
    ) -> anyhow::Result<m::Group> {
        let wish = m::CreateGroupRequest {
            etl: Some(m::EtlPolicy {
                script: script.to_owned(),
                on_error: m::RowErrorAction::Park.into(),
            }),
            ..self.wish(task, name)
        };
        Ok(self.ask::<CreateGroup>(&wish).await?)
    }
}

/// A transaction whose last row is of a table that the policy does not fit.
async fn unfit(service: &Service, task: &rowcast_domain::TaskId) -> anyhow::Result<Vec<Written>> {
    let mut all = transaction(task, 1, &[true, true]);
    let schemas =
        rowcast_bus::provision::bucket(&service.bus, &rowcast_proto::stream::SCHEMAS).await?;
    let shape = json!({
        "id": "plain-1", "schema": "public", "table": "plain", "replica_identity": "default",
        "columns": [{ "name": "id", "type_oid": 23, "type": "int4", "modifier": -1, "key": true }],
    });
    let value = serde_json::to_vec(&shape)?;
    schemas.put(format!("{task}.plain-1"), value.into()).await?;
    let row = &mut all[2].body;
    (row["schema_id"], row["table"]) = (json!("plain-1"), json!("plain"));
    row["after"] = json!({ "id": 102 });
    Ok(all)
}

#[tokio::test]
async fn what_was_made_before_a_stop_is_stored_and_parked_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&unfit(&service, &task).await?).await?;
    let group = service.failing(&task).await?;
    service.stops(&group, "public.plain").await;
    let connection = service.ask::<GetGroupConnection>(&named(&group)).await?;
    for _begun in 0..2 {
        let jetstream = service.capture.jetstream();
        let own = jetstream.get_stream(&connection.stream).await?;
        let last = own.get_last_raw_message_by_subject(">").await?;
        let last: serde_json::Value = serde_json::from_slice(&last.payload)?;
        assert_eq!(
            (&last["op"], &last["id"]),
            (&json!("gap"), &json!("0/100.1"))
        );
        assert_eq!(service.parked().await?, 1);
        service.stop().await?;
        service.start_again().await?;
        service.stops(&group, "public.plain").await;
    }
    // It is the group's incident, and its delay.
    eventually("the group is blocked", LIMIT, async || {
        let facts = service.facts::<m::GroupStateChanged>().await.unwrap();
        facts.iter().any(|fact| {
            fact.group_id == group.id
                && fact.to() == m::GroupState::Blocked
                && fact.reason.contains("public.plain")
        })
    })
    .await;
    service.write(&transaction(&task, 2, &[true])).await?;
    let member = Member { group, connection };
    let _client = member.connect().await?;
    eventually("what was not derived is unread", LIMIT, async || {
        let status = service.seen(&member.group).await.status.unwrap_or_default();
        // Three that were, and five that were not.
        status.unconsumed == 3 + 5
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_group_that_has_stopped_is_warned_before_it_loses_anything() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&unfit(&service, &task).await?).await?;
    let group = service.failing(&task).await?;
    service.stops(&group, "public.plain").await;
    service.write(&transaction(&task, 2, &[true; 60])).await?;
    let jetstream = service.capture.jetstream();
    let of_task = jetstream.get_stream(task_stream(&task)).await?;
    let info = of_task.cached_info().clone();
    let nearly_full = stream::Config {
        max_bytes: i64::try_from(info.state.bytes)? * 21 / 20,
        ..info.config
    };
    jetstream.update_stream(nearly_full).await?;
    eventually("the group is warned", LIMIT, async || {
        let facts = service.facts::<m::GroupStateChanged>().await.unwrap();
        facts.iter().any(|fact| {
            let warning = fact.warning();
            fact.group_id == group.id
                && fact.to() == m::GroupState::Blocked
                && warning.contains("that the task keeps")
                && fact.reason.contains("public.plain")
                && fact.reason.ends_with(warning)
        })
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn where_nothing_more_can_be_parked_the_group_stops_before_it() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let jetstream = service.bus.jetstream();
    let parked = jetstream.get_stream(GROUP_PARKED.name).await?;
    let config = parked.cached_info().config.clone();
    assert!(config.max_bytes > 0 && config.discard == stream::DiscardPolicy::New);
    let full = stream::Config {
        max_bytes: 10,
        ..config
    };
    jetstream.update_stream(full).await?;
    service.write(&transaction(&task, 1, &[true])).await?;
    let group = service.failing(&task).await?;
    service.stops(&group, "ROWCAST_GROUP_PARKED is full").await;
    Ok(())
}

#[tokio::test]
async fn a_group_that_has_parked_its_share_stops_alone_until_there_is_room() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let jetstream = service.bus.jetstream();
    let parked = jetstream.get_stream(GROUP_PARKED.name).await?;
    let config = parked.cached_info().config.clone();
    assert!(config.max_messages_per_subject > 0 && config.discard_new_per_subject);
    let small = stream::Config {
        max_messages_per_subject: 1,
        ..config
    };
    jetstream.update_stream(small).await?;
    service
        .write(&transaction(&task, 1, &[true, true, true]))
        .await?;
    let careless = service.failing_as(&task, "careless", FAILING_TWICE).await?;
    service.stops(&careless, "as many parked changes").await;
    let modest = service.failing(&task).await?;
    let is_made = async |group: &m::Group| {
        let status = service.seen(group).await.status.unwrap_or_default();
        let derivation = status.derivation.unwrap_or_default();
        derivation.state() == m::DerivationState::Running && derivation.behind == 0
    };
    eventually("the other group goes on", LIMIT, async || {
        is_made(&modest).await
    })
    .await;
    assert_eq!(service.parked().await?, 2, "one of each");

    let own = subject::parked_of_group(&careless.id.parse()?);
    parked.purge().filter(own).await?;
    eventually("it goes on where there is room", 2 * LIMIT, async || {
        is_made(&careless).await
    })
    .await;
    let status = service.seen(&careless).await.status.unwrap();
    assert_eq!(status.derivation.unwrap().parked, 2);
    Ok(())
}

#[tokio::test]
async fn a_row_is_parked_once_however_long_the_own_stream_takes_nothing() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    // In the place of the two minutes in which the broker knows a message again.
    let control = service.bus.jetstream();
    let parked = control.get_stream(GROUP_PARKED.name).await?;
    let forgetful = stream::Config {
        duplicate_window: Duration::from_millis(100),
        ..parked.cached_info().config.clone()
    };
    control.update_stream(forgetful).await?;
    // Each session begins with the row, for what stands before it is told.
    let all = transaction(&task, 1, &[true, true]);
    service.write(&all[..1]).await?;
    let group = service.failing(&task).await?;
    let connection = service.ask::<GetGroupConnection>(&named(&group)).await?;
    let member = Member { group, connection };
    service.is_made(&member).await;

    let data = service.capture.jetstream();
    let own = data.get_stream(&member.connection.stream).await?;
    let as_it_was = own.cached_info().config.clone();
    let narrow = stream::Config {
        max_message_size: 10,
        ..as_it_was.clone()
    };
    data.update_stream(narrow).await?;
    let before = service.sessions(&member.group).await?;
    service.write(&all[1..]).await?;
    eventually("some sessions have failed", 2 * LIMIT, async || {
        let now = service.sessions(&member.group).await.unwrap();
        now >= before + 3 && service.parked().await.unwrap() > 0
    })
    .await;
    assert_eq!(service.parked().await?, 1);

    data.update_stream(as_it_was).await?;
    let told = service.own(&member).await?;
    let ops: Vec<_> = told.iter().map(|(_subject, body)| &body["op"]).collect();
    assert_eq!(ops, ["schema", "begin", "gap", "insert", "commit"]);
    assert_eq!(service.parked().await?, 1);
    let status = service.seen(&member.group).await.status.unwrap();
    assert_eq!(status.derivation.unwrap().parked, 1);
    Ok(())
}
