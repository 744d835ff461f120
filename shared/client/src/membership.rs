//! Asks the service once a second what this member may read, and lets go of what others are to have.
//!
//! Runs beside the caller, who may take long for a change. It counts the lease from when it asked, so that it ends
//! here before it ends there. Where nobody can decide, because the service is away or has no database, nothing can
//! come to another member either, and this one goes on: a service that comes back ends no lease before its members
//! had the time to ask. That the service is away is not believed of a server of NATS that may be cut off from the others,
//! behind which the service goes on: most of the servers that keep what is held must be there too.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, jetstream};
use futures::future::join_all;
use futures::stream::BoxStream;
use rowcast_proto::message::{HeldShare, MemberReply, MemberRequest};
use rowcast_proto::rest::GroupMode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::asking::{Answer, ask};
use crate::consumer::{Messages, kept};
use crate::credentials::GroupCredentials;
use crate::delivery::Delivery;
use crate::error::Error;
use crate::hold::{Hold, Standing};
use crate::login::{Refused, another_connection};
use crate::share::{self, Opening};

/// How often the service is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How often is looked whether what is wanted back is acknowledged.
const LOOK: Duration = Duration::from_millis(50);

/// Lease where the service cannot decide: as long as that of the service.
const UNDECIDED: Duration = Duration::from_secs(6);

/// Lease where nobody answers, from when most of the servers that keep what is held were last there: shorter than that of
/// the service, which counts from a question before that.
const KEPT: Duration = Duration::from_secs(4);

/// Consumers asked after, of those that are held: one of them may have no leader for a moment.
const ASKED_AFTER: usize = 3;

/// A member of an ordered group that never had an answer reads after so many questions that nobody was there to
/// answer: order does not rest on being alone.
const UNHEARD: u32 = 3;

/// Time for the server to learn that nothing is asked for any more, before others are told.
const SETTLE: Duration = Duration::from_millis(20);

/// Streams of changes that wait for the caller at most; more than a group has partitions.
pub(crate) const WAITING: usize = 1024;

/// What the caller reads next to what it reads.
pub(crate) type Joined = BoxStream<'static, Result<Delivery, Error>>;

/// What this member holds of one consumer.
struct Held {
    epoch: u64,
    hold: Arc<Hold>,
    messages: Messages,
}

impl Held {
    fn lose(&self) {
        self.hold.set(Standing::Lost);
        self.messages.stop();
    }
}

/// A member.
pub(crate) struct Membership {
    client: Client,
    jetstream: jetstream::Context,
    credentials: Arc<GroupCredentials>,
    member: String,
    lease: watch::Sender<Instant>,
    /// Tells of connections that have begun.
    connected: Refused,
    held: HashMap<String, Held>,
    joined: mpsc::Sender<Joined>,
    /// Let go, and the service does not know it yet.
    released: Vec<HeldShare>,
    /// Questions that nobody was there to answer, before the first answer.
    unheard: Option<u32>,
}

impl Membership {
    pub(crate) fn new(
        client: Client,
        credentials: Arc<GroupCredentials>,
        member: String,
        connected: Refused,
        joined: mpsc::Sender<Joined>,
    ) -> Self {
        Self {
            jetstream: jetstream::new(client.clone()),
            client,
            credentials,
            member,
            connected,
            lease: watch::Sender::new(Instant::now()),
            held: HashMap::new(),
            joined,
            released: Vec::new(),
            unheard: Some(0),
        }
    }

    /// Asks until the caller has gone, then leaves.
    pub(crate) async fn run(mut self, mut left: oneshot::Receiver<()>) {
        let mut connected = self.connected.clone();
        connected.mark_unchanged();
        loop {
            let next = Instant::now() + EVERY;
            tokio::select! {
                _gone = &mut left => break,
                goes_on = self.renew() => if !goes_on {
                    let _gone = left.await;
                    break;
                },
            }
            tokio::select! {
                _gone = &mut left => break,
                () = tokio::time::sleep_until(next) => {}
                () = another_connection(&mut connected) => {
                    self.held.values().for_each(|held| held.messages.interrupt());
                }
                () = self.something_is_idle() => {}
            }
        }
        self.held.values().for_each(Held::lose);
        tokio::time::sleep(SETTLE).await;
        let (answer, _asked) = self.ask(true).await;
        if let Answer::Silence = answer {
            tracing::debug!("the service did not hear that the member has left");
        }
    }

    /// `false` where the group is gone.
    async fn renew(&mut self) -> bool {
        self.let_go().await;
        let (answer, asked) = self.ask(false).await;
        match answer {
            Answer::Decided(reply) => {
                self.unheard = None;
                self.released.clear();
                // First, so that nothing that went to another member is held again for a moment.
                self.apply(&reply);
                let lease = Duration::from_millis(reply.lease_ms);
                self.lease.send_replace(asked + lease);
            }
            Answer::Undecided => self.go_on(Some(asked + UNDECIDED)),
            Answer::Nobody => {
                let until = self.kept().await.map(|at| at + KEPT);
                self.go_on(until);
                self.read_unheard();
            }
            Answer::Silence => self.begin_moved(),
            Answer::NoGroup => {
                self.held.values().for_each(Held::lose);
                let group = self.credentials.group_id.clone();
                let deleted = std::future::ready(Err(Error::GroupDeleted { group }));
                let told = self
                    .joined
                    .try_send(Box::pin(futures::stream::once(deleted)));
                if told.is_err() {
                    tracing::debug!("the caller takes nothing");
                }
                return false;
            }
        }
        true
    }

    async fn ask(&self, leaves: bool) -> (Answer, Instant) {
        let question = MemberRequest {
            member_id: self.member.clone(),
            released: self.released.clone(),
            leaves,
        };
        ask(&self.client, &self.credentials.group_id, &question).await
    }

    /// When most of the servers that keep what is held were last there; now, where nothing is held.
    async fn kept(&self) -> Option<Instant> {
        if self.held.is_empty() {
            return Some(Instant::now());
        }
        let names = self.held.keys().take(ASKED_AFTER);
        let asked = names.map(|name| kept(&self.jetstream, &self.credentials, name));
        join_all(asked).await.into_iter().flatten().max()
    }

    /// Goes on without a decision, until then.
    fn go_on(&mut self, until: Option<Instant>) {
        // What was over has perhaps gone to another member, before there was nobody to decide; also what ended
        // while the answer was on its way.
        let lease = *self.lease.borrow();
        let may_last = lease > Instant::now() || self.unheard.is_some();
        if let Some(until) = until
            && may_last
            && until > lease
        {
            self.lease.send_replace(until);
        }
        self.begin_moved();
    }

    /// Makes it so that this member reads what it holds, and nothing else.
    fn apply(&mut self, reply: &MemberReply) {
        let is_held = |name: &str, held: &Held| {
            let same = |share: &HeldShare| share.consumer == name && share.epoch == held.epoch;
            reply.held.iter().any(same)
        };
        self.begin_moved();
        self.held.retain(|name, held| {
            let stays = is_held(name, held);
            if !stays {
                held.lose();
            }
            stays
        });
        for share in &reply.held {
            match self.held.get(&share.consumer) {
                Some(held) if reply.wanted_back.contains(share) => {
                    held.hold.set(Standing::WantedBack);
                }
                Some(held) => held.hold.set(Standing::Held),
                None => self.begin(share.consumer.clone(), share.epoch),
            }
        }
    }

    /// Reads anew what this member holds and whose position was moved.
    fn begin_moved(&mut self) {
        let moved = |(name, held): (&String, &Held)| {
            (held.hold.standing() == Standing::Lost).then(|| (name.clone(), held.epoch))
        };
        let moved: Vec<_> = self.held.iter().filter_map(moved).collect();
        for (name, epoch) in moved {
            self.held.remove(&name);
            self.begin(name, epoch);
        }
    }

    /// Reads a consumer from now on, next to the others.
    fn begin(&mut self, consumer: String, epoch: u64) {
        let hold = Arc::new(Hold::new(self.lease.subscribe()));
        let messages = Messages::new();
        let changes = share::read(Opening {
            credentials: Arc::clone(&self.credentials),
            name: consumer.clone(),
            jetstream: self.jetstream.clone(),
            hold: Arc::clone(&hold),
            connected: self.connected.clone(),
            messages: messages.clone(),
        });
        // Where the caller takes nothing for long, it is begun with a later answer.
        if self.joined.try_send(changes).is_ok() {
            let held = Held {
                epoch,
                hold,
                messages,
            };
            self.held.insert(consumer, held);
        }
    }

    /// An ordered group is read also where no service decides who is active.
    fn read_unheard(&mut self) {
        let Some(unheard) = &mut self.unheard else {
            return;
        };
        *unheard += 1;
        let is_ordered = self.credentials.mode == GroupMode::Ordered;
        if *unheard >= UNHEARD && is_ordered && self.held.is_empty() {
            tracing::warn!(group = %self.credentials.group_id, "nobody says which member is active: reading");
            self.begin(self.credentials.consumer.clone(), 0);
        }
    }

    /// Stops reading what is wanted back and acknowledged.
    async fn let_go(&mut self) {
        let before = self.released.len();
        self.held.retain(|name, held| {
            let goes = is_let_go(held);
            if goes {
                held.lose();
                self.released.push(HeldShare {
                    consumer: name.clone(),
                    epoch: held.epoch,
                });
            }
            !goes
        });
        if self.released.len() > before {
            tokio::time::sleep(SETTLE).await;
        }
    }

    /// Ends when something that is wanted back is acknowledged.
    async fn something_is_idle(&self) {
        let is_wanted = |held: &Held| held.hold.standing() == Standing::WantedBack;
        if !self.held.values().any(is_wanted) {
            return pending().await;
        }
        while !self.held.values().any(is_let_go) {
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn is_let_go(held: &Held) -> bool {
    held.hold.standing() == Standing::WantedBack && held.hold.is_idle()
}
