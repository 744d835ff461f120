//! Answers nats-server's question whether a login is good (NATS ADR-26).
//!
//! ```text
//! server ─▶ request JWT ─▶ signature, audience ─▶ login ─▶ group ─▶ password ─▶ seat ─▶ user JWT ─▶ server
//! ```
//!
//! No answer is a refusal as well: the server closes the connection when its time is over. So what has waited for that long
//! is dropped, and hashes nothing.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::StreamExt as _;
use futures::channel::mpsc;
use nkeys::KeyPair;
use rowcast_bus::Bus;
use rowcast_bus::async_nats::{Message, Subscriber};
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::subject::AUTH_CALLOUT;
use rowcast_service::{BoxError, CancellationToken};
use tokio::time::Instant;

use crate::config::Config;
use crate::connection::{self, CLIENTS_ACCOUNT};
use crate::door::Door;
use crate::jwt::{self, JwtError, Request, User};
use crate::login_record::{Login, LoginRecord, Memory, Refusal};
use crate::seats::Seats;
use crate::state::State;
use crate::store::group::Group;
use crate::verified::Verified;
use crate::{permission, store};

/// Copies of the service share the requests.
const QUEUE: &str = "consumer-group";

/// Requests judged at a time. Most of them wait for their turn to compute a hash, and look again behind it at what is known
/// by then.
const CONCURRENT: usize = 64;

/// Requests that wait to be judged; more are not heard.
const WAITING: usize = 4096;

/// After this the server has given a login up.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// How far the server's clock may be behind ours, in seconds, before its requests look too old.
const CLOCK_SKEW: i64 = 60;

/// What the server's log says of a refusal: not which part was wrong.
const REFUSED: &str = "unknown login or wrong password";

/// Judges logins.
#[derive(Clone)]
pub(crate) struct Callout {
    bus: Bus,
    state: State,
    issuer: Arc<KeyPair>,
    lifetime: NonZeroU32,
    seats: Arc<Seats>,
    memory: Memory,
}

/// A request, and when it came.
struct Asked {
    message: Message,
    at: Instant,
}

/// How a login is judged.
enum Verdict {
    /// A member of this group.
    Member(Box<Group>),
    /// Nobody, and why, for our own log and record alone.
    Refused(Refusal, Option<(GroupId, TaskId)>),
    /// The server does not wait any more.
    GivenUp,
}

impl Callout {
    /// Connects to the account that the server asks.
    pub(crate) async fn connect(config: &Config, state: State) -> Result<Self, BoxError> {
        let memory = Memory {
            record: Arc::new(LoginRecord::default()),
            door: Arc::new(Door::new()),
            verified: Arc::new(Verified::new()),
        };
        Ok(Self {
            bus: Bus::connect(&config.callout).await?,
            state,
            issuer: Arc::new(KeyPair::from_seed(config.callout_seed.expose())?),
            lifetime: config.login_lifetime,
            seats: Arc::new(Seats::new(config.login_connections)),
            memory,
        })
    }

    /// What it remembers of logins.
    pub(crate) fn memory(&self) -> Memory {
        self.memory.clone()
    }

    /// Hears the requests from now on.
    pub(crate) async fn listen(&self) -> Result<Subscriber, BoxError> {
        let client = self.bus.client();
        let requests = client.queue_subscribe(AUTH_CALLOUT, QUEUE.into()).await?;
        // The server knows of the subscription when the call that follows it has come back.
        client.flush().await?;
        Ok(requests)
    }

    /// Answers until told to stop, then finishes the requests it has taken.
    pub(crate) async fn run(
        self,
        mut requests: Subscriber,
        stop: CancellationToken,
    ) -> Result<(), BoxError> {
        let (mut sender, waiting) = mpsc::channel(WAITING);
        let stops = &stop;
        let hearing = async move {
            while let Some(Some(message)) = stops.run_until_cancelled(requests.next()).await {
                let at = Instant::now();
                if sender.try_send(Asked { message, at }).is_err() {
                    tracing::debug!("too many login requests wait");
                }
            }
            // With the sender ends the judging, behind what it has taken.
        };
        let judging = waiting.for_each_concurrent(CONCURRENT, |asked| {
            let callout = self.clone();
            async move {
                if let Err(error) = callout.answer(asked).await {
                    // The server refuses the connection.
                    tracing::error!(error = %error, "login request not answered");
                }
            }
        });
        futures::future::join(hearing, judging).await;
        if stop.is_cancelled() {
            Ok(())
        } else {
            Err("the subscription to login requests has ended".into())
        }
    }

    async fn answer(&self, asked: Asked) -> Result<(), BoxError> {
        let Asked { message, at } = asked;
        let Some(reply_to) = message.reply else {
            return Err("a login request without a reply subject".into());
        };
        if at.elapsed() > GIVEN_UP {
            tracing::debug!("a login was given up before it was judged");
            return Ok(());
        }
        let request = Request::read(&message.payload)?;
        let now = Utc::now().timestamp();
        if request.expires_at != 0 && request.expires_at + CLOCK_SKEW < now {
            return Err("the login request is too old, or the clocks differ".into());
        }
        let judged = self.judge(&request, at).await?;
        // The server takes no answer by then, and who changes a password counts on it.
        let verdict = if at.elapsed() > GIVEN_UP {
            Verdict::GivenUp
        } else {
            judged
        };
        if let Some(answer) = self.word(&request, &verdict, Utc::now().timestamp())? {
            self.bus.client().publish(reply_to, answer.into()).await?;
        }
        Ok(())
    }

    async fn judge(&self, request: &Request, at: Instant) -> Result<Verdict, BoxError> {
        let Some((account, group_id)) = connection::parse_login(&request.user) else {
            return Ok(Verdict::Refused(Refusal::NotAGroups, None));
        };
        let Memory { door, verified, .. } = &self.memory;
        if !door.is_open(&request.host) && !verified.has_right(&group_id) {
            return Ok(Verdict::Refused(Refusal::TooManyFailures, None));
        }
        let found = store::group::by_id(&self.state.pool, &group_id).await?;
        let named = found
            .as_ref()
            .map(|group| (group.id.clone(), group.task_id.clone()));
        let (group, refusal) = match found {
            None => (None, Refusal::NoGroup),
            Some(group) if group.account != account => (None, Refusal::OtherAccount),
            Some(group) if group.deleted_at.is_some() => (None, Refusal::Deleted),
            Some(group) => (Some(group), Refusal::WrongPassword),
        };
        let stored = group.as_ref().map(|group| group.password_hash.clone());
        match (self.verify(request, &group_id, stored, at).await?, group) {
            (Checked::GivenUp, _) => Ok(Verdict::GivenUp),
            (Checked::TooManyFailures, _) => Ok(Verdict::Refused(Refusal::TooManyFailures, named)),
            (Checked::Right, Some(group)) => Ok(self.seated(request, group).await),
            (Checked::Right | Checked::Wrong, _) => Ok(Verdict::Refused(refusal, named)),
        }
    }

    /// Whoever is right is a member, where its login does not have all connections that it may have.
    async fn seated(&self, request: &Request, group: Group) -> Verdict {
        let State {
            members, system, ..
        } = &self.state;
        if self.seats.take(members, system, &request.user).await {
            Verdict::Member(Box::new(group))
        } else {
            Verdict::Refused(Refusal::TooManyConnections, Some((group.id, group.task_id)))
        }
    }

    /// Computes a hash only where it must: what was right or wrong before is so again, and a host that has failed too often is
    /// not looked at. Both may have become so while this waited for its turn.
    async fn verify(
        &self,
        request: &Request,
        group: &GroupId,
        stored: Option<String>,
        at: Instant,
    ) -> Result<Checked, BoxError> {
        let Memory { door, verified, .. } = &self.memory;
        let attempt = verified.attempt(&request.user, stored.as_deref(), &request.password);
        let known = || match verified.verdict(group, &attempt) {
            Some(true) => Some(Checked::Right),
            Some(false) => Some(Checked::Wrong),
            None if !door.is_open(&request.host) => Some(Checked::TooManyFailures),
            None => None,
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let turn = self.state.hasher.turn().await?;
        if let Some(known) = known() {
            return Ok(known);
        }
        if at.elapsed() > GIVEN_UP {
            return Ok(Checked::GivenUp);
        }
        let password = request.password.clone();
        let is_right = self.state.hasher.verify(turn, password, stored).await?;
        if !is_right {
            door.count_failure(&request.host);
        }
        verified.note(group, attempt, is_right);
        Ok(if is_right {
            Checked::Right
        } else {
            Checked::Wrong
        })
    }

    /// What the server is answered, if anything.
    fn word(
        &self,
        request: &Request,
        verdict: &Verdict,
        now: i64,
    ) -> Result<Option<String>, JwtError> {
        let answer = match verdict {
            Verdict::Member(group) => {
                tracing::info!(task = %group.task_id, login = request.user, host = request.host, "login");
                let permissions = permission::of_group(group);
                let user = User {
                    nkey: &request.user_nkey,
                    account: CLIENTS_ACCOUNT,
                    name: &request.user,
                    permissions: &permissions,
                    subscriptions: permission::subscriptions(group),
                    expires_at: now + self.lasts(),
                };
                self.note(request, Some((&group.id, &group.task_id)), None);
                jwt::allow(request, &user, &self.issuer, now)?
            }
            Verdict::Refused(refusal, group) => {
                let group = group.as_ref().map(|(id, task)| (id, task));
                log_refused(request, *refusal);
                self.note(request, group, Some(*refusal));
                jwt::deny(request, REFUSED, &self.issuer, now)?
            }
            Verdict::GivenUp => {
                tracing::debug!(
                    host = request.host,
                    "a login was given up before it was judged"
                );
                return Ok(None);
            }
        };
        Ok(Some(answer))
    }

    /// For how long a login is good, in seconds: not for the same time each, so that a thousand that came together do not
    /// come together again.
    fn lasts(&self) -> i64 {
        let lifetime = self.lifetime.get();
        i64::from(lifetime - rand::random_range(0..=lifetime / 10))
    }

    fn note(
        &self,
        request: &Request,
        group: Option<(&GroupId, &TaskId)>,
        refusal: Option<Refusal>,
    ) {
        let login = Login {
            login: &request.user,
            group,
            host: &request.host,
            client_name: &request.client_name,
            refusal,
        };
        self.memory.record.note(&login, Utc::now());
    }
}

/// What came of a password.
enum Checked {
    Right,
    Wrong,
    TooManyFailures,
    GivenUp,
}

/// A flood of refused logins is no flood of lines.
fn log_refused(request: &Request, refusal: Refusal) {
    let (login, host, reason) = (&request.user, &request.host, refusal.code());
    if refusal == Refusal::TooManyFailures {
        tracing::debug!(login, host, reason, "login refused");
    } else {
        tracing::warn!(login, host, reason, "login refused");
    }
}
