//! Does the server notice in time that a connection of ours is gone?

use std::time::Duration;

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::Finding;
use crate::literal;
use crate::source::Source;

/// Networks that are slow for a moment must not end the connection.
const TOO_SHORT: Duration = Duration::from_secs(5);

pub(super) const RULE: Rule = Rule {
    code: "sender_timeout",
    title: "The server gives up lost connections in time",
    ran: "SHOW wal_sender_timeout",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    Ok(judge(
        settings::read(&source.session).await?.wal_sender_timeout,
    ))
}

fn judge(timeout: Option<Duration>) -> Finding {
    let repair = literal::set("wal_sender_timeout", "'60s'");
    match timeout {
        None => Finding::alert(
            "wal_sender_timeout = 0",
            "The server never gives up a connection that was lost without a word. The slot stays in use, and the task \
             cannot go on before TCP notices, which takes minutes to hours.",
            repair,
        ),
        Some(timeout) if timeout < TOO_SHORT => Finding::alert(
            format!("wal_sender_timeout = {} ms", timeout.as_millis()),
            "The server gives up a connection that is slow for a moment, and the task begins anew each time.",
            repair,
        ),
        Some(timeout) => Finding::pass(format!("wal_sender_timeout = {} s", timeout.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn never_and_at_once_are_worth_knowing() {
        assert_eq!(judge(None).outcome, CheckOutcome::Alert);
        let short = judge(Some(Duration::from_millis(900)));
        assert_eq!(short.outcome, CheckOutcome::Alert);
        assert_eq!(short.saw, "wal_sender_timeout = 900 ms");
        let usual = judge(Some(Duration::from_secs(60)));
        assert_eq!(usual.outcome, CheckOutcome::Pass);
    }
}
