//! Can the source be reached and logged in to?

use rowcast_pg::{ConnectOptions, Session, connect, hosts};

use super::Rule;
use crate::diagnosis::Diagnosis;
use crate::finding::Finding;

pub(super) const RULE: Rule = Rule {
    code: "connectivity",
    title: "The source can be reached",
    ran: "Resolve the host, connect, agree on TLS, log in",
};

/// Logs in; the session is for the checks that follow, and so is the host that was chosen where several are
/// named.
pub(super) async fn check(
    options: &ConnectOptions,
) -> (Finding, Option<(Session, ConnectOptions)>) {
    let found = async {
        let chosen = hosts::primary(options).await?;
        Ok((connect(&chosen).await?, chosen))
    };
    match found.await {
        Ok((session, chosen)) => {
            let saw = format!(
                "logged in to {} on {}:{} as {}",
                chosen.database, chosen.host, chosen.port, chosen.user
            );
            (Finding::pass(saw), Some((session, chosen)))
        }
        Err(error) => {
            let diagnosis = Diagnosis::by_trying(&error, options).await;
            (diagnosis.finding(&error), None)
        }
    }
}
