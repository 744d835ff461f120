//! A source that is behind several hosts, of which one takes writes: as libpq's `host=a,b` with
//! `target_session_attrs=primary` (PostgreSQL docs, "Database Connection Control Functions").

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use crate::connect::{ConnectOptions, connect_to_one};
use crate::{Error, ErrorClass};

/// Once a host is known to take writes, those named before it have this long to say the same.
const PREFERENCE: Duration = Duration::from_secs(1);

/// What a host is, for those who are told.
#[derive(Debug)]
pub enum Role {
    /// It takes writes.
    Primary,
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

/// The options with the host that takes writes, where several are named: the first of them in the order in which
/// they are named. With one host alone nothing is asked.
///
/// All connections of one piece of work must lead to the same server, so it is chosen once for each.
///
/// # Errors
/// [`Error::NoPrimary`] where hosts answer and all follow another one; else what is wrong with the first host for
/// which trying again does not help, or with the first.
pub async fn primary(options: &ConnectOptions) -> Result<ConnectOptions, Error> {
    if !are_several(&options.host) {
        return Ok(options.clone());
    }
    let host = choose(roles_until_known(options).await)?;
    Ok(at(options, &host))
}

/// The first host that takes writes; a role is `None` of a host that was not waited for.
///
/// # Errors
/// As of [`primary`].
pub fn choose(roles: Vec<(String, Option<Role>)>) -> Result<String, Error> {
    let is_primary = |role: &Option<Role>| matches!(role, Some(Role::Primary));
    if let Some((host, _)) = roles.iter().find(|(_, role)| is_primary(role)) {
        return Ok(host.clone());
    }
    let is_standby = |role: &Option<Role>| matches!(role, Some(Role::Standby));
    if roles.iter().any(|(_, role)| is_standby(role)) {
        let hosts = roles
            .iter()
            .map(|(host, role)| in_words(host, role.as_ref()));
        return Err(Error::NoPrimary {
            hosts: hosts.collect::<Vec<_>>().join("; "),
        });
    }
    let error = |(_, role)| match role {
        Some(Role::Unknown(error)) => Some(error),
        Some(Role::Primary | Role::Standby) | None => None,
    };
    let errors: Vec<Error> = roles.into_iter().filter_map(error).collect();
    let is_definite = |error: &Error| error.class() == ErrorClass::Definite;
    let told = errors.iter().position(is_definite).unwrap_or_default();
    let told = errors.into_iter().nth(told);
    Err(told.unwrap_or_else(|| Error::InvalidArgument("no host is named".to_owned())))
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
        if matches!((&wait, &role), (Wait::ForAny, Role::Primary)) {
            wait = Wait::Until(Instant::now() + PREFERENCE);
        }
        if let Some((_, known)) = roles.get_mut(place) {
            *known = Some(role);
        }
        let first = roles
            .iter()
            .find(|(_, role)| !matches!(role, Some(Role::Standby | Role::Unknown(_))));
        if matches!(first, Some((_, Some(Role::Primary)))) {
            // Nobody who is named before is still to answer.
            return roles;
        }
    }
}

/// How long answers are waited for.
enum Wait {
    ForAny,
    Until(Instant),
}

async fn role(options: &ConnectOptions) -> Role {
    let asked = async {
        let session = connect_to_one(options).await?;
        let row = session
            .query_one("SELECT pg_catalog.pg_is_in_recovery()", &[])
            .await?;
        Ok(row.try_get::<_, bool>(0)?)
    };
    match asked.await {
        Ok(false) => Role::Primary,
        Ok(true) => Role::Standby,
        Err(error) => Role::Unknown(error),
    }
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
        Some(Role::Primary) => format!("{host} takes writes"),
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
    fn the_first_that_takes_writes_is_chosen() {
        let of = |roles| chosen(roles).unwrap();
        assert_eq!(of(vec![Some(Role::Standby), Some(Role::Primary)]), "b");
        assert_eq!(of(vec![refused(), Some(Role::Primary), None]), "b");
        assert_eq!(of(vec![Some(Role::Primary), Some(Role::Primary)]), "a");
    }

    #[test]
    fn a_failover_that_is_under_way_may_be_waited_for() {
        let error = chosen(vec![Some(Role::Standby), refused(), wrong_password()]).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient);
        let told = error.to_string();
        assert!(told.contains("a is a standby; b: cannot connect"), "{told}");
    }

    #[test]
    fn what_waiting_does_not_help_is_told_first() {
        let error = chosen(vec![refused(), wrong_password()]).unwrap_err();
        assert!(matches!(error, Error::Authentication(_)), "{error}");
        let error = chosen(vec![refused(), refused()]).unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }
}
