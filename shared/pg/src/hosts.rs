//! A source that is behind several hosts, of which one takes writes: as libpq's `host=a,b` with
//! `target_session_attrs=primary` (PostgreSQL docs, "Database Connection Control Functions").

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use crate::connect::{ConnectOptions, connect_to_one};
use crate::{Error, ErrorClass};

/// Once a host is known to take writes, the others have this long to say the same.
const PREFERENCE: Duration = Duration::from_secs(1);

/// What a host is, for those who are told.
#[derive(Debug)]
pub enum Role {
    /// It takes writes, on this timeline; 0 before PostgreSQL 10, where it is not asked for.
    Primary(u32),
    /// It follows another one.
    Standby,
    /// It was not reached.
    Unknown(Error),
}

/// The hosts that a text names, with commas between; each as [`at`] takes it.
pub fn each(host: &str) -> impl Iterator<Item = &str> {
    host.split(',').map(str::trim)
}

/// Whether a text names more than one host.
#[must_use]
pub fn are_several(host: &str) -> bool {
    host.contains(',')
}

/// The options with the host that takes writes, where several are named; of one alone nothing is asked.
///
/// Where several take writes, an old primary may have come back that nobody has stopped: the one with the latest timeline
/// is taken, and of one timeline the first that is named.
///
/// All connections of one piece of work must lead to the same server, so it is chosen once for each.
///
/// # Errors
/// [`Error::NoPrimary`] where none takes writes, but trying again may help; where it helps with none of them, what is
/// wrong with the first.
pub async fn primary(options: &ConnectOptions) -> Result<ConnectOptions, Error> {
    if !are_several(&options.host) {
        return Ok(at(options, &options.host));
    }
    let host = choose(roles_until_known(options).await)?;
    Ok(at(options, &host))
}

/// The host that takes writes; a role is `None` of a host that was not waited for.
///
/// # Errors
/// As of [`primary`].
pub fn choose(roles: Vec<(String, Option<Role>)>) -> Result<String, Error> {
    let mut latest: Option<(&String, u32)> = None;
    for (host, role) in &roles {
        if let Some(Role::Primary(timeline)) = role
            && latest.is_none_or(|(_, other)| other < *timeline)
        {
            latest = Some((host, *timeline));
        }
    }
    if let Some((host, _)) = latest {
        return Ok(host.clone());
    }
    let is_definite = |role: &Option<Role>| match role {
        Some(Role::Unknown(error)) => error.class() == ErrorClass::Definite,
        Some(Role::Primary(_) | Role::Standby) | None => false,
    };
    let definite = roles.iter().filter(|(_, role)| is_definite(role)).count();
    let is_unknown = |role: &Option<Role>| matches!(role, Some(Role::Unknown(_)));
    let all_unknown = roles.iter().all(|(_, role)| is_unknown(role));
    if all_unknown && (definite == 0 || definite == roles.len()) {
        let error = |(_, role)| match role {
            Some(Role::Unknown(error)) => Some(error),
            Some(Role::Primary(_) | Role::Standby) | None => None,
        };
        let first = roles.into_iter().find_map(error);
        return Err(first.unwrap_or_else(|| Error::InvalidArgument("no host is named".to_owned())));
    }
    let hosts = roles
        .iter()
        .map(|(host, role)| in_words(host, role.as_ref()));
    Err(Error::NoPrimary {
        hosts: hosts.collect::<Vec<_>>().join("; "),
    })
}

/// What each host is, asked at the same time; in the order in which they are named.
pub async fn roles(options: &ConnectOptions) -> Vec<(String, Role)> {
    let asked =
        each(&options.host).map(async |host| (host.to_owned(), role(&at(options, host)).await));
    futures::future::join_all(asked).await
}

/// What each host is, as far as must be known: whoever is silent is not waited for long once another is known to take
/// writes.
async fn roles_until_known(options: &ConnectOptions) -> Vec<(String, Option<Role>)> {
    let mut asked: FuturesUnordered<_> = each(&options.host)
        .enumerate()
        .map(async |(place, host)| (place, role(&at(options, host)).await))
        .collect();
    let mut roles: Vec<_> = each(&options.host)
        .map(|host| (host.to_owned(), None))
        .collect();
    let mut wait = Wait::ForAny;
    loop {
        let next = match wait {
            Wait::ForAny => asked.next().await,
            Wait::Until(end) => timeout_at(end, asked.next()).await.unwrap_or(None),
        };
        let Some((place, role)) = next else {
            return roles;
        };
        if matches!((&wait, &role), (Wait::ForAny, Role::Primary(_))) {
            wait = Wait::Until(Instant::now() + PREFERENCE);
        }
        if let Some((_, known)) = roles.get_mut(place) {
            *known = Some(role);
        }
    }
}

/// How long answers are waited for.
enum Wait {
    ForAny,
    Until(Instant),
}

async fn role(options: &ConnectOptions) -> Role {
    match asked(options).await {
        Ok(role) => role,
        Err(error) => Role::Unknown(error),
    }
}

async fn asked(options: &ConnectOptions) -> Result<Role, Error> {
    let session = connect_to_one(options).await?;
    let query = "SELECT pg_catalog.pg_is_in_recovery(),
                        pg_catalog.current_setting('server_version_num')::int >= 100000";
    let row = session.query_one(query, &[]).await?;
    let (follows, tells): (bool, bool) = (row.try_get(0)?, row.try_get(1)?);
    if follows {
        return Ok(Role::Standby);
    }
    if !tells {
        return Ok(Role::Primary(0));
    }
    // A segment's name begins with its timeline, in eight hexadecimal digits.
    let query = "SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())";
    let segment: String = session.query_one(query, &[]).await?.try_get(0)?;
    let timeline = segment
        .get(..8)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    Ok(Role::Primary(timeline.unwrap_or_default()))
}

/// The options with one of the hosts that [`each`] names. It may have a port of its own, as `name:5433` or
/// `[2001:db8::1]:5433`.
#[must_use]
pub fn at(options: &ConnectOptions, host: &str) -> ConnectOptions {
    let (host, port) = parts(host);
    ConnectOptions {
        host: host.to_owned(),
        port: port.unwrap_or(options.port),
        ..options.clone()
    }
}

fn parts(text: &str) -> (&str, Option<u16>) {
    let bare = |host: &'_ str| -> bool { host.starts_with('/') || host.contains(':') };
    match text.rsplit_once(':') {
        Some((host, port)) if !bare(host) || (host.starts_with('[') && host.ends_with(']')) => {
            match port.parse() {
                Ok(port) => (without_brackets(host), Some(port)),
                Err(_no_port) => (text, None),
            }
        }
        Some(_) | None => (without_brackets(text), None),
    }
}

fn without_brackets(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// What is known of a host.
#[must_use]
pub fn in_words(host: &str, role: Option<&Role>) -> String {
    match role {
        Some(Role::Primary(_)) => format!("{host} takes writes"),
        Some(Role::Standby) => format!("{host} is a standby"),
        Some(Role::Unknown(error)) => format!("{host}: {error}"),
        None => format!("{host} has not answered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_may_have_its_own_port() {
        for (text, expected) in [
            ("db1", ("db1", None)),
            ("db1:5433", ("db1", Some(5433))),
            ("10.0.0.1:5433", ("10.0.0.1", Some(5433))),
            ("2001:db8::1", ("2001:db8::1", None)),
            ("[2001:db8::1]", ("2001:db8::1", None)),
            ("[2001:db8::1]:5433", ("2001:db8::1", Some(5433))),
            ("/run/a:b", ("/run/a:b", None)),
            ("db1:http", ("db1:http", None)),
        ] {
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    fn refused() -> Option<Role> {
        let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let address = "b:5432".to_owned();
        Some(Role::Unknown(Error::Connect { address, cause }))
    }

    fn wrong_password() -> Option<Role> {
        Some(Role::Unknown(Error::Authentication("no".to_owned())))
    }

    fn chosen(roles: Vec<Option<Role>>) -> Result<String, Error> {
        let names = ["a", "b", "c"].map(str::to_owned);
        choose(names.into_iter().zip(roles).collect())
    }

    #[test]
    fn the_latest_that_takes_writes_is_chosen_and_of_one_timeline_the_first() {
        let of = |roles| chosen(roles).unwrap();
        let primary = |timeline| Some(Role::Primary(timeline));
        assert_eq!(of(vec![Some(Role::Standby), primary(3)]), "b");
        assert_eq!(of(vec![refused(), primary(3), None]), "b");
        assert_eq!(of(vec![primary(3), primary(3)]), "a");
        assert_eq!(of(vec![primary(3), primary(4), primary(2)]), "b");
    }

    #[test]
    fn what_may_pass_by_itself_is_waited_for() {
        for roles in [
            vec![Some(Role::Standby), refused(), wrong_password()],
            vec![refused(), wrong_password()],
            vec![None, wrong_password()],
        ] {
            let error = chosen(roles).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Transient, "{error}");
            assert!(matches!(error, Error::NoPrimary { .. }), "{error}");
        }
        let error = chosen(vec![refused(), refused()]).unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }

    #[test]
    fn what_waiting_helps_with_none_of_is_told_at_once() {
        let error = chosen(vec![wrong_password(), wrong_password()]).unwrap_err();
        assert!(matches!(error, Error::Authentication(_)), "{error}");
    }
}
