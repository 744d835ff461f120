//! Closes the live connections of a login.
//!
//! A connection outlives the permission to make it, so that a deleted group's members would read on
//! until they disconnect.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use rowcast_bus::Bus;
use rowcast_proto::subject;
use rowcast_service::BoxError;
use serde::{Deserialize, Serialize};

use crate::servers::Answers;

/// How long servers may take to tell their connections. With what comes before it, less than the five seconds within which
/// a connection is to be closed.
const ANSWERS: Duration = Duration::from_millis(1750);

/// Connections that a server tells at a time: an answer of this many is about 600 kB, and a message has 1 MB.
const PAGE: usize = 1024;

/// Pages of one server.
const PAGES: usize = 64;

/// Connections closed at a time.
const CONCURRENT: usize = 32;

#[derive(Serialize)]
struct Question<'a> {
    /// Tell who each connection is.
    auth: bool,
    /// Only those of this login.
    user: &'a str,
    limit: usize,
    offset: usize,
}

#[derive(Deserialize)]
struct Answer {
    server: Server,
    data: Connections,
}

#[derive(Deserialize)]
struct Server {
    id: String,
}

#[derive(Deserialize)]
struct Connections {
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    /// What the client calls itself.
    #[serde(default)]
    name: String,
    #[serde(default)]
    authorized_user: String,
}

#[derive(Serialize)]
struct Kick {
    cid: u64,
}

#[derive(Deserialize)]
struct KickAnswer {
    error: Option<KickError>,
}

#[derive(Debug, Deserialize, thiserror::Error)]
#[error("the server does not close the connection: {description}")]
struct KickError {
    #[serde(default)]
    description: String,
}

/// Closes all connections of a login, on every server; tells how many there were.
///
/// # Errors
/// Where no server answers, or a connection is not closed: all others are.
pub(crate) async fn login(system: &Bus, login: &str) -> Result<usize, BoxError> {
    matching(system, login, |_name| true).await
}

/// Closes those of a login's connections whose names end with the names of these members.
///
/// # Errors
/// As of [`login`].
pub(crate) async fn members(
    system: &Bus,
    login: &str,
    members: &[String],
) -> Result<usize, BoxError> {
    let is_theirs = |name: &str| members.iter().any(|member| name.ends_with(member.as_str()));
    matching(system, login, is_theirs).await
}

/// Each server's connections are closed as soon as it tells them, whatever becomes of those of the others.
async fn matching(
    system: &Bus,
    login: &str,
    is_meant: impl Fn(&str) -> bool + Sync,
) -> Result<usize, BoxError> {
    let question = question(login, 0)?;
    let asked = Answers::ask(system, subject::PING_CONNECTIONS, question, ANSWERS).await;
    let mut answers = asked?;
    let mut closed = Closed::default();
    while let Some(answer) = answers.next(ANSWERS).await {
        closed.add(of_server(system, &answer.payload, login, &is_meant).await);
    }
    if closed.number > 0 {
        tracing::info!(login, connections = closed.number, "closed connections");
    }
    if answers.heard() == 0 {
        return Err("no server tells its connections".into());
    }
    if answers.silent() > 0 {
        tracing::warn!(
            login,
            servers = answers.silent(),
            "servers that do not answer may keep connections until their logins end"
        );
    }
    closed.failed.map_or(Ok(closed.number), Err)
}

/// What was closed, and what was not.
#[derive(Default)]
struct Closed {
    number: usize,
    /// The first of the errors.
    failed: Option<BoxError>,
}

impl Closed {
    fn add(&mut self, more: Self) {
        self.number += more.number;
        self.failed = self.failed.take().or(more.failed);
    }

    fn nothing(error: BoxError) -> Self {
        Self {
            number: 0,
            failed: Some(error),
        }
    }
}

/// Closes what a server has, which begins to tell it with this answer.
async fn of_server(
    system: &Bus,
    answer: &[u8],
    login: &str,
    is_meant: impl Fn(&str) -> bool,
) -> Closed {
    let answer: Answer = match serde_json::from_slice(answer) {
        Ok(answer) => answer,
        Err(error) => return Closed::nothing(error.into()),
    };
    let server = answer.server.id;
    let (connections, cut_short) = all_pages(system, &server, login, answer.data.connections).await;
    let meant: Vec<u64> = connections
        .iter()
        // Never close somebody else's, should a server not know the filter.
        .filter(|connection| connection.authorized_user == login && is_meant(&connection.name))
        .map(|connection| connection.cid)
        .collect();
    let number = AtomicUsize::new(0);
    let failures = stream::iter(meant)
        .map(|cid| kick(system, &server, cid))
        .buffer_unordered(CONCURRENT)
        .filter_map(|kicked| {
            let failed = match kicked {
                Ok(()) => {
                    number.fetch_add(1, Ordering::Relaxed);
                    None
                }
                Err(error) => Some(error),
            };
            std::future::ready(failed)
        });
    let failures: Vec<BoxError> = failures.collect().await;
    Closed {
        number: number.into_inner(),
        failed: failures.into_iter().next().or(cut_short),
    }
}

/// The connections behind those of the first page too. They are all asked for before any is closed: what goes moves those
/// behind it to a page that was told already.
async fn all_pages(
    system: &Bus,
    server: &str,
    login: &str,
    first: Vec<Connection>,
) -> (Vec<Connection>, Option<BoxError>) {
    let mut connections = first;
    for page in 1..PAGES {
        if connections.len() < page * PAGE {
            return (connections, None);
        }
        match next_page(system, server, login, page * PAGE).await {
            Ok(more) => connections.extend(more),
            Err(error) => return (connections, Some(error)),
        }
    }
    let error = format!("more than {} connections", connections.len());
    (connections, Some(error.into()))
}

async fn next_page(
    system: &Bus,
    server: &str,
    login: &str,
    offset: usize,
) -> Result<Vec<Connection>, BoxError> {
    let question = question(login, offset)?;
    let asked = system
        .client()
        .request(subject::connections_of(server), question.into());
    let reply = tokio::time::timeout(ANSWERS, asked).await??;
    let answer: Answer = serde_json::from_slice(&reply.payload)?;
    Ok(answer.data.connections)
}

fn question(login: &str, offset: usize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Question {
        auth: true,
        user: login,
        limit: PAGE,
        offset,
    })
}

async fn kick(system: &Bus, server_id: &str, cid: u64) -> Result<(), BoxError> {
    let question = serde_json::to_vec(&Kick { cid })?;
    let reply = system
        .client()
        .request(subject::kick(server_id), question.into())
        .await?;
    let answer: KickAnswer = serde_json::from_slice(&reply.payload)?;
    match answer.error {
        // Gone by itself in the meantime.
        Some(error) if error.description.contains("no such client") => Ok(()),
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
