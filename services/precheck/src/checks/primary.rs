//! Is the server a primary?

use rowcast_pg::Error;

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "primary",
    title: "The server is a primary",
    ran: "SELECT pg_is_in_recovery()",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let row = source
        .session
        .query_one("SELECT pg_catalog.pg_is_in_recovery()", &[])
        .await?;
    Ok(judge(row.try_get(0)?))
}

fn judge(is_in_recovery: bool) -> Finding {
    let saw = format!("pg_is_in_recovery() = {is_in_recovery}");
    if is_in_recovery {
        Finding::fail(
            saw,
            "A standby is read-only, so the task's publication cannot be created on it.",
            "Give the address of the primary.",
        )
    } else {
        Finding::pass(saw)
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn a_standby_fails() {
        assert_eq!(judge(true).outcome, CheckOutcome::Fail);
        assert_eq!(judge(false).outcome, CheckOutcome::Pass);
    }
}
