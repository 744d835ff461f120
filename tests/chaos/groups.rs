//! Groups of every mode, while their members, the services and the broker are killed and stand still at random.

mod ended;
mod effects;
mod policy;
mod trouble;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_client::GroupMode;
use rowcast_domain::TaskState;
use rowcast_e2e::{Group, Log, Member, PATIENCE, Shop, Unit, check, variable};
use rowcast_proto::rest::{self, GroupState, GroupStatus};
use rowcast_proto::stream::{DEAD, group_stream};
use rowcast_testkit::{eventually, read_stream, read_stream_named};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use effects::Effects;
use ended::Said;
use policy::POLICY;
use trouble::Trouble;
use written::{Body, History, Row};

/// What happens, where `ROWCAST_CHAOS_EVENTS` does not say how often.
const EVENTS: u32 = 12;

/// More copies of what decides who reads.
const COPIES: [&str; 1] = ["consumer-group-2"];

/// Until everything is told once nothing is killed any more: what a shared group's member had comes again after 30 s, and
/// capture waits up to a minute between two attempts.
const SETTLED: Duration = Duration::from_secs(180);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// Between two looks at how the groups are.
const LOOK_AT_GROUPS: Duration = Duration::from_secs(1);

/// What comes within this, once everything is told, was told too often.
const QUIET: Duration = Duration::from_secs(5);

/// The members of a group; `None` where one is down.
struct Party {
    name: &'static str,
    mode: GroupMode,
    group: Group,
    /// Whether it has [`POLICY`], and so a stream of its own.
    has_policy: bool,
    log: Log,
    members: Vec<Option<Member>>,
    /// What each of them has said.
    said: Vec<Said>,
}

impl Party {
    /// A group of so many members, with these members of the request beside its mode.
    async fn of(
        shop: &Shop,
        (name, mode): (&'static str, GroupMode),
        mut more: Value,
        members: usize,
    ) -> anyhow::Result<Self> {
        let has_policy = more.get("etl").is_some();
        more["mode"] = json!(mode);
        let group = shop.group_as(name, &more).await?;
        // Of a group with a stream of its own the consumers are made a moment later.
        eventually(&format!("{name} can be read"), PATIENCE, async || {
            group.subscribe().await.is_ok()
        })
        .await;
        let log = Log::open()?;
        let mut party = Self {
            name,
            mode,
            group,
            has_policy,
            log,
            members: Vec::new(),
            said: Vec::new(),
        };
        for _member in 0..members {
            let mut said = Said::nothing()?;
            let member = Member::join_saying(&party.group, &party.log, said.next()?)?;
            party.members.push(Some(member));
            party.said.push(said);
        }
        Ok(party)
    }

    /// What it is to be told of what was written.
    fn due(&self, written: &History) -> History {
        if self.has_policy {
            policy::left(written)
        } else {
            written.clone()
        }
    }

    /// Its own stream, where it has one, holds what its policy leaves of the task's stream, once and in the same order.
    async fn check_own_stream(
        &self,
        data: &async_nats::Client,
        stream: &[Row],
        written: &History,
    ) -> anyhow::Result<()> {
        if !self.has_policy {
            return Ok(());
        }
        let name = group_stream(&self.group.connection.group_id);
        let own = read_stream_named(data, &name).await?;
        let own = written::of_stream(&own, Body::Dropped)?;
        written::is_same(&written::by_key(&own), &self.due(written))?;
        let due = policy::left_of_stream(stream);
        for (number, (told, due)) in own.iter().zip(&due).enumerate() {
            ensure!(
                told == due,
                "change {number} of {name} is {told:?}, in the task's order {due:?}"
            );
        }
        Ok(())
    }

    fn check(&self, written: &History) -> anyhow::Result<()> {
        written::is_same(&self.log.history(), &self.due(written))?;
        for (number, said) in self.said.iter().enumerate() {
            said.check(&format!("member {number}"))?;
        }
        let unit = match self.mode {
            GroupMode::Ordered => Unit::Everything,
            GroupMode::Keyed => Unit::Partition,
            GroupMode::Shared => Unit::Change,
        };
        check(&self.log, unit)
    }
}

/// Everything that can be hit.
struct World {
    shop: Shop,
    parties: Vec<Party>,
    effects: Effects,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let mut shop = Box::pin(Shop::open(Default::default())).await?;
        written::prepare(&shop.sql).await?;
        Box::pin(shop.run()).await?;
        for name in COPIES {
            shop.platform.copy("consumer-group", name).await?;
        }
        let mut parties = Vec::new();
        let derived = json!({ "etl": { "script": POLICY, "on_error": "stop" } });
        for (name, mode, more, members) in [
            ("ordered", GroupMode::Ordered, json!({}), 2),
            ("keyed", GroupMode::Keyed, json!({}), 3),
            ("shared", GroupMode::Shared, json!({}), 2),
            ("derived", GroupMode::Keyed, derived, 2),
        ] {
            parties.push(Party::of(&shop, (name, mode), more, members).await?);
        }
        let group = shop.group("copy").await?;
        let effects = Box::pin(Effects::of(&shop, &group, 2)).await?;
        Ok(Self {
            shop,
            parties,
            effects,
        })
    }

    /// What is not as it must be in the end, by now.
    async fn left(&self, written: &History) -> anyhow::Result<Vec<String>> {
        let effects = self.effects.count().await?;
        let mut told = vec![("effects", effects, written::count(written))];
        for party in &self.parties {
            let due = written::count(&party.due(written));
            told.push((party.name, party.log.changes(), due));
        }
        told.retain(|(_who, count, due)| count < due);
        let left: Vec<String> = told
            .into_iter()
            .map(|(who, count, due)| format!("{who}: {count} of {due} changes"))
            .collect();
        if !left.is_empty() {
            return Ok(left);
        }
        // The API may have been killed just now.
        let unwell = self.unwell().await;
        Ok(unwell.unwrap_or_else(|error| vec![format!("{error:#}")]))
    }

    /// Groups that are not well, or have something to acknowledge, and a task that does not run.
    async fn unwell(&self) -> anyhow::Result<Vec<String>> {
        let state = self.shop.task().await?.state;
        let mut unwell = Vec::new();
        if state != TaskState::Running {
            unwell.push(format!("the task is {state:?}"));
        }
        let list: rest::GroupList = self.shop.api.get(&self.shop.path("groups")).await?;
        ensure!(list.groups.len() > self.parties.len(), "a group is gone");
        for group in list.groups {
            let is_well = group.status.as_ref().is_some_and(is_well);
            if !is_well {
                unwell.push(format!("{}: {:?}", group.name, group.status));
            }
        }
        Ok(unwell)
    }

    async fn check(&self, written: &History) -> anyhow::Result<()> {
        let data = rowcast_e2e::data(&self.shop.platform).await?;
        let stored = read_stream(&data, &self.shop.task).await?;
        let stream = written::of_stream(&stored, Body::Told)?;
        let same = written::is_same(&written::by_key(&stream), written);
        same.context("the task's stream")?;
        for party in &self.parties {
            let own = party.check_own_stream(&data, &stream, written).await;
            own.with_context(|| format!("own stream of the {} group", party.name))?;
            let checked = party.check(written);
            checked.with_context(|| format!("{} group", party.name))?;
        }
        let effects = self.effects.check(&stream, &self.shop).await;
        effects.context("effects")?;
        // Nobody has given a change up, and none was sent so often that it counts as given up.
        let jetstream = async_nats::jetstream::new(data);
        let dead = jetstream.get_stream(DEAD.name).await?;
        let letters = dead.cached_info().state.messages;
        ensure!(letters == 0, "{letters} dead letters in {}", DEAD.name);
        for (name, running) in &self.shop.platform.services {
            let log = std::fs::read_to_string(running.log())?;
            ensure!(!log.contains("panicked at"), "{name} has panicked");
        }
        Ok(())
    }

    /// Copies what tells how it went, and says where to.
    fn keep(&self, seed: u64) -> anyhow::Result<PathBuf> {
        let folder = std::env::temp_dir().join(format!("rowcast-chaos-{seed}"));
        std::fs::create_dir_all(&folder)?;
        for (name, running) in &self.shop.platform.services {
            std::fs::copy(running.log(), folder.join(format!("{name}.log")))?;
        }
        std::fs::write(folder.join("nats.log"), self.shop.platform.log("nats")?)?;
        for party in &self.parties {
            let name = party.name;
            party.log.copy_to(folder.join(name))?;
            for (number, said) in party.said.iter().enumerate() {
                std::fs::copy(said.path(), folder.join(format!("{name}-{number}.log")))?;
            }
        }
        for (number, said) in self.effects.said().enumerate() {
            std::fs::copy(said.path(), folder.join(format!("effects-{number}.log")))?;
        }
        Ok(folder)
    }
}

fn is_well(status: &GroupStatus) -> bool {
    let derivation = status.derivation.as_ref();
    let is_made = derivation.is_none_or(|own| own.parked == 0 && own.behind == 0);
    status.state == GroupState::Ok && status.unconsumed == 0 && is_made
}

/// Writes and kills, and waits until everything is told.
async fn live(world: &mut World, seed: u64, events: u32) -> anyhow::Result<History> {
    let mut random = StdRng::seed_from_u64(seed);
    let enough = CancellationToken::new();
    let mut writers = Vec::new();
    for _writer in 0..3 {
        let sql = written::connection(&world.shop).await?;
        let (seed, enough) = (random.random(), enough.clone());
        writers.push(async move { written::write(&sql, seed, &enough).await });
    }
    let mut trouble = Trouble::new(world);
    let troubled = async {
        let troubled = Box::pin(trouble.make(&mut random, events)).await;
        enough.cancel();
        troubled
    };
    let (wrote, ()) = tokio::try_join!(futures::future::try_join_all(writers), troubled)?;
    written::is_enough(&wrote)?;

    let written = written::history(&trouble.world.shop.sql).await?;
    written::has_all_kinds(&written)?;
    policy::is_used(&written)?;
    let settled = settle(&mut trouble, &written).await;
    trouble.tell_ends();
    settled?;
    Ok(written)
}

/// Waits until every change is told and acknowledged, and then for what would be told too often.
async fn settle(trouble: &mut Trouble<'_>, written: &History) -> anyhow::Result<()> {
    let deadline = Instant::now() + SETTLED;
    loop {
        let left = trouble.world.left(written).await?;
        if left.is_empty() {
            break;
        }
        ensure!(Instant::now() < deadline, "in the end still {left:?}");
        supervise(trouble, LOOK_AT_GROUPS).await?;
    }
    let changes = written::count(written);
    eprintln!("{changes} changes are told and acknowledged");
    supervise(trouble, QUIET).await
}

/// Keeps everything running for so long.
async fn supervise(trouble: &mut Trouble<'_>, lasts: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + lasts;
    while Instant::now() < until {
        trouble.supervise().await?;
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_get_every_change_in_their_order_while_anything_is_killed_or_stands_still() {
    let seed: u64 = variable("ROWCAST_TEST_SEED").unwrap_or_else(rand::random);
    eprintln!("ROWCAST_TEST_SEED={seed}");
    let events = variable("ROWCAST_CHAOS_EVENTS").unwrap_or(EVENTS);
    let mut world = Box::pin(World::start()).await.unwrap();
    let proved = async {
        let written = Box::pin(live(&mut world, seed, events)).await?;
        world.check(&written).await
    };
    if let Err(error) = proved.await {
        panic!("{error:#}, see {}", world.keep(seed).unwrap().display());
    }
    for member in world.parties.into_iter().flat_map(|party| party.members) {
        member.unwrap().leave().await.unwrap();
    }
}
