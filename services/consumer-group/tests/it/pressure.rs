//! Groups that do not get on, beside one that does, and beside who writes the task's stream.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::async_nats::Subscriber;
use rowcast_bus::async_nats::jetstream::AckKind;
use rowcast_bus::async_nats::jetstream::consumer::PullConsumer;
use rowcast_domain::TaskId;
use rowcast_proto::message as m;
use rowcast_proto::message::GroupMode;
use rowcast_proto::rpc::{CreateGroup, DeleteGroup};
use rowcast_testkit::eventually;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::derived::transaction;
use crate::fixture::{LIMIT, Member, Service, change, change_subject, named};

/// Changes written, and read by the group that is well, in each round: enough for seconds, which a pause of the machine
/// does not decide.
const CHANGES: u64 = 20_000;

/// Rounds alone, and as many beside the others, in turn: what comes and goes on the machine meets both. Of each the median
/// counts.
const ROUNDS: u64 = 3;

/// By how much longer a round beside the others may take: they need the same two processors, but hold nothing up.
const TIMES: u32 = 3;

/// What is shorter counts as long as this: on a busy machine a moment says nothing.
const LEAST: Duration = Duration::from_secs(1);

/// Changes written before their acknowledgements are waited for.
const WRITTEN_AT_ONCE: usize = 500;

/// Changes that a group in which one member reads may have in flight: it is sent no more.
const FULL: u64 = 2000;

/// Fails on the row of the first transaction.
const FAILING: &str = "e_keep(1 / (`id` - 101) > -1)";

/// How long a round took for both.
#[derive(Debug, Clone, Copy)]
struct Took {
    writing: Duration,
    reading: Duration,
}

/// The medians.
fn median(rounds: &[Took]) -> Took {
    let middle = |of: fn(&Took) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Took {
        writing: middle(|took| took.writing),
        reading: middle(|took| took.reading),
    }
}

/// Writes these changes one behind the other, as fast as the broker takes them, while the group reads them, each once and in
/// order.
async fn round(
    service: &Service,
    task: &TaskId,
    well: &PullConsumer,
    ordinals: RangeInclusive<u64>,
) -> anyhow::Result<Took> {
    let written: Vec<String> = ordinals.map(|ordinal| change(1, ordinal)).collect();
    let begun = Instant::now();
    let writing = async {
        for bodies in written.chunks(WRITTEN_AT_ONCE) {
            let mut stored = Vec::with_capacity(bodies.len());
            for body in bodies {
                let jetstream = service.capture.jetstream();
                let publish = jetstream.publish(change_subject(task), body.clone().into());
                stored.push(publish.await?);
            }
            for one in stored {
                one.await?;
            }
        }
        anyhow::Ok(begun.elapsed())
    };
    let reading = async {
        let mut read = Vec::new();
        while read.len() < written.len() {
            let more = (written.len() - read.len()).min(100);
            let batch = well
                .batch()
                .max_messages(more)
                .expires(Duration::from_secs(1));
            let mut batch = batch.messages().await?;
            let mut last = None;
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| anyhow::anyhow!(error))?;
                read.push(String::from_utf8(message.payload.to_vec())?);
                last = Some(message);
            }
            if let Some(last) = last {
                let acknowledged = last.double_ack().await;
                acknowledged.map_err(|error| anyhow::anyhow!(error))?;
            }
        }
        anyhow::Ok((begun.elapsed(), read))
    };
    let (writing, (reading, read)) = futures::try_join!(writing, reading)?;
    assert_eq!(read, written);
    Ok(Took { writing, reading })
}

/// Takes everything, and acknowledges nothing.
async fn hoard(consumer: PullConsumer) -> anyhow::Result<()> {
    let mut held = Vec::new();
    loop {
        let batch = consumer.batch().max_messages(500);
        let mut batch = batch.expires(Duration::from_secs(1)).messages().await?;
        while let Some(message) = batch.next().await {
            held.push(message.map_err(|error| anyhow::anyhow!(error))?);
        }
    }
}

/// Gives everything back, again and again.
async fn refuse(consumer: PullConsumer) -> anyhow::Result<()> {
    loop {
        let batch = consumer.batch().max_messages(100);
        let mut batch = batch.expires(Duration::from_secs(1)).messages().await?;
        while let Some(message) = batch.next().await {
            let message = message.map_err(|error| anyhow::anyhow!(error))?;
            let given_back = message.ack_with(AckKind::Nak(None)).await;
            given_back.map_err(|error| anyhow::anyhow!(error))?;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Is sent changes, and says nothing.
async fn listen(mut changes: Subscriber) -> anyhow::Result<()> {
    while changes.next().await.is_some() {}
    anyhow::bail!("the subscription has ended")
}

/// Groups that do not get on, with their clients.
struct Bad {
    hoards: Member,
    refuses: Member,
    is_silent: Member,
    stopped: m::Group,
    clients: JoinSet<anyhow::Result<()>>,
}

async fn bad_ones(service: &Service, task: &TaskId) -> anyhow::Result<Bad> {
    let mut clients = JoinSet::new();
    let hoards = service.group(task, "hoards").await?;
    let client = hoards.connect().await?;
    clients.spawn(hoard(hoards.consumer(&client).await?));

    let wish = m::CreateGroupRequest {
        mode: GroupMode::Shared.into(),
        max_deliver: Some(0),
        ..service.wish(task, "refuses")
    };
    let refuses = service.make(wish).await?;
    let client = refuses.connect().await?;
    clients.spawn(refuse(refuses.consumer(&client).await?));

    let is_silent = service
        .push_group(task, "is silent", GroupMode::Shared)
        .await?;
    let client = is_silent.connect().await?;
    let m::GroupConnection {
        deliver_subject,
        deliver_group,
        ..
    } = is_silent.connection.clone();
    let changes = client
        .queue_subscribe(deliver_subject, deliver_group)
        .await?;
    client.flush().await?;
    clients.spawn(listen(changes));

    let wish = m::CreateGroupRequest {
        etl: Some(m::EtlPolicy {
            script: FAILING.to_owned(),
            on_error: m::RowErrorAction::Stop.into(),
        }),
        ..service.wish(task, "stopped")
    };
    let stopped = service.ask::<CreateGroup>(&wish).await?;
    Ok(Bad {
        hoards,
        refuses,
        is_silent,
        stopped,
        clients,
    })
}

impl Bad {
    /// Whether all of them are as bad as they are meant to be.
    async fn are_bad(&self, service: &Service) -> bool {
        let in_flight = async |group: &m::Group| service.seen(group).await.in_flight;
        let stopped = service.seen(&self.stopped).await.status.unwrap_or_default();
        let derivation = stopped.derivation.unwrap_or_default();
        in_flight(&self.hoards.group).await >= FULL
            && in_flight(&self.refuses.group).await > 0
            && in_flight(&self.is_silent.group).await > 0
            && derivation.state() == m::DerivationState::Stopped
    }

    /// They go, and their groups with them.
    async fn go(self, service: &Service) -> anyhow::Result<()> {
        let Self {
            hoards,
            refuses,
            is_silent,
            stopped,
            mut clients,
        } = self;
        clients.shutdown().await;
        for group in [hoards.group, refuses.group, is_silent.group, stopped] {
            service.ask::<DeleteGroup>(&named(&group)).await?;
        }
        Ok(())
    }
}

/// A round beside groups that do not get on, before, during and after it.
async fn beside(
    service: &Service,
    task: &TaskId,
    well: &PullConsumer,
    ordinals: RangeInclusive<u64>,
) -> anyhow::Result<Took> {
    let mut bad = bad_ones(service, task).await?;
    eventually("all of them are bad", LIMIT, async || {
        bad.are_bad(service).await
    })
    .await;
    let took = round(service, task, well, ordinals).await?;
    let ended = bad.clients.try_join_next();
    assert!(ended.is_none(), "a client has given up: {ended:?}");
    assert!(bad.are_bad(service).await);
    bad.go(service).await?;
    Ok(took)
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_do_not_get_on_hold_up_no_other_and_nobody_who_writes() -> anyhow::Result<()> {
    let service = Service::start_with(&[("ROWCAST_GROUPS_PER_TASK", "5")]).await?;
    let (task, shape) = service.begin_task().await?;
    let first = transaction(&task, 1, &[true]);
    service.write(&first).await?;
    let well = service.group(&task, "well").await?;
    let client = well.connect().await?;
    let before = shape.len() + first.len();
    well.reads(&client, before).await?;
    let consumer = well.consumer(&client).await?;

    let (mut alone, mut crowded) = (Vec::new(), Vec::new());
    // Behind the row of that transaction.
    let mut begin = 10;
    for _round in 0..ROUNDS {
        let (second, end) = (begin + CHANGES, begin + 2 * CHANGES);
        alone.push(round(&service, &task, &consumer, begin..=second - 1).await?);
        let slowed = beside(&service, &task, &consumer, second..=end - 1);
        crowded.push(Box::pin(slowed).await?);
        begin = end;
    }
    eprintln!("alone {alone:?}, beside the others {crowded:?}");
    let (usual, slowed) = (median(&alone), median(&crowded));
    assert!(
        slowed.writing < TIMES * usual.writing.max(LEAST)
            && slowed.reading < TIMES * usual.reading.max(LEAST),
        "{crowded:?} beside the others, {alone:?} alone"
    );

    let seen = service.seen(&well.group).await;
    let last_sequence = before as u64 + 2 * ROUNDS * CHANGES;
    assert_eq!(
        (seen.acknowledged_sequence, seen.pending, seen.in_flight),
        (last_sequence, 0, 0)
    );
    let range = seen.status.unwrap().range.unwrap();
    assert_eq!(range.last_sequence, last_sequence);
    Ok(())
}
