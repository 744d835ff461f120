//! Closes the live connections of a login.
//!
//! A connection outlives the permission to make it, so that a deleted group's members would read on
//! until they disconnect.

use std::time::Duration;

use futures::StreamExt as _;
use rowcast_bus::Bus;
use rowcast_proto::subject;
use rowcast_service::BoxError;
use serde::{Deserialize, Serialize};

/// How long servers may take to tell their connections.
const ANSWERS: Duration = Duration::from_secs(2);

/// Servers after the first one answer within this, or are taken to be all.
const MORE_ANSWERS: Duration = Duration::from_millis(250);

/// Connections that a server tells at a time; more are found in the next round.
const PAGE: usize = 1024;

#[derive(Serialize)]
struct Question<'a> {
    /// Tell who each connection is.
    auth: bool,
    /// Only those of this login.
    user: &'a str,
    limit: usize,
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
pub(crate) async fn login(system: &Bus, login: &str) -> Result<usize, BoxError> {
    matching(system, login, |_name| true).await
}

/// Closes those of a login's connections whose names end with the names of these members.
pub(crate) async fn members(
    system: &Bus,
    login: &str,
    members: &[String],
) -> Result<usize, BoxError> {
    let is_theirs = |name: &str| members.iter().any(|member| name.ends_with(member.as_str()));
    matching(system, login, is_theirs).await
}

async fn matching(
    system: &Bus,
    login: &str,
    is_meant: impl Fn(&str) -> bool,
) -> Result<usize, BoxError> {
    let mut kicked = 0;
    for answer in ask_servers(system, login).await? {
        for connection in answer.data.connections {
            // Never close somebody else's, should a server not know the filter.
            if connection.authorized_user == login && is_meant(&connection.name) {
                kick(system, &answer.server.id, connection.cid).await?;
                kicked += 1;
            }
        }
    }
    if kicked > 0 {
        tracing::info!(login, connections = kicked, "closed connections");
    }
    Ok(kicked)
}

async fn ask_servers(system: &Bus, login: &str) -> Result<Vec<Answer>, BoxError> {
    let client = system.client();
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await?;
    let question = serde_json::to_vec(&Question {
        auth: true,
        user: login,
        limit: PAGE,
    })?;
    client
        .publish_with_reply(subject::PING_CONNECTIONS, inbox, question.into())
        .await?;
    let mut answers = Vec::new();
    let mut wait = ANSWERS;
    while let Ok(Some(reply)) = tokio::time::timeout(wait, replies.next()).await {
        answers.push(serde_json::from_slice(&reply.payload)?);
        wait = MORE_ANSWERS;
    }
    if answers.is_empty() {
        return Err("no server tells its connections".into());
    }
    Ok(answers)
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
