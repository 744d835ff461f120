//! Does the WAL hold what logical decoding needs?

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "wal_level",
    title: "The WAL is written for logical decoding",
    ran: "SHOW wal_level",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let settings = settings::read(&source.session).await?;
    Ok(judge(&settings.wal_level))
}

fn judge(wal_level: &str) -> Finding {
    let saw = format!("wal_level = {wal_level}");
    if wal_level == "logical" {
        Finding::pass(saw)
    } else {
        Finding::fail(
            saw,
            "Changes can only be decoded from the WAL where wal_level is logical.",
            "Run this, then restart PostgreSQL:\nALTER SYSTEM SET wal_level = 'logical';\nOn a managed service set \
             its parameter instead: tell who runs the source by its kind, and this says which.",
        )
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn only_logical_passes() {
        assert_eq!(judge("logical").outcome, CheckOutcome::Pass);
        let failed = judge("replica");
        assert_eq!(failed.outcome, CheckOutcome::Fail);
        assert!(
            failed
                .repair
                .contains("\nALTER SYSTEM SET wal_level = 'logical';\n")
        );
    }
}
