//! Is the server a primary?

use rowcast_pg::{Client, Error, settings};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

/// First version whose standbys tell the address of the server that they follow.
const SENDER_SINCE: u32 = 110_000;

/// First version that is promoted by SQL.
const PROMOTE_SINCE: u32 = 120_000;

pub(super) const RULE: Rule = Rule {
    code: "primary",
    title: "The server is a primary",
    ran: "SELECT pg_is_in_recovery(); SELECT sender_host, sender_port FROM pg_stat_wal_receiver",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let session = &source.session;
    if !settings::in_recovery(session).await? {
        return Ok(Finding::pass("pg_is_in_recovery() = false"));
    }
    let version = settings::read(session).await?.server_version;
    let followed = followed(session, version).await?;
    Ok(standby(followed.as_ref(), version))
}

/// Host and port of the server that a standby streams from; `None` where it does not stream, or the account may not
/// see it.
async fn followed(client: &Client, version: u32) -> Result<Option<(String, i32)>, Error> {
    if version < SENDER_SINCE {
        return Ok(None);
    }
    let row = client
        .query_opt(
            "SELECT r.sender_host,
                    r.sender_port
             FROM pg_catalog.pg_stat_wal_receiver AS r
             WHERE r.sender_host IS NOT NULL
               AND r.sender_port IS NOT NULL",
            &[],
        )
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .transpose()
}

fn standby(followed: Option<&(String, i32)>, version: u32) -> Finding {
    let address = match followed {
        Some((host, port)) => format!(
            "Give the source the address of the primary. This standby follows:\nhost = {host}\nport = {port}"
        ),
        None => "Give the source the address of the primary.".to_owned(),
    };
    let promote = if version < PROMOTE_SINCE {
        "Or, where this is to become the primary: pg_ctl promote".to_owned()
    } else {
        "Or, where this is to become the primary:\nSELECT pg_promote();".to_owned()
    };
    Finding::fail(
        "pg_is_in_recovery() = true",
        "A standby is read-only, so the task's publication cannot be created on it.",
        format!("{address}\n{promote}"),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn a_standby_fails() {
        let found = standby(Some(&("10.0.0.5".to_owned(), 5433)), 180_000);
        assert_eq!(found.outcome, CheckOutcome::Fail);
        assert!(
            found.repair.contains("\nhost = 10.0.0.5\nport = 5433\n"),
            "{found:?}"
        );
        assert!(
            found.repair.ends_with("\nSELECT pg_promote();"),
            "{found:?}"
        );
        let old = standby(None, 100_000).repair;
        assert!(!old.contains("pg_promote()"), "{old}");
    }
}
