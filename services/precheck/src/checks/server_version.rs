//! Is the server new enough?

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

/// Publications and `pgoutput` came with PostgreSQL 10.
const OLDEST: u32 = 100_000;

pub(super) const RULE: Rule = Rule {
    code: "server_version",
    title: "The server is PostgreSQL 10 or newer",
    ran: "SHOW server_version_num",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    Ok(judge(settings::read(&source.session).await?.server_version))
}

fn judge(version: u32) -> Finding {
    let saw = format!("server_version_num = {version}");
    if version >= OLDEST {
        Finding::pass(saw)
    } else {
        Finding::fail(
            saw,
            "Logical replication with publications came with PostgreSQL 10.",
            "Upgrade the server to a supported major version.",
        )
    }
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn ten_is_the_first_good_version() {
        assert_eq!(judge(90_624).outcome, CheckOutcome::Fail);
        assert_eq!(judge(100_000).outcome, CheckOutcome::Pass);
        assert_eq!(judge(180_001).outcome, CheckOutcome::Pass);
    }
}
