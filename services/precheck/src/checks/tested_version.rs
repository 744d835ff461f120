//! Was this major version of PostgreSQL tested?
//!
//! A newer one may send messages that capture does not know, and then it stops; nothing of a change is told wrong
//! without a word. Of versions that are too old another check tells.

use rowcast_pg::{Error, settings};

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

/// The last major version that the tests run.
const NEWEST_TESTED: u32 = 18;

pub(super) const RULE: Rule = Rule {
    code: "tested_version",
    title: "The server's version was tested",
    ran: "SHOW server_version_num",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    Ok(judge(settings::read(&source.session).await?.server_version))
}

fn judge(version: u32) -> Finding {
    // From 10 on the major version is all but the last four digits.
    let major = version / 10_000;
    let saw = format!("server_version_num = {version}, tested up to {NEWEST_TESTED}");
    if major <= NEWEST_TESTED {
        return Finding::pass(saw);
    }
    Finding::alert(
        saw,
        format!(
            "PostgreSQL {major} is newer than this version of Rowcast. What it sends in a new way stops the task, and \
             it stays stopped until Rowcast is upgraded."
        ),
        format!(
            "Upgrade Rowcast to a version that names PostgreSQL {major}, or track a server of version \
             {NEWEST_TESTED}. To go on anyhow, see first that a task on a copy of this server runs, then ignore this."
        ),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn a_newer_major_version_is_worth_knowing() {
        for good in [90_400, 100_000, 180_099] {
            assert_eq!(judge(good).outcome, CheckOutcome::Pass, "{good}");
        }
        let newer = judge(190_000);
        assert_eq!(newer.outcome, CheckOutcome::Alert);
        assert!(newer.cause.contains("PostgreSQL 19 "), "{newer:?}");
    }
}
