//! Many groups, and large changes, on few copies of the service.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ring::digest;
use rowcast_bus::provision;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::rpc::CreateGroup;
use rowcast_proto::stream::LEASES;
use rowcast_proto::subject::Op;
use rowcast_testkit::eventually;
use serde_json::json;
use tokio::time::Instant;

use super::{POLICY, Written, message, transaction, written};
use crate::fixture::{LIMIT, Service};

const TASKS: usize = 10;
const OF_EACH: usize = 3;

/// Less than half of what it took when each copy took one group at a look.
const SOON: Duration = Duration::from_secs(15);

impl Service {
    /// How many groups each copy works on.
    async fn held(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let leases = provision::bucket(&self.bus, &LEASES).await?;
        let keys: Vec<String> = leases.keys().await?.try_collect().await?;
        let mut held = BTreeMap::new();
        for key in keys.iter().filter(|key| !key.starts_with("consumer-group")) {
            if let Some(holder) = leases.get(key).await? {
                let holder = String::from_utf8(holder.to_vec())?;
                *held.entry(holder).or_default() += 1;
            }
        }
        Ok(held)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_groups_are_shared_by_copies_and_taken_over_at_once() -> anyhow::Result<()> {
    let mut service = Service::start().await?;
    let mut copies = [service.copy()?, service.copy()?];
    let tasks: Vec<TaskId> = (0..TASKS).map(|_task| TaskId::random()).collect();
    let wishes = tasks.iter().flat_map(|task| {
        (0..OF_EACH).map(|number| m::CreateGroupRequest {
            format: m::GroupFormat::Cloudevents.into(),
            ..service.wish(task, &format!("derived {number}"))
        })
    });
    let wishes: Vec<m::CreateGroupRequest> = wishes.collect();
    for task in &tasks {
        service.make_stream(task).await?;
    }
    stream::iter(&wishes)
        .map(|wish| service.ask::<CreateGroup>(wish))
        .buffer_unordered(4)
        .try_collect::<Vec<_>>()
        .await?;
    let all = TASKS * OF_EACH;
    eventually("all are shared by three", LIMIT, async || {
        let held = service.held().await.unwrap_or_default();
        held.len() == 3 && held.values().all(|has| *has == all / 3)
    })
    .await;
    service.stop().await?;
    copies[0].kill().await?;
    let killed_at = Instant::now();
    eventually("one has all", LIMIT, async || {
        let held = service.held().await.unwrap_or_default();
        held.len() == 1 && held.values().all(|has| *has == all)
    })
    .await;
    let took = killed_at.elapsed();
    assert!(took < SOON, "{took:?}");
    Ok(())
}

/// Bytes of the large row.
const LARGE: usize = 24 << 20;

/// Bytes of it in a piece.
const PIECE: usize = 600_000;

/// The service answers within this while it works on large rows.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// A row in pieces, as capture cuts it.
pub(super) fn in_pieces(task: &TaskId, row: &Written) -> Vec<Written> {
    let whole = serde_json::to_vec(&row.body).unwrap();
    let sha256 = HEXLOWER.encode(digest::digest(&digest::SHA256, &whole).as_ref());
    let pieces = whole.chunks(PIECE).enumerate().map(|(number, data)| {
        let mut body = message(1, 1, "part");
        body["part"] = json!({
            "op": "insert", "offset": number * PIECE, "bytes": whole.len(), "sha256": sha256,
            "data": BASE64.encode(data),
        });
        written(task, Some(0), Op::Insert, body)
    });
    pieces.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_row_of_several_groups_holds_nobody_up() -> anyhow::Result<()> {
    let service = Service::start().await?;
    let (task, _shape) = service.begin_task().await?;
    let mut all = transaction(&task, 1, &[true]);
    all[1].body["after"]["note"] = json!("x\n".repeat(LARGE / 2));
    // It is told as it is, but for the documents of the row.
    let policy = "e_keep(op_eq(`status`, 'paid'))";
    assert!(POLICY.starts_with(policy));
    let pieces = in_pieces(&task, &all[1]);
    let mut groups = Vec::new();
    for number in 0..OF_EACH {
        let wish = m::CreateGroupRequest {
            etl: Some(m::EtlPolicy {
                script: policy.to_owned(),
                on_error: m::RowErrorAction::Stop.into(),
            }),
            ..service.wish(&task, &format!("derived {number}"))
        };
        groups.push(service.ask::<CreateGroup>(&wish).await?);
    }
    service.write(&all[..1]).await?;
    service.write(&pieces).await?;
    service.write(&all[2..]).await?;
    let slowest = Mutex::new(Duration::ZERO);
    for group in &groups {
        eventually("the large row is made", 4 * LIMIT, async || {
            let asked_at = Instant::now();
            let seen = service.seen(group).await;
            let took = asked_at.elapsed();
            let mut slowest = slowest.lock().unwrap();
            *slowest = took.max(*slowest);
            drop(slowest);
            let derivation = seen
                .status
                .unwrap_or_default()
                .derivation
                .unwrap_or_default();
            derivation.state() == m::DerivationState::Running && derivation.behind == 0
        })
        .await;
    }
    let slowest = slowest.into_inner()?;
    assert!(slowest < ANSWERS_WITHIN, "{slowest:?}");
    for group in &groups {
        let name = rowcast_proto::stream::group_stream(&group.id.parse()?);
        let own = service.capture.jetstream().get_stream(name).await?;
        let made = own.cached_info().state.messages;
        // Shape, markers, and the pieces once.
        assert!(
            made > 3 + (LARGE / PIECE) as u64 && made < 3 + 3 * (LARGE / PIECE) as u64,
            "{made}"
        );
    }
    Ok(())
}
