//! Groups of every mode, while their members, the services and the broker are killed and stand still at random.

mod effects;
mod trouble;
mod written;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rowcast_client::GroupMode;
use rowcast_e2e::{Group, Log, Member, Shop, Unit, check};
use rowcast_testkit::{read_stream, rows_in_order};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use effects::Effects;
use trouble::Trouble;
use written::History;

/// What happens, where `ROWCAST_CHAOS_EVENTS` does not say how often.
const EVENTS: u32 = 12;

/// More copies of what decides who reads.
const COPIES: [&str; 1] = ["consumer-group-2"];

/// Until everything is told once nothing is killed any more: what a shared group's member had comes again after 30 s, and
/// capture waits up to a minute between two attempts.
const SETTLED: Duration = Duration::from_secs(180);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// The members of a group; `None` where one is down.
struct Party {
    mode: GroupMode,
    group: Group,
    log: Log,
    members: Vec<Option<Member>>,
}

impl Party {
    async fn of(shop: &Shop, mode: GroupMode, members: usize) -> anyhow::Result<Self> {
        let group = shop.group_of(&format!("{mode:?}"), mode).await?;
        let log = Log::open()?;
        let join = |_member| Member::join(&group, &log).map(Some);
        let members = (0..members).map(join).collect::<Result<_, _>>()?;
        Ok(Self {
            mode,
            group,
            log,
            members,
        })
    }

    fn check(&self, written: &History) -> anyhow::Result<()> {
        let told = self.log.history();
        for (key, changes) in written {
            let told = told.get(key);
            ensure!(
                told == Some(changes),
                "key {key}: told {told:?}, written {changes:?}"
            );
        }
        ensure!(told.len() == written.len(), "keys that were never written");
        match self.mode {
            GroupMode::Ordered => check(&self.log, Unit::Everything),
            GroupMode::Keyed => check(&self.log, Unit::Partition),
            // Any change goes to any member.
            GroupMode::Shared => Ok(()),
        }
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
        for (mode, members) in [
            (GroupMode::Ordered, 2),
            (GroupMode::Keyed, 3),
            (GroupMode::Shared, 2),
        ] {
            parties.push(Party::of(&shop, mode, members).await?);
        }
        let group = shop.group("copy").await?;
        let effects = Box::pin(Effects::of(&shop, &group, 2)).await?;
        Ok(Self {
            shop,
            parties,
            effects,
        })
    }

    /// How much is told of what was written, by who tells it.
    async fn told(&self) -> anyhow::Result<Vec<(String, usize)>> {
        let mut told = vec![("effects".to_owned(), self.effects.count().await?)];
        for party in &self.parties {
            told.push((format!("{:?}", party.mode), party.log.changes()));
        }
        Ok(told)
    }

    async fn check(&self, written: &History) -> anyhow::Result<()> {
        let data = rowcast_e2e::data(&self.shop.platform).await?;
        let stored = read_stream(&data, &self.shop.task).await?;
        let changes: usize = written.values().map(Vec::len).sum();
        let stored = rows_in_order(&stored).len();
        ensure!(stored == changes, "{stored} changes stored of {changes}");
        for party in &self.parties {
            let checked = party.check(written);
            checked.with_context(|| format!("{:?} group", party.mode))?;
        }
        self.effects.check(written).await.context("effects")?;
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
            party
                .log
                .copy_to(folder.join(format!("{:?}", party.mode)))?;
        }
        Ok(folder)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a failed run is repeated by its seed, and a long one is asked for"
)]
fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
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
    let (_written, ()) = tokio::try_join!(futures::future::try_join_all(writers), troubled)?;

    let written = written::history(&trouble.world.shop.sql).await?;
    let changes: usize = written.values().map(Vec::len).sum();
    let deadline = Instant::now() + SETTLED;
    loop {
        trouble.supervise().await?;
        let told = trouble.world.told().await?;
        if told.iter().all(|(_who, count)| *count >= changes) {
            eprintln!("{changes} changes are told: {told:?}");
            return Ok(written);
        }
        ensure!(
            Instant::now() < deadline,
            "of {changes} changes only {told:?}"
        );
        tokio::time::sleep(LOOK).await;
    }
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
