//! Who is connected: asked of every NATS server by the system account.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rowcast_bus::Bus;
use rowcast_proto::message::GroupMember;
use rowcast_proto::subject;
use rowcast_service::BoxError;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::connection::CLIENTS_ACCOUNT;
use crate::servers::Answers;

/// How long the first server may take to tell its connections.
const FIRST_ANSWER: Duration = Duration::from_millis(1500);

/// Servers after the first one answer within this, or are not waited for.
const MORE_ANSWERS: Duration = Duration::from_millis(250);

/// How long all servers together may take, whatever they tell.
const ALL_ANSWERS: Duration = Duration::from_secs(4);

/// Connections that a server tells at a time: an answer of this many is about 600 kB, and a message has 1 MB.
const PAGE: usize = 1024;

/// Pages asked for: more connections than this of one server are not looked at.
const PAGES: usize = 64;

/// What was told is good for this long: whoever looks on asks every second or two.
const FRESH: Duration = Duration::from_secs(1);

/// The same for a list of many tasks: twice the time between two looks at all groups.
const RECENT: Duration = Duration::from_mins(1);

/// What is said of members that are not known.
pub(crate) const UNKNOWN: &str = "No NATS server tells its connections.";

/// The connections of all groups, by login, as the servers last told them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Members(Arc<Mutex<Option<Told>>>);

/// What the servers told, and when.
type Told = (Instant, Arc<ByLogin>);

/// Connections by login.
pub(crate) type ByLogin = HashMap<String, Vec<GroupMember>>;

#[derive(Serialize)]
struct Question {
    /// Tell who each connection is.
    auth: bool,
    /// Only those of this account.
    acc: &'static str,
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
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Connections {
    /// Of all pages.
    #[serde(default)]
    total: usize,
    #[serde(default)]
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    ip: String,
    #[serde(default)]
    port: u16,
    #[serde(default)]
    start: Option<DateTime<Utc>>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    lang: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    authorized_user: String,
}

impl Members {
    /// The connections of every group; `None` where no server tells them. All who ask at the same time share one
    /// question, whatever the number of groups.
    pub(crate) async fn look(&self, system: &Bus) -> Option<Arc<ByLogin>> {
        let mut last = self.0.lock().await;
        if let Some((at, told)) = last.as_ref()
            && at.elapsed() < FRESH
        {
            return Some(Arc::clone(told));
        }
        match ask(system).await {
            Ok(told) => {
                let told = Arc::new(told);
                *last = Some((Instant::now(), Arc::clone(&told)));
                Some(told)
            }
            Err(error) => {
                tracing::warn!(%error, "members of groups not known");
                *last = None;
                None
            }
        }
    }

    /// As [`Self::look`], and content with what was told not long ago: a list of many tasks is not worth a question.
    pub(crate) async fn recent(&self, system: &Bus) -> Option<Arc<ByLogin>> {
        let last = self.0.lock().await.clone();
        match last {
            Some((at, told)) if at.elapsed() < RECENT => Some(told),
            Some(_) | None => self.look(system).await,
        }
    }

    /// As [`Self::look`], and not what was told before.
    pub(crate) async fn look_anew(&self, system: &Bus) -> Option<Arc<ByLogin>> {
        *self.0.lock().await = None;
        self.look(system).await
    }
}

async fn ask(system: &Bus) -> Result<ByLogin, BoxError> {
    let mut members = ByLogin::new();
    for page in 0..PAGES {
        let answers = ask_page(system, page * PAGE).await?;
        let is_last = answers
            .iter()
            .all(|answer| answer.data.total <= (page + 1) * PAGE);
        for answer in answers {
            for connection in answer.data.connections {
                let login = connection.authorized_user.clone();
                let member = member(connection, &answer.server.name);
                members.entry(login).or_default().push(member);
            }
        }
        if is_last {
            break;
        }
    }
    for of_login in members.values_mut() {
        of_login.sort_by(|one, other| one.address.cmp(&other.address));
    }
    Ok(members)
}

fn member(connection: Connection, server: &str) -> GroupMember {
    let ip = connection.ip;
    let host = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip
    };
    GroupMember {
        address: format!("{host}:{}", connection.port),
        name: connection.name,
        language: connection.lang,
        version: connection.version,
        connected_at: connection.start.map(Into::into),
        server: server.to_owned(),
    }
}

async fn ask_page(system: &Bus, offset: usize) -> Result<Vec<Answer>, BoxError> {
    let question = serde_json::to_vec(&Question {
        auth: true,
        acc: CLIENTS_ACCOUNT,
        limit: PAGE,
        offset,
    })?;
    let asked = Answers::ask(system, subject::PING_CONNECTIONS, question, ALL_ANSWERS).await;
    let mut replies = asked?;
    // By server, should one answer twice.
    let mut answers = BTreeMap::new();
    let mut patience = FIRST_ANSWER;
    while let Some(reply) = replies.next(patience).await {
        let answer: Answer = serde_json::from_slice(&reply.payload)?;
        answers.insert(answer.server.name.clone(), answer);
        patience = MORE_ANSWERS;
    }
    if answers.is_empty() {
        return Err("no server tells its connections".into());
    }
    Ok(answers.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_a_server_is_read() {
        let text = r#"{"server":{"name":"rowcast","id":"N"},"data":{"total":1,"connections":[
            {"cid":7,"ip":"::1","port":51234,"start":"2026-11-23T05:33:10.1Z","name":"reader",
             "lang":"go","version":"1.4","authorized_user":"reader-g1"}]}}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let connection = answer.data.connections.into_iter().next().unwrap();
        let member = member(connection, &answer.server.name);
        assert_eq!(member.address, "[::1]:51234");
        assert_eq!(
            (member.language.as_str(), member.server.as_str()),
            ("go", "rowcast")
        );
        assert!(member.connected_at.is_some());
    }
}
