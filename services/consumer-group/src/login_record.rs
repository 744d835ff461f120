//! Tells who logged in, and who was refused, for the audit log.
//!
//! Logins of one login from one host that end alike within a minute are one entry with a number; it is told within seconds,
//! and again as the number grows. Who is refused decides what login he names and, with enough hosts, from where: so the
//! entries of refused logins are few by host and by hour, and beyond that they are one for all. A process that is killed
//! loses what it had not told yet, of some seconds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rowcast_bus::event_meta;
use rowcast_domain::{GroupId, TaskId};
use rowcast_proto::message::LoginSeen;
use rowcast_service::{BoxError, CancellationToken};
use sqlx::postgres::PgPool;
use tokio::time::Instant;

use crate::door::Door;
use crate::outbox;
use crate::verified::Verified;

/// How often what is new is told.
const EVERY: Duration = Duration::from_secs(2);

/// Logins of this time are one entry.
const ENTRY: Duration = Duration::from_mins(1);

/// Most refused logins of one host that have an entry of their own, in the time of an entry.
const REFUSED_OF_A_HOST: usize = 5;

/// Most refused logins of all hosts that have an entry of their own, in an hour: 14,400 rows a day, whoever asks.
const REFUSED_OF_AN_HOUR: usize = 600;

const HOUR: Duration = Duration::from_hours(1);

/// In the place of login or host, where an entry is of many.
const MANY: &str = "*";

/// Longest text that a client may put into the audit log.
const TEXT_MAX: usize = 100;

/// Why a login was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// It does not have the form of a group's.
    NotAGroups,
    /// There is no such group.
    NoGroup,
    /// The group has another account.
    OtherAccount,
    /// The group is deleted.
    Deleted,
    /// Everything else is right.
    WrongPassword,
    /// Its host has failed too often, and nobody looked at the password.
    TooManyFailures,
    /// The login has all connections that it may have.
    TooManyConnections,
}

impl Refusal {
    /// Its code in the audit log.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::NotAGroups => "not_a_groups_login",
            Self::NoGroup => "no_such_group",
            Self::OtherAccount => "other_account",
            Self::Deleted => "group_deleted",
            Self::WrongPassword => "wrong_password",
            Self::TooManyFailures => "too_many_failures",
            Self::TooManyConnections => "too_many_connections",
        }
    }
}

/// A login that was judged.
#[derive(Debug)]
pub(crate) struct Login<'a> {
    pub(crate) login: &'a str,
    /// The group and its task, where it is a group's.
    pub(crate) group: Option<(&'a GroupId, &'a TaskId)>,
    pub(crate) host: &'a str,
    pub(crate) client_name: &'a str,
    /// `None` where it was let in.
    pub(crate) refusal: Option<Refusal>,
}

/// What was seen and is told.
#[derive(Debug, Default)]
pub(crate) struct LoginRecord(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    entries: HashMap<Key, Counted>,
    /// Since when those of the hour are counted, and how many there were.
    hour: Option<(Instant, usize)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    login: String,
    host: String,
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Counted {
    began: Instant,
    fact: LoginSeen,
    /// What was told of it.
    told: u32,
}

impl LoginRecord {
    /// Counts a login.
    pub(crate) fn note(&self, login: &Login<'_>, at: DateTime<Utc>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = seen.key(login);
        match seen.entries.entry(key) {
            Entry::Occupied(mut counted) => {
                let fact = &mut counted.get_mut().fact;
                fact.times = fact.times.saturating_add(1);
            }
            Entry::Vacant(place) => {
                let fact = fact(place.key(), login, at);
                place.insert(Counted {
                    began: Instant::now(),
                    fact,
                    told: 0,
                });
            }
        }
    }

    /// What has not been told yet. It is taken as told: where telling fails, [`Self::not_told`] takes it back.
    fn news(&self) -> Vec<LoginSeen> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for counted in seen.entries.values_mut() {
            if counted.fact.times > counted.told {
                counted.told = counted.fact.times;
                news.push(counted.fact.clone());
            }
        }
        news
    }

    fn not_told(&self) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for counted in seen.entries.values_mut() {
            counted.told = 0;
        }
    }

    /// Ends the entries whose time is over, once all of them is told.
    fn end(&self) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entries.retain(|_key, counted| {
            counted.began.elapsed() < ENTRY || counted.fact.times > counted.told
        });
    }
}

impl Seen {
    /// Under which a login is counted.
    fn key(&mut self, login: &Login<'_>) -> Key {
        let own = Key {
            login: cut(login.login),
            host: cut(login.host),
            refusal: login.refusal,
        };
        if login.refusal.is_none() || self.entries.contains_key(&own) {
            return own;
        }
        let of_host = self.entries.keys();
        let of_host = of_host.filter(|key| key.refusal.is_some() && key.host == own.host);
        let key = if of_host.count() < REFUSED_OF_A_HOST {
            own
        } else {
            Key {
                login: MANY.to_owned(),
                ..own
            }
        };
        if self.entries.contains_key(&key) || self.has_room() {
            return key;
        }
        Key {
            login: MANY.to_owned(),
            host: MANY.to_owned(),
            ..key
        }
    }

    /// Whether the hour has room for another entry, which is counted.
    fn has_room(&mut self) -> bool {
        let now = Instant::now();
        let (since, number) = self
            .hour
            .filter(|(since, _number)| since.elapsed() < HOUR)
            .unwrap_or((now, 0));
        let has_room = number < REFUSED_OF_AN_HOUR;
        self.hour = Some((since, number + usize::from(has_room)));
        has_room
    }
}

fn fact(key: &Key, login: &Login<'_>, at: DateTime<Utc>) -> LoginSeen {
    let group = login.group.filter(|_group| key.login != MANY);
    let name = if key.login == MANY {
        String::new()
    } else {
        cut(login.client_name)
    };
    LoginSeen {
        meta: None,
        id: event_meta().id,
        login: key.login.clone(),
        group_id: group.map(|(id, _task)| id.to_string()).unwrap_or_default(),
        task_id: group
            .map(|(_id, task)| task.to_string())
            .unwrap_or_default(),
        host: key.host.clone(),
        client_name: name,
        refusal: key
            .refusal
            .map(Refusal::code)
            .unwrap_or_default()
            .to_owned(),
        first_at: Some(at.into()),
        times: 1,
    }
}

/// A client's text as it may stand in a database and on a terminal.
fn cut(text: &str) -> String {
    let printable = |character: char| {
        if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        }
    };
    text.chars().take(TEXT_MAX).map(printable).collect()
}

/// What a login's judge remembers.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) record: Arc<LoginRecord>,
    pub(crate) door: Arc<Door>,
    pub(crate) verified: Arc<Verified>,
}

/// Tells what is new, and forgets what is old, until told to stop; then tells the rest.
pub(crate) async fn run(
    memory: Memory,
    pool: PgPool,
    stop: CancellationToken,
) -> Result<(), BoxError> {
    loop {
        let stops = stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_none();
        if let Err(error) = tell(&memory.record, &pool).await {
            memory.record.not_told();
            tracing::warn!(%error, "logins not told to the audit log yet");
        }
        if stops {
            return Ok(());
        }
        memory.record.end();
        memory.door.forget();
        memory.verified.forget();
    }
}

async fn tell(record: &LoginRecord, pool: &PgPool) -> Result<(), sqlx::Error> {
    let news = record.news();
    if news.is_empty() {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    for fact in news {
        let fact = LoginSeen {
            meta: Some(event_meta()),
            ..fact
        };
        outbox::append(&mut transaction, &fact).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<'a>(login: &'a str, host: &'a str) -> Login<'a> {
        Login {
            login,
            group: None,
            host,
            client_name: "shop",
            refusal: Some(Refusal::NoGroup),
        }
    }

    fn noted(record: &LoginRecord, login: &Login<'_>) {
        record.note(login, DateTime::UNIX_EPOCH);
    }

    fn told(record: &LoginRecord) -> Vec<(String, String, u32)> {
        let news = record.news().into_iter();
        let mut told: Vec<_> = news
            .map(|fact| (fact.login, fact.host, fact.times))
            .collect();
        told.sort();
        told
    }

    #[tokio::test(start_paused = true)]
    async fn logins_of_a_minute_that_end_alike_are_one_entry() {
        let record = LoginRecord::default();
        let login = refused("reader-g1", "192.0.2.1");
        noted(&record, &login);
        noted(&record, &login);
        noted(
            &record,
            &Login {
                refusal: None,
                ..refused("reader-g1", "192.0.2.1")
            },
        );
        let entry = |times| ("reader-g1".to_owned(), "192.0.2.1".to_owned(), times);
        assert_eq!(told(&record), [entry(1), entry(2)]);
        assert!(told(&record).is_empty());
        noted(&record, &login);
        assert_eq!(told(&record), [entry(3)]);
        // What could not be stored is told again.
        record.not_told();
        assert_eq!(told(&record), [entry(1), entry(3)]);

        tokio::time::advance(ENTRY).await;
        noted(&record, &login);
        record.end();
        assert_eq!(told(&record), [entry(4)]);
        record.end();
        noted(&record, &login);
        assert_eq!(told(&record), [entry(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_logins_make_few_entries_whoever_asks() {
        let record = LoginRecord::default();
        for number in 0..100 {
            noted(&record, &refused(&format!("reader-g{number}"), "192.0.2.1"));
        }
        let of_host = told(&record);
        assert_eq!(of_host.len(), REFUSED_OF_A_HOST + 1);
        let many = ("*".to_owned(), "192.0.2.1".to_owned(), 95);
        assert_eq!(of_host[0], many);
        for number in 0..10_000 {
            noted(&record, &refused("reader-g1", &format!("host {number}")));
        }
        let mut all = told(&record);
        all.retain(|(_login, host, _times)| host == MANY);
        let others = 10_000 - (REFUSED_OF_AN_HOUR - REFUSED_OF_A_HOST - 1);
        let times = u32::try_from(others).unwrap();
        assert_eq!(all, [("*".to_owned(), "*".to_owned(), times)]);
        // Who is let in has an entry in any case.
        noted(
            &record,
            &Login {
                refusal: None,
                ..refused("reader-g2", "203.0.113.9")
            },
        );
        assert_eq!(told(&record).len(), 1);
    }

    #[test]
    fn what_a_client_says_of_itself_is_cut_and_printable() {
        let login = "a\0".repeat(TEXT_MAX);
        let cut = cut(&login);
        assert_eq!(cut.chars().count(), TEXT_MAX);
        assert!(cut.starts_with("a\u{fffd}a"));
    }
}
