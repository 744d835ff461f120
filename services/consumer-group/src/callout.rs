//! Answers nats-server's question whether a login is good (NATS ADR-26).
//!
//! ```text
//! server ─▶ request JWT ─▶ signature, audience ─▶ login ─▶ group ─▶ password ─▶ user JWT ─▶ server
//! ```
//!
//! No answer is a refusal as well: the server closes the connection when its time is over.

use std::sync::Arc;

use chrono::Utc;
use futures::StreamExt as _;
use nkeys::KeyPair;
use rowcast_bus::async_nats::{Message, Subscriber};
use rowcast_bus::{Bus, BusConfig};
use rowcast_domain::Secret;
use rowcast_proto::subject::AUTH_CALLOUT;
use rowcast_service::{BoxError, CancellationToken};

use crate::connection::{self, CLIENTS_ACCOUNT};
use crate::jwt::{self, JwtError, Request, User};
use crate::state::State;
use crate::store::group::Group;
use crate::{permission, store};

/// Copies of the service share the requests.
const QUEUE: &str = "consumer-group";

/// Requests judged at a time; the others wait in the subscription.
const CONCURRENT: usize = 16;

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
}

/// How a login is judged.
enum Verdict {
    /// A member of this group.
    Member(Box<Group>),
    /// Nobody, and why, for our own log alone.
    Refused(&'static str),
}

impl Callout {
    /// Connects to the account that the server asks.
    pub(crate) async fn connect(
        config: &BusConfig,
        seed: &Secret,
        state: State,
    ) -> Result<Self, BoxError> {
        Ok(Self {
            bus: Bus::connect(config).await?,
            state,
            issuer: Arc::new(KeyPair::from_seed(seed.expose())?),
        })
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
        requests: Subscriber,
        stop: CancellationToken,
    ) -> Result<(), BoxError> {
        requests
            .take_until(stop.cancelled())
            .for_each_concurrent(CONCURRENT, |message| async {
                if let Err(error) = self.answer(message).await {
                    // The server refuses the connection.
                    tracing::error!(error = %error, "login request not answered");
                }
            })
            .await;
        if stop.is_cancelled() {
            Ok(())
        } else {
            Err("the subscription to login requests has ended".into())
        }
    }

    async fn answer(&self, message: Message) -> Result<(), BoxError> {
        let Some(reply_to) = message.reply else {
            return Err("a login request without a reply subject".into());
        };
        let request = Request::read(&message.payload)?;
        let now = Utc::now().timestamp();
        if request.expires_at != 0 && request.expires_at + CLOCK_SKEW < now {
            return Err("the login request is too old, or the clocks differ".into());
        }
        let verdict = self.judge(&request).await?;
        let answer = self.word(&request, &verdict, Utc::now().timestamp())?;
        self.bus.client().publish(reply_to, answer.into()).await?;
        Ok(())
    }

    async fn judge(&self, request: &Request) -> Result<Verdict, BoxError> {
        let Some((account, group_id)) = connection::parse_login(&request.user) else {
            return Ok(Verdict::Refused("not a login of a group"));
        };
        let group = store::group::by_id(&self.state.pool, &group_id).await?;
        let (group, reason) = match group {
            None => (None, "no such group"),
            Some(group) if group.account != account => (None, "not the account of the group"),
            Some(group) if group.deleted_at.is_some() => (None, "the group is deleted"),
            Some(group) => (Some(group), "wrong password"),
        };
        let stored = group.as_ref().map(|group| group.password_hash.clone());
        let password = request.password.clone();
        let right = self.state.hasher.verify(password, stored).await?;
        Ok(match group {
            Some(group) if right => Verdict::Member(Box::new(group)),
            Some(_) | None => Verdict::Refused(reason),
        })
    }

    fn word(&self, request: &Request, verdict: &Verdict, now: i64) -> Result<String, JwtError> {
        match verdict {
            Verdict::Member(group) => {
                tracing::info!(task = %group.task_id, login = request.user, host = request.host, "login");
                let permissions = permission::of_group(group);
                let user = User {
                    nkey: &request.user_nkey,
                    account: CLIENTS_ACCOUNT,
                    name: &request.user,
                    permissions: &permissions,
                };
                jwt::allow(request, &user, &self.issuer, now)
            }
            Verdict::Refused(reason) => {
                tracing::warn!(
                    login = request.user,
                    host = request.host,
                    reason,
                    "login refused"
                );
                jwt::deny(request, REFUSED, &self.issuer, now)
            }
        }
    }
}
