//! What happens to the world.

use std::time::Duration;

use anyhow::Context as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rowcast_e2e::Member;
use rowcast_local::{Running, Signal};
use tokio::time::Instant;

use super::{COPIES, LOOK, World};

/// Milliseconds between two events.
const BETWEEN: std::ops::Range<u64> = 300..5_000;

/// Milliseconds for which a process is down. A lease has 6 s.
const DOWN: std::ops::Range<u64> = 0..9_000;

/// Milliseconds for which it stands still: shorter than a lease, and longer.
const STILL: std::ops::Range<u64> = 50..13_000;

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Of a party, a member.
    Member(usize, usize),
    /// Of those that apply effects.
    Applier(usize),
    Service(&'static str),
    Broker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Killed,
    StandsStill,
}

/// What is to end.
#[derive(Debug)]
struct Hit {
    victim: Victim,
    event: Event,
    until: Instant,
}

pub(super) struct Trouble<'a> {
    pub(super) world: &'a mut World,
    begun: Instant,
    hits: Vec<Hit>,
}

impl<'a> Trouble<'a> {
    pub(super) fn new(world: &'a mut World) -> Self {
        Self {
            world,
            begun: Instant::now(),
            hits: Vec::new(),
        }
    }

    /// So many events, until the last one is over.
    pub(super) async fn make(&mut self, random: &mut StdRng, events: u32) -> anyhow::Result<()> {
        for _event in 0..events {
            let next = Instant::now() + Duration::from_millis(random.random_range(BETWEEN));
            while Instant::now() < next {
                self.supervise().await?;
                tokio::time::sleep(LOOK).await;
            }
            let victim = self.victim(random)?;
            let (event, lasts) = if random.random() {
                (Event::Killed, random.random_range(DOWN))
            } else {
                (Event::StandsStill, random.random_range(STILL))
            };
            if self.hits.iter().all(|hit| hit.victim != victim) {
                self.tell(&format!("{victim:?} {event:?} for {lasts} ms"));
                self.strike(victim, event).await?;
                let until = Instant::now() + Duration::from_millis(lasts);
                self.hits.push(Hit {
                    victim,
                    event,
                    until,
                });
            }
        }
        while !self.hits.is_empty() {
            self.supervise().await?;
            tokio::time::sleep(LOOK).await;
        }
        self.tell("nothing more happens");
        Ok(())
    }

    fn victim(&self, random: &mut StdRng) -> anyhow::Result<Victim> {
        let services = ["consumer-group", "capture", "task-api"].into_iter();
        let service = services.chain(COPIES).map(Victim::Service);
        let kinds: [Vec<Victim>; 4] = [
            self.members().collect(),
            (0..self.world.effects.members.len())
                .map(Victim::Applier)
                .collect(),
            service.collect(),
            vec![Victim::Broker],
        ];
        let kind = kinds.choose_weighted(random, Vec::len)?;
        kind.choose(random).copied().context("nobody")
    }

    fn members(&self) -> impl Iterator<Item = Victim> {
        let parties = self.world.parties.iter().enumerate();
        parties.flat_map(|(number, party)| {
            (0..party.members.len()).map(move |member| Victim::Member(number, member))
        })
    }

    async fn strike(&mut self, victim: Victim, event: Event) -> anyhow::Result<()> {
        match (victim, event) {
            (Victim::Member(party, member), Event::Killed) => {
                let member = self.world.parties[party].members[member].take();
                member.context("it is there")?.kill().await?;
            }
            (Victim::Member(party, member), Event::StandsStill) => {
                self.member(party, member)?.pause()?;
            }
            (Victim::Applier(member), Event::Killed) => self.world.effects.kill(member).await?,
            (Victim::Applier(member), Event::StandsStill) => {
                self.world.effects.signal(member, Signal::Pause)?;
            }
            (Victim::Service(name), Event::Killed) => self.service(name)?.child().kill().await?,
            (Victim::Service(name), Event::StandsStill) => {
                self.service(name)?.child().signal(Signal::Pause)?;
            }
            (Victim::Broker, Event::Killed) => {
                self.note_broker()?;
                self.world.shop.platform.nats.kill().await?;
            }
            (Victim::Broker, Event::StandsStill) => {
                let nats = self.world.shop.platform.nats.child();
                nats.signal(Signal::Pause)?;
            }
        }
        Ok(())
    }

    async fn end(&mut self, victim: Victim, event: Event) -> anyhow::Result<()> {
        match (victim, event) {
            // Started below, like one that has ended by itself.
            (Victim::Member(..) | Victim::Applier(_) | Victim::Service(_), Event::Killed) => {}
            (Victim::Member(party, member), Event::StandsStill) => {
                self.member(party, member)?.go_on()?;
            }
            (Victim::Applier(member), Event::StandsStill) => {
                self.world.effects.signal(member, Signal::GoOn)?;
            }
            (Victim::Service(name), Event::StandsStill) => {
                self.service(name)?.child().signal(Signal::GoOn)?;
            }
            (Victim::Broker, Event::Killed) => {
                self.world.shop.platform.nats.restart().await?;
                self.note_broker()?;
            }
            (Victim::Broker, Event::StandsStill) => {
                let nats = self.world.shop.platform.nats.child();
                nats.signal(Signal::GoOn)?;
            }
        }
        Ok(())
    }

    /// Ends what is to end, and starts again what has ended.
    pub(super) async fn supervise(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let over = |hit: &mut Hit| hit.until <= now;
        let over: Vec<Hit> = self.hits.extract_if(.., over).collect();
        for hit in over {
            self.end(hit.victim, hit.event).await?;
            self.tell(&format!("{:?} goes on", hit.victim));
        }
        for victim in self.members().collect::<Vec<_>>() {
            let Victim::Member(party, member) = victim else {
                continue;
            };
            if !self.is_hit(victim) {
                self.revive(party, member)?;
            }
        }
        let down = |hit: &Hit| match hit.victim {
            Victim::Applier(member) => Some(member),
            Victim::Member(..) | Victim::Service(_) | Victim::Broker => None,
        };
        let down: Vec<usize> = self.hits.iter().filter_map(down).collect();
        self.world.effects.revive(&down)?;
        let services = self.world.shop.platform.services.keys().copied();
        for name in services.collect::<Vec<&'static str>>() {
            if self.is_hit(Victim::Service(name)) {
                continue;
            }
            let running = self.service(name)?;
            if running.start()? {
                self.tell(&format!("{name} is started"));
            }
        }
        Ok(())
    }

    fn revive(&mut self, party: usize, member: usize) -> anyhow::Result<()> {
        let party = &mut self.world.parties[party];
        let slot = &mut party.members[member];
        let ended = match slot {
            Some(member) => member.ended()?,
            None => None,
        };
        if slot.is_none() || ended.is_some() {
            *slot = Some(Member::join(&party.group, &party.log)?);
            let mode = party.mode;
            self.tell(&format!(
                "member {member} of {mode:?} is started: {ended:?}"
            ));
        }
        Ok(())
    }

    fn is_hit(&self, victim: Victim) -> bool {
        self.hits.iter().any(|hit| hit.victim == victim)
    }

    fn member(&self, party: usize, member: usize) -> anyhow::Result<&Member> {
        let member = self.world.parties[party].members[member].as_ref();
        member.context("the member is down")
    }

    fn service(&mut self, name: &str) -> anyhow::Result<&mut Running> {
        let services = &mut self.world.shop.platform.services;
        services.get_mut(name).with_context(|| format!("no {name}"))
    }

    fn note_broker(&self) -> anyhow::Result<()> {
        let mut parties = self.world.parties.iter();
        parties.try_for_each(|party| party.log.broker_killed())
    }

    fn tell(&self, what: &str) {
        eprintln!("{:7.2} s {what}", self.begun.elapsed().as_secs_f32());
    }
}
