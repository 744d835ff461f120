//! Can the source be reached and logged in to?

use rowcast_pg::{ConnectOptions, Session, connect};

use super::Rule;
use crate::diagnosis::Diagnosis;
use crate::finding::Finding;

pub(super) const RULE: Rule = Rule {
    code: "connectivity",
    title: "The source can be reached",
    ran: "Resolve the host, connect, agree on TLS, log in",
};

/// Logs in; the session is for the checks that follow.
pub(super) async fn check(options: &ConnectOptions) -> (Finding, Option<Session>) {
    match connect(options).await {
        Ok(session) => {
            let saw = format!(
                "logged in to {} on {}:{} as {}",
                options.database, options.host, options.port, options.user
            );
            (Finding::pass(saw), Some(session))
        }
        Err(error) => (Diagnosis::of(&error, options).finding(&error), None),
    }
}
