//! Groups with a policy or a format of their own have a stream of their own.

mod taken_over;
mod streams;
mod lost;
mod stopped;
mod many;
mod changed;
mod formats;
mod moved;

use std::time::Duration;

use rowcast_bus::provision;
use rowcast_domain::TaskId;
use rowcast_proto::derived::{MADE_OF, Made};
use rowcast_proto::message as m;
use rowcast_proto::rpc::{CreateGroup, DeleteGroup, GetGroup, GetGroupConnection};
use rowcast_proto::stream::SCHEMAS;
use rowcast_proto::subject::{Op, change_into, object};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use crate::fixture::{LIMIT, Member, Service, named, read};

/// Paid orders alone, with their notes masked.
const POLICY: &str = "e_keep(op_eq(`status`, 'paid'))\ne_set(`note`, '***')";

/// The shape of the rows below.
fn definition() -> Value {
    let column = |name: &str, oid: u32, type_name: &str, key: bool| json!({ "name": name, "type_oid": oid, "type": type_name, "modifier": -1, "key": key });
    json!({
        "id": "orders-1", "schema": "public", "table": "orders", "replica_identity": "default",
        "columns": [
            column("id", 23, "int4", true), column("status", 25, "text", false),
            column("note", 25, "text", false),
        ],
    })
}

/// What every message has.
fn message(transaction: u64, ordinal: u64, op: &str) -> Value {
    json!({
        "id": format!("0/{transaction:X}00.{ordinal}"), "op": op, "database": "shop", "schema": "public",
        "table": "orders", "lsn": format!("0/{transaction:X}00"), "ordinal": ordinal,
        "xid": 700 + transaction, "committed_at": "2026-11-23T05:33:10.123456Z",
    })
}

/// A message that a task's stream is to get.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    subject: String,
    body: Value,
}

fn written(task: &TaskId, partition: Option<u32>, op: Op, body: Value) -> Written {
    let mut subject = String::new();
    let orders = object("public", "orders");
    change_into(&mut subject, task, partition, Some(&orders), op);
    Written { subject, body }
}

/// A transaction of as many rows as `paid` says, which of them are paid, between markers.
pub(crate) fn transaction(task: &TaskId, number: u64, paid: &[bool]) -> Vec<Written> {
    let mut all = vec![written(task, None, Op::Begin, message(number, 0, "begin"))];
    for (paid, ordinal) in paid.iter().zip(1..) {
        let id = number * 100 + ordinal;
        let status = if *paid { "paid" } else { "open" };
        let mut body = message(number, ordinal, "insert");
        body["schema_id"] = json!("orders-1");
        body["key"] = json!({ "id": id });
        body["after"] = json!({ "id": id, "status": status, "note": format!("secret {id}") });
        let partition = u32::try_from(id % 3).unwrap();
        all.push(written(task, Some(partition), Op::Insert, body));
    }
    let last = paid.len() as u64 + 1;
    let mut commit = message(number, last, "commit");
    commit["changes"] = json!(paid.len());
    all.push(written(task, None, Op::Commit, commit));
    all
}

fn shape(task: &TaskId) -> Written {
    let mut body = message(0, 0, "schema");
    (body["id"], body["lsn"]) = (json!("0/0.0"), json!("0/0"));
    body["schema_id"] = json!("orders-1");
    body["definition"] = definition();
    written(task, None, Op::Schema, body)
}

/// What the policy makes of it, in words of the test: subject behind the group's, and what can be told from the body.
fn expected(written: &Written) -> Option<(String, Value)> {
    let mut body = written.body.clone();
    let subject = written.subject.splitn(4, '.').nth(3).unwrap().to_owned();
    match body["op"].as_str().unwrap() {
        "insert" if body["after"]["status"] == "paid" => body["after"]["note"] = json!("***"),
        "insert" => return None,
        _ => {}
    }
    Some((subject, body))
}

/// Everything that was written, as the policy makes it; commits count what is told of their transaction.
pub(crate) fn all_expected(written: &[Written]) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut told = 0_u64;
    for one in written {
        let Some((subject, mut body)) = expected(one) else {
            continue;
        };
        match body["op"].as_str().unwrap() {
            "begin" => told = 0,
            "insert" => told += 1,
            "commit" => body["changes"] = json!(told),
            _ => {}
        }
        all.push((subject, body));
    }
    all
}

impl Service {
    /// What capture does when a task starts, and tells the shape of its table.
    pub(crate) async fn begin_task(&self) -> anyhow::Result<(TaskId, Vec<Written>)> {
        let task = TaskId::random();
        self.make_stream(&task).await?;
        // It tells shapes in the bucket too.
        let schemas = provision::bucket(&self.bus, &SCHEMAS).await?;
        let value = serde_json::to_vec(&definition())?;
        schemas
            .put(format!("{task}.orders-1"), value.into())
            .await?;
        let written = vec![shape(&task)];
        self.write(&written).await?;
        Ok((task, written))
    }

    /// What capture writes.
    pub(crate) async fn write(&self, all: &[Written]) -> anyhow::Result<()> {
        for Written { subject, body } in all {
            let body = serde_json::to_vec(body)?;
            let publish = self
                .capture
                .jetstream()
                .publish(subject.clone(), body.into());
            publish.await?.await?;
        }
        Ok(())
    }

    pub(crate) async fn derived(
        &self,
        task: &TaskId,
        mode: m::GroupMode,
        script: &str,
        format: m::GroupFormat,
    ) -> anyhow::Result<Member> {
        let etl = (!script.is_empty()).then(|| m::EtlPolicy {
            script: script.to_owned(),
            on_error: m::RowErrorAction::Park.into(),
        });
        let wish = m::CreateGroupRequest {
            mode: mode.into(),
            etl,
            format: format.into(),
            ..self.wish(task, "derived")
        };
        let group = self.ask::<CreateGroup>(&wish).await?;
        let connection = self.ask::<GetGroupConnection>(&named(&group)).await?;
        eventually("the group has its consumers", LIMIT, async || {
            self.consumer_exists(&connection).await
        })
        .await;
        Ok(Member { group, connection })
    }

    /// A group that the policy of these tests tells changes.
    pub(crate) async fn with_policy(
        &self,
        task: &TaskId,
        mode: m::GroupMode,
    ) -> anyhow::Result<Member> {
        self.derived(task, mode, POLICY, m::GroupFormat::Unspecified)
            .await
    }

    /// What the group's own stream holds, once it is made of all that the task's stream holds.
    pub(crate) async fn own(&self, member: &Member) -> anyhow::Result<Vec<(String, Value)>> {
        self.is_made(member).await;
        let jetstream = self.capture.jetstream();
        let own = jetstream.get_stream(&member.connection.stream).await?;
        let mut all = Vec::new();
        for sequence in 1..=own.cached_info().state.last_sequence {
            let message = own.get_raw_message(sequence).await?;
            let made = message.headers.get(MADE_OF).unwrap().as_str();
            let _made: Made = made.parse()?;
            let subject = message.subject.splitn(4, '.').nth(3).unwrap().to_owned();
            all.push((subject, serde_json::from_slice(&message.payload)?));
        }
        Ok(all)
    }

    async fn is_made(&self, member: &Member) {
        eventually(
            "the own stream is made of all",
            Duration::from_secs(60),
            async || {
                // A copy that was killed may have taken the question with it.
                let Ok(seen) = self.ask::<GetGroup>(&named(&member.group)).await else {
                    return false;
                };
                let status = seen.status.unwrap_or_default();
                let derivation = status.derivation.unwrap_or_default();
                derivation.state() == m::DerivationState::Running && derivation.behind == 0
            },
        )
        .await;
    }
}

/// Shapes are told under names of their own: those are taken out.
pub(crate) fn without_names(mut all: Vec<(String, Value)>) -> Vec<(String, Value)> {
    for (_subject, body) in &mut all {
        body.as_object_mut().unwrap().remove("schema_id");
        if let Some(definition) = body.get_mut("definition") {
            definition.as_object_mut().unwrap().remove("id");
        }
    }
    all
}

#[tokio::test]
async fn a_group_with_a_policy_is_told_what_the_policy_makes_of_the_changes() -> anyhow::Result<()>
{
    let service = Service::start().await?;
    let (task, mut written) = service.begin_task().await?;
    for number in 1..=5 {
        written.extend(transaction(&task, number, &[true, false, number % 2 == 0]));
    }
    service.write(&written[1..]).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    assert_eq!(member.connection.stream, format!("RG_{}", member.group.id));
    assert_eq!(member.connection.format(), m::GroupFormat::Unspecified);
    let expected = without_names(all_expected(&written));
    assert_eq!(without_names(service.own(&member).await?), expected);

    let client = member.connect().await?;
    let consumer = member.consumer(&client).await?;
    let messages = read(&consumer, expected.len()).await?;
    messages[2]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let seen = service.seen(&member.group).await;
    assert_eq!(seen.acknowledged_sequence, 3);
    let status = seen.status.unwrap();
    assert_eq!(status.position.unwrap().lsn, "0/100");
    assert_eq!(status.range.unwrap().messages, expected.len() as u64);
    assert_eq!(seen.etl.unwrap().script, POLICY);
    Ok(())
}

#[tokio::test]
async fn a_keyed_and_a_shared_group_with_a_policy_read_their_own_streams() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service
        .write(&transaction(&task, 1, &[true, true, false]))
        .await?;
    let keyed = service.with_policy(&task, m::GroupMode::Keyed).await?;
    service.is_made(&keyed).await;
    let client = keyed.connect().await?;
    // Ids 101 and 102 are told, of the partitions 2 and 0.
    for (partition, expected) in [("002", json!(101)), ("000", json!(102))] {
        let name = format!("g_{}_{partition}", keyed.group.id);
        let messages = read(&keyed.consumer_named(&client, &name).await?, 1).await?;
        let body: Value = serde_json::from_slice(&messages[0].payload)?;
        assert_eq!(body["key"]["id"], expected);
    }
    service.ask::<DeleteGroup>(&named(&keyed.group)).await?;
    let shared = service.with_policy(&task, m::GroupMode::Shared).await?;
    service.is_made(&shared).await;
    let client = shared.connect().await?;
    assert_eq!(read(&shared.consumer(&client).await?, 5).await?.len(), 5);
    Ok(())
}

#[tokio::test]
async fn a_format_is_told_in_its_own_words() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transaction(&task, 1, &[true])).await?;
    let member = service
        .derived(&task, m::GroupMode::Ordered, "", m::GroupFormat::Debezium)
        .await?;
    assert_eq!(member.connection.format(), m::GroupFormat::Debezium);
    let own = service.own(&member).await?;
    let words: Vec<&Value> = own
        .iter()
        .map(|(_subject, body)| body.get("op").unwrap_or(&body["status"]))
        .collect();
    assert_eq!(words, ["BEGIN", "c", "END"]);
    assert_eq!(own[1].1["after"]["note"], "secret 101");
    // What its body does not say, its headers do.
    let client = member.connect().await?;
    let messages = read(&member.consumer(&client).await?, 2).await?;
    messages[1]
        .double_ack()
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let position = service
        .seen(&member.group)
        .await
        .status
        .unwrap()
        .position
        .unwrap();
    assert_eq!((position.lsn.as_str(), position.ordinal), ("0/100", 1));
    Ok(())
}

#[tokio::test]
async fn a_policy_that_fails_parks_the_row_and_one_that_does_not_fit_stops_that_group_alone()
-> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service
        .write(&transaction(&task, 1, &[true, false]))
        .await?;
    let failing = "e_keep(1 / (`id` - 101) > -1)";
    let parks = service
        .derived(
            &task,
            m::GroupMode::Ordered,
            failing,
            m::GroupFormat::Unspecified,
        )
        .await?;
    let own = service.own(&parks).await?;
    let ops: Vec<&Value> = own.iter().map(|(_subject, body)| &body["op"]).collect();
    assert_eq!(ops, ["schema", "begin", "gap", "insert", "commit"]);
    assert_eq!(own[4].1["changes"], 2);
    let derivation = service
        .seen(&parks.group)
        .await
        .status
        .unwrap()
        .derivation
        .unwrap();
    assert_eq!(derivation.parked, 1);

    let wish = m::CreateGroupRequest {
        etl: Some(m::EtlPolicy {
            script: "e_keep(op_eq(`colour`, 'red'))".to_owned(),
            on_error: 0,
        }),
        ..service.wish(&task, "unfit")
    };
    let unfit = service.ask::<CreateGroup>(&wish).await?;
    eventually("the group has stopped", LIMIT, async || {
        let status = service.seen(&unfit).await.status.unwrap_or_default();
        let derivation = status.derivation.unwrap_or_default();
        derivation.state() == m::DerivationState::Stopped && derivation.reason.contains("colour")
    })
    .await;
    service.write(&transaction(&task, 2, &[true])).await?;
    assert_eq!(service.own(&parks).await?.len(), 8);
    Ok(())
}

#[tokio::test]
async fn a_script_that_cannot_be_read_is_refused_with_its_place() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let wish = m::CreateGroupRequest {
        etl: Some(m::EtlPolicy {
            script: "e_drp()".to_owned(),
            on_error: 0,
        }),
        ..service.wish(&TaskId::random(), "derived")
    };
    let refused = service.refusal::<CreateGroup>(&wish).await;
    assert_eq!(refused.field, "etl.script");
    assert!(refused.detail.contains("line 1"), "{}", refused.detail);
    Ok(())
}
