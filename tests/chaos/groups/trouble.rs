//! What happens to the world.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rowcast_e2e::Member;
use rowcast_local::{Running, Signal};
use tokio::time::Instant;

use super::ended::{Ends, MISSED_FOR};
use super::{COPIES, LOOK, Party, World};

/// Milliseconds between two events.
const BETWEEN: std::ops::Range<u64> = 300..5_000;

/// Milliseconds for which a process is down. A lease has 6 s.
const DOWN: std::ops::Range<u64> = 0..9_000;

/// Milliseconds for which it stands still: shorter than a lease, and longer.
const STILL: std::ops::Range<u64> = 50..13_000;

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
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
    /// Who was hit, and when that was over.
    over: Vec<(Victim, Instant)>,
    /// Services that were killed, and are not started again yet.
    killed: BTreeSet<&'static str>,
    ends: Ends,
}

impl<'a> Trouble<'a> {
    pub(super) fn new(world: &'a mut World) -> Self {
        Self {
            world,
            begun: Instant::now(),
            hits: Vec::new(),
            over: Vec::new(),
            killed: BTreeSet::new(),
            ends: Ends::default(),
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
            // Who has ended by itself is seen before it could be taken for killed.
            self.supervise().await?;
            let victim = self.victim(random)?;
            let (event, lasts) = if random.random() {
                (Event::Killed, random.random_range(DOWN))
            } else {
                (Event::StandsStill, random.random_range(STILL))
            };
            self.tell(&format!("{victim:?} {event:?} for {lasts} ms"));
            self.strike(victim, event).await?;
            let until = Instant::now() + Duration::from_millis(lasts);
            self.hits.push(Hit {
                victim,
                event,
                until,
            });
        }
        while !self.hits.is_empty() {
            self.supervise().await?;
            tokio::time::sleep(LOOK).await;
        }
        self.tell("nothing more happens");
        Ok(())
    }

    /// Somebody who is not hit already.
    fn victim(&self, random: &mut StdRng) -> anyhow::Result<Victim> {
        let services = ["consumer-group", "capture", "task-api"].into_iter();
        let service = services.chain(COPIES).map(Victim::Service);
        let mut kinds: [Vec<Victim>; 4] = [
            self.members().collect(),
            (0..self.world.effects.members())
                .map(Victim::Applier)
                .collect(),
            service.collect(),
            vec![Victim::Broker],
        ];
        for kind in &mut kinds {
            kind.retain(|victim| !self.is_hit(*victim));
        }
        let kind = kinds.choose_weighted(random, Vec::len);
        let kind = kind.context("everybody is hit already")?;
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
            (Victim::Service(name), Event::Killed) => {
                self.killed.insert(name);
                self.service(name)?.child().kill().await?;
            }
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
            self.over.push((hit.victim, Instant::now()));
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
        for member in 0..self.world.effects.members() {
            if !self.is_hit(Victim::Applier(member)) {
                self.revive_applier(member)?;
            }
        }
        let services = self.world.shop.platform.services.keys().copied();
        for name in services.collect::<Vec<&'static str>>() {
            if !self.is_hit(Victim::Service(name)) {
                self.revive_service(name)?;
            }
        }
        Ok(())
    }

    /// Those that whoever ends now may miss: who is hit, or was not long ago.
    fn missed(&self) -> Vec<Victim> {
        let hits = self.hits.iter().map(|hit| hit.victim);
        let over = self.over.iter();
        let over = over.filter(|(_victim, over)| over.elapsed() < MISSED_FOR);
        hits.chain(over.map(|(victim, _over)| *victim)).collect()
    }

    fn revive(&mut self, party: usize, member: usize) -> anyhow::Result<()> {
        let victim = Victim::Member(party, member);
        let missed = self.missed();
        let Party {
            name,
            group,
            log,
            members,
            said,
            ..
        } = &mut self.world.parties[party];
        let (slot, said) = (&mut members[member], &mut said[member]);
        let ended = match slot {
            Some(member) => member.ended()?,
            None => None,
        };
        if let Some(status) = ended {
            self.ends.count(victim, status, &said.last()?, &missed)?;
        }
        if slot.is_none() || ended.is_some() {
            *slot = Some(Member::join_saying(group, log, said.next()?)?);
            let told = format!("member {member} of {name} is started: {ended:?}");
            self.tell(&told);
        }
        Ok(())
    }

    fn revive_applier(&mut self, member: usize) -> anyhow::Result<()> {
        if let Some((status, said)) = self.world.effects.ended(member)? {
            let missed = self.missed();
            self.ends
                .count(Victim::Applier(member), status, &said, &missed)?;
            self.tell(&format!("member {member} of the copy has ended: {status}"));
        }
        self.world.effects.revive(member)
    }

    fn revive_service(&mut self, name: &'static str) -> anyhow::Result<()> {
        let Some(status) = self.service(name)?.child().poll()? else {
            return Ok(());
        };
        if !self.killed.remove(name) {
            let said = std::fs::read_to_string(self.service(name)?.log())?;
            let missed = self.missed();
            self.ends
                .count(Victim::Service(name), status, &said, &missed)?;
        }
        self.service(name)?.start()?;
        self.tell(&format!("{name} is started: {status}"));
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

    /// Tells how often which error was seen that a process may end with.
    pub(super) fn tell_ends(&self) {
        for (name, times) in self.ends.counted() {
            self.tell(&format!("{times} times {name}"));
        }
    }

    fn tell(&self, what: &str) {
        eprintln!("{:7.2} s {what}", self.begun.elapsed().as_secs_f32());
    }
}
