//! Does a connection that streams reach the server, and does the server let the account stream?
//!
//! A connection pooler may stand before the server: SQL goes through it, streams do not.

use rowcast_domain::TableName;
use rowcast_pg::{ConnectOptions, Error, ReplicationConnection, Session, settings, slot};

use super::{PUBLICATIONS_SINCE, Rule, wal_senders};
use crate::diagnosis::{Diagnosis, hba};
use crate::finding::Finding;
use crate::source::Source;

pub(crate) const RULE: Rule = Rule {
    code: "replication_login",
    title: "The account can log in for replication",
    ran: "Log in with replication=database; IDENTIFY_SYSTEM",
};

/// What other checks judge in full: `privileges`, `wal_senders`.
const JUDGED_ELSEWHERE: [&str; 2] = [REPLICATION_FORBIDDEN, WALSENDERS_USED_UP];
const REPLICATION_FORBIDDEN: &str = "replication_forbidden";
const WALSENDERS_USED_UP: &str = "walsenders_used_up";

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    Ok(match log_in(&source.options, &source.session).await? {
        Ok(finding) => finding,
        Err(refusal) if JUDGED_ELSEWHERE.contains(&refusal.diagnosis.name) => {
            Finding::skipped(refusal.diagnosis.cause)
        }
        Err(refusal) => refusal.finding(),
    })
}

/// Why a login for replication is refused.
pub(crate) struct Refusal {
    error: Error,
    diagnosis: Diagnosis,
}

impl Refusal {
    pub(crate) fn finding(self) -> Finding {
        self.diagnosis.finding(&self.error)
    }
}

/// Logs in as capture does.
pub(crate) async fn log_in(
    options: &ConnectOptions,
    session: &Session,
) -> Result<Result<Finding, Refusal>, Error> {
    let settings = settings::read(session).await?;
    let streaming = async {
        let encoding = settings.encoding();
        let mut connection = ReplicationConnection::connect(options, encoding).await?;
        connection.identify_system().await
    };
    match streaming.await {
        Ok(system) => {
            let saw = format!("system {}, timeline {}", system.system_id, system.timeline);
            Ok(Ok(Finding::pass(saw)))
        }
        Err(error) => {
            let version = settings.server_version;
            let diagnosis = diagnose(&error, options, session, version).await?;
            Ok(Err(Refusal { error, diagnosis }))
        }
    }
}

/// The SQL session tells what a login for replication alone does not.
async fn diagnose(
    error: &Error,
    options: &ConnectOptions,
    session: &Session,
    version: u32,
) -> Result<Diagnosis, Error> {
    let Error::Server(answer) = error else {
        return Ok(Diagnosis::of(error, options));
    };
    Ok(match answer.code.as_str() {
        "42501" => {
            let managed = settings::managed_replication_role(session).await?;
            no_replication(&options.user, managed.as_deref())
        }
        "53300" => {
            let used = slot::occupancy(session).await?.walsenders;
            let maximum = settings::read(session).await?.max_wal_senders;
            if used < i64::from(maximum) {
                Diagnosis::of(error, options)
            } else {
                no_walsender(used, maximum)
            }
        }
        // A line for a database, or for all, is none for a connection that streams, before 10.
        "28000" if version < PUBLICATIONS_SINCE => hba::not_admitted(answer, options, None, None),
        _ => Diagnosis::of(error, options),
    })
}

/// `managed` is the role by which the server's provider grants replication.
fn no_replication(user: &str, managed: Option<&str>) -> Diagnosis {
    let role = TableName::quote(user);
    let repair = match managed {
        Some(managed) => format!("GRANT {} TO {role};", TableName::quote(managed)),
        None => format!("ALTER ROLE {role} REPLICATION;"),
    };
    Diagnosis::new(
        REPLICATION_FORBIDDEN,
        format!("{user} may log in, but only a role with REPLICATION may stream changes."),
        repair,
    )
}

fn no_walsender(used: i64, maximum: u32) -> Diagnosis {
    Diagnosis::new(
        WALSENDERS_USED_UP,
        format!("{used} of {maximum} replication connections are in use."),
        wal_senders::more(used),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grant_is_the_providers_where_it_has_one() {
        assert_eq!(
            no_replication("ada", None).repair,
            "ALTER ROLE \"ada\" REPLICATION;"
        );
        assert_eq!(
            no_replication("ada", Some("rds_replication")).repair,
            "GRANT \"rds_replication\" TO \"ada\";"
        );
    }

    #[test]
    fn the_limit_that_was_reached_is_the_one_that_is_raised() {
        let none = no_walsender(0, 0);
        assert!(none.repair.contains("max_wal_senders = 1;"));
    }
}
