//! Is the server new enough?

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

/// Publications and `pgoutput` came with PostgreSQL 10.
const OLDEST: u32 = 100_000;

/// First version whose publications tell of a TRUNCATE.
const TRUNCATE_SINCE: u32 = 110_000;

pub(super) const RULE: Rule = Rule {
    code: "server_version",
    title: "The server is PostgreSQL 10 or newer",
    ran: "SHOW server_version_num",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let version = settings::read(&source.session).await?.server_version;
    let truncate = source.wish.operations().contains(&"truncate");
    Ok(judge(version, truncate))
}

fn judge(version: u32, truncate: bool) -> Finding {
    let saw = format!("server_version_num = {version}");
    if version < OLDEST {
        Finding::fail(
            saw,
            "Logical replication with publications came with PostgreSQL 10.",
            "Upgrade the server to a supported major version.",
        )
    } else if truncate && version < TRUNCATE_SINCE {
        Finding::alert(
            saw,
            "PostgreSQL 10 does not tell of a TRUNCATE: the rows vanish without a change.",
            "Use DELETE on the tracked tables, or upgrade the server.",
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
    fn ten_is_the_first_good_version() {
        assert_eq!(judge(90_624, true).outcome, CheckOutcome::Fail);
        assert_eq!(judge(100_000, false).outcome, CheckOutcome::Pass);
        assert_eq!(judge(180_001, true).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_truncate_that_is_not_told_is_named() {
        assert_eq!(judge(100_023, true).outcome, CheckOutcome::Alert);
        assert_eq!(judge(110_000, true).outcome, CheckOutcome::Pass);
    }
}
