//! Groups whose policy is changed while rows flow.

use std::collections::HashSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_bus::async_nats::HeaderMap;
use rowcast_proto::derived::{ID, MADE_OF, Made};
use rowcast_proto::message as m;
use rowcast_proto::rpc::{GetGroupConnection, UpdateGroup};
use rowcast_testkit::eventually;
use serde_json::{Value, json};

use super::{POLICY, message, transaction};
use crate::fixture::{LIMIT, Service, named};

/// All orders, with another note.
const OTHER: &str = "e_set(`note`, 'B')";

/// How often the policy is changed.
const CHANGES: usize = 10;

/// Transactions for each change.
const TURNS: usize = 40;

impl Service {
    /// Asked until it is answered: a copy that was killed may have taken the question with it. An empty script is none.
    async fn gives_policy(&self, group: &m::Group, script: &str) {
        let wish = m::UpdateGroupRequest {
            task_id: group.task_id.clone(),
            group_id: group.id.clone(),
            actor: "user:test".to_owned(),
            etl: Some(m::EtlPolicy {
                script: script.to_owned(),
                on_error: m::RowErrorAction::Park.into(),
            }),
            ..m::UpdateGroupRequest::default()
        };
        eventually("the policy is changed", 2 * LIMIT, async || {
            let changed = self.ask::<UpdateGroup>(&wish).await;
            changed.is_ok_and(|group| group.etl.unwrap_or_default().script == script)
        })
        .await;
    }

    /// Until the own stream is made under the policy that was changed so often.
    async fn has_begun(&self, group: &m::Group, version: i64) {
        eventually("the policy holds", LIMIT, async || {
            let begun: Result<i64, _> = sqlx::query_scalar(
                "SELECT policy_version FROM consumer_group.derivations WHERE group_id = $1",
            )
            .bind(&group.id)
            .fetch_one(&self.pool)
            .await;
            matches!(begun, Ok(begun) if begun == version)
        })
        .await;
    }
}

fn ops(own: &[(String, Value)]) -> Vec<&str> {
    let ops = own.iter().map(|(_subject, body)| body["op"].as_str());
    ops.map(Option::unwrap).collect()
}

#[tokio::test]
async fn another_policy_lets_a_group_go_on_with_the_row_that_has_stopped_it() -> anyhow::Result<()>
{
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service
        .write(&transaction(&task, 1, &[true, false, true]))
        .await?;
    let unfit = "e_keep(op_eq(`colour`, 'red'))";
    let member = service
        .derived(
            &task,
            m::GroupMode::Ordered,
            unfit,
            m::GroupFormat::Unspecified,
        )
        .await?;
    service.stops(&member.group, "colour").await;
    let state = async |wanted: m::GroupState| {
        let status = service.seen(&member.group).await.status.unwrap_or_default();
        status.state() == wanted
    };
    eventually("the group is blocked", LIMIT, async || {
        state(m::GroupState::Blocked).await
    })
    .await;
    service.gives_policy(&member.group, POLICY).await;
    let own = service.own(&member).await?;
    let expected = ["schema", "begin", "schema", "insert", "insert", "commit"];
    assert_eq!(ops(&own), expected);
    assert_eq!(own[3].1["after"]["id"], 101);
    assert_eq!(own[4].1["after"]["id"], 103);
    assert_eq!(own[5].1["changes"], 2);
    // In the shape that the new policy gives the table.
    assert_ne!(own[2].1["schema_id"], own[0].1["schema_id"]);
    assert_eq!(own[2].1["schema_id"], own[3].1["schema_id"]);
    eventually("the group is blocked no more", LIMIT, async || {
        state(m::GroupState::Ok).await
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn a_group_without_a_policy_any_more_keeps_its_stream() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service
        .write(&transaction(&task, 1, &[true, false]))
        .await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    assert_eq!(
        ops(&service.own(&member).await?),
        ["schema", "begin", "insert", "commit"]
    );
    service.gives_policy(&member.group, "").await;
    service.has_begun(&member.group, 1).await;
    service
        .write(&transaction(&task, 2, &[true, false]))
        .await?;
    let own = service.own(&member).await?;
    assert_eq!(
        ops(&own[4..]),
        ["begin", "schema", "insert", "insert", "commit"]
    );
    assert_eq!(own[5].1["definition"]["id"], "orders-1");
    assert_eq!(own[6].1["after"]["note"], "secret 201");
    assert_eq!(own[7].1["schema_id"], "orders-1");
    assert_eq!(own[8].1["changes"], 2);
    let connection = service
        .ask::<GetGroupConnection>(&named(&member.group))
        .await?;
    assert_eq!(connection.stream, member.connection.stream);
    // The same again is no other policy.
    service.gives_policy(&member.group, "").await;
    let counted: i64 = sqlx::query_scalar("SELECT policy_version FROM consumer_group.groups")
        .fetch_one(&service.pool)
        .await?;
    assert_eq!(counted, 1);
    Ok(())
}

#[tokio::test]
async fn what_another_policy_has_stored_in_pieces_in_part_is_told_anew() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    service.write(&transaction(&task, 1, &[true])).await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let next = transaction(&task, 2, &[true]);
    service.write(&next[..1]).await?;
    assert_eq!(service.own(&member).await?.len(), 5);
    service.stop().await?;
    // As a copy leaves it that is killed between two batches: of the row, which is message 6, the first of three pieces.
    let made = Made {
        first: 6,
        last: 6,
        number: 1,
        of: 3,
        left_out: 0,
        transaction: "0/200".parse()?,
        at: "0/200.1".parse()?,
        before: "0/200.0".parse()?,
        pieces: 1,
        policy: 0,
    };
    let mut headers = HeaderMap::new();
    headers.insert(MADE_OF, made.to_string().as_str());
    headers.insert(ID, "0/200.1");
    let mut piece = message(2, 1, "part");
    piece["part"] =
        json!({ "op": "insert", "offset": 0, "bytes": 9, "sha256": "0", "data": "eHl6" });
    let subject = format!(
        "rowcast.derived.{}.000.public.orders.insert",
        member.group.id
    );
    let body = serde_json::to_vec(&piece)?;
    let jetstream = service.capture.jetstream();
    let published = jetstream.publish_with_headers(subject, headers, body.into());
    published.await?.await?;
    service.write(&next[1..]).await?;
    let changed = "UPDATE consumer_group.groups SET etl_script = $1, policy_version = 1";
    sqlx::query(changed)
        .bind(OTHER)
        .execute(&service.pool)
        .await?;
    service.start_again().await?;
    let own = service.own(&member).await?;
    assert_eq!(ops(&own[5..]), ["part", "schema", "insert", "commit"]);
    let row = &own[7].1;
    assert_eq!(
        (&row["id"], &row["after"]["note"]),
        (&json!("0/200.1"), &json!("B"))
    );
    assert_eq!(own[8].1["changes"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_changed_again_and_again_loses_doubles_and_reorders_nothing()
-> anyhow::Result<()> {
    let seed: u64 = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let member = service.with_policy(&task, m::GroupMode::Ordered).await?;
    let mut copies = [service.copy()?, service.copy()?];
    service.stop().await?;
    let mut paid_ids = Vec::new();
    let mut number = 0;
    for change in 1..=CHANGES {
        let script = if change % 2 == 1 { OTHER } else { POLICY };
        let (changed_at, killed_at) =
            (random.random_range(1..TURNS), random.random_range(1..TURNS));
        for turn in 0..TURNS {
            if turn == changed_at {
                service.gives_policy(&member.group, script).await;
            }
            if turn == killed_at && (change == 3 || change == 7) {
                let which = usize::from(change == 7);
                copies[which].kill().await?;
                copies[which] = service.copy()?;
            }
            number += 1;
            let rows = random.random_range(1..30);
            let paid: Vec<bool> = (0..rows).map(|_row| random.random_bool(0.4)).collect();
            let next = transaction(&task, number, &paid);
            service.write(&next).await?;
            let told = next.iter().map(|one| &one.body["after"]);
            let told = told.filter(|after| after["status"] == "paid");
            paid_ids.extend(told.map(|after| after["id"].as_u64().unwrap()));
            tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
        }
        if change == CHANGES / 2 {
            // One of the others holds for sure, and tells something.
            service
                .has_begun(&member.group, i64::try_from(change)?)
                .await;
            number += 1;
            service.write(&transaction(&task, number, &[false])).await?;
            service.is_made(&member).await;
        }
    }
    service
        .has_begun(&member.group, i64::try_from(CHANGES)?)
        .await;
    let own = service.own(&member).await?;
    let told = judged(&own);
    assert!(
        told.ids.is_sorted_by(|one, next| one < next),
        "once and in order"
    );
    assert_eq!((told.begins, told.commits), (number, number));
    let ids: HashSet<u64> = told.ids.into_iter().collect();
    let missing = paid_ids.iter().find(|id| !ids.contains(id));
    assert_eq!(missing, None, "both tell it");
    assert!(told.by_other > 0 && told.by_policy > 0);
    Ok(())
}

/// What of the own stream is to be looked at.
#[derive(Debug, Default)]
struct Told {
    ids: Vec<u64>,
    begins: u64,
    commits: u64,
    by_policy: u64,
    by_other: u64,
}

/// Each row is told by one of the policies, in a shape that was told before it, and is counted.
fn judged(own: &[(String, Value)]) -> Told {
    let mut told = Told::default();
    let (mut shapes, mut rows) = (HashSet::new(), 0_u64);
    for (_subject, body) in own {
        match body["op"].as_str().unwrap() {
            "schema" => {
                shapes.insert(body["definition"]["id"].to_string());
            }
            "begin" => {
                told.begins += 1;
                rows = 0;
            }
            "commit" => {
                told.commits += 1;
                assert_eq!(body["changes"], rows, "{body}");
            }
            "insert" => {
                rows += 1;
                assert!(shapes.contains(&body["schema_id"].to_string()), "{body}");
                let after = &body["after"];
                told.ids.push(after["id"].as_u64().unwrap());
                match (after["note"].as_str().unwrap(), after["status"].as_str()) {
                    ("B", _) => told.by_other += 1,
                    ("***", Some("paid")) => told.by_policy += 1,
                    (_, _) => panic!("told by none: {body}"),
                }
            }
            other => panic!("{other} in {body}"),
        }
    }
    told
}
