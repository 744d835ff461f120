//! Is the server new enough, and can what its version tells be read?

use rowcast_pg::Error;

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

/// Logical decoding came with PostgreSQL 9.4.
const OLDEST: u32 = 90_400;

/// Publications and `pgoutput` came with PostgreSQL 10; before, changes are read through
/// `test_decoding`.
pub(crate) const PUBLICATIONS_SINCE: u32 = 100_000;

/// First version that tells of a TRUNCATE.
const TRUNCATE_SINCE: u32 = 110_000;

pub(super) const RULE: Rule = Rule {
    code: "server_version",
    title: "The server is PostgreSQL 9.4 or newer",
    ran: "SHOW server_version_num; SHOW server_encoding",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    // By itself: a server that is too old lacks other settings.
    let row = source
        .session
        .query_one(
            "SELECT pg_catalog.current_setting('server_version_num')::integer,
                    pg_catalog.current_setting('server_encoding')",
            &[],
        )
        .await?;
    let version: i32 = row.try_get(0)?;
    let truncate = source.wish.operations().contains(&"truncate");
    Ok(judge(version.unsigned_abs(), row.try_get(1)?, truncate))
}

/// `encoding` is the database's, as PostgreSQL spells it (docs, "Character Set Support").
pub(crate) fn judge(version: u32, encoding: &str, truncate: bool) -> Finding {
    let saw = if version < PUBLICATIONS_SINCE {
        format!("server_version_num = {version}, server_encoding = {encoding}")
    } else {
        format!("server_version_num = {version}")
    };
    if version < OLDEST {
        return Finding::fail(
            saw,
            "Logical decoding came with PostgreSQL 9.4.",
            "Upgrade the server to a supported major version.",
        );
    }
    if version < PUBLICATIONS_SINCE && encoding != "UTF8" {
        return Finding::fail(
            saw,
            "Before PostgreSQL 10 changes are read through test_decoding, which writes text in the \
             encoding of the database and converts nothing: what is not UTF-8 would stop the task.",
            "Upgrade the server, or move the tables into a database with the encoding UTF8.",
        );
    }
    let mut causes = Vec::new();
    let mut repairs = Vec::new();
    if version < PUBLICATIONS_SINCE {
        causes.push(
            "Before PostgreSQL 10 changes are read through test_decoding, and a table's shape comes \
             from the catalog of now: changes from before an ALTER TABLE that are read after it may \
             show the newer shape. Whether test_decoding is installed is seen only at the start.",
        );
        repairs.push(
            "Install the server's contrib package, which has test_decoding. Let the task catch up \
             before a table is altered, or upgrade the server.",
        );
    }
    if truncate && version < TRUNCATE_SINCE {
        causes.push("TRUNCATE is not seen before PostgreSQL 11: the rows vanish without a change.");
        repairs.push("Use DELETE on the tracked tables, or upgrade the server.");
    }
    if causes.is_empty() {
        return Finding::pass(saw);
    }
    Finding::alert(saw, causes.join(" "), repairs.join(" "))
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn nine_four_is_the_first_good_version() {
        assert_eq!(judge(90_326, "UTF8", true).outcome, CheckOutcome::Fail);
        for old in [90_400, 90_624] {
            let finding = judge(old, "UTF8", false);
            assert_eq!(finding.outcome, CheckOutcome::Alert);
            assert!(finding.cause.contains("test_decoding"), "{finding:?}");
            assert!(!finding.cause.contains("TRUNCATE"), "{finding:?}");
        }
        assert_eq!(judge(100_000, "UTF8", false).outcome, CheckOutcome::Pass);
        assert_eq!(judge(180_001, "UTF8", true).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn a_truncate_that_is_not_told_is_named() {
        for old in [90_624, 100_023] {
            let finding = judge(old, "UTF8", true);
            assert_eq!(finding.outcome, CheckOutcome::Alert);
            assert!(finding.cause.contains("TRUNCATE"), "{finding:?}");
        }
        assert_eq!(judge(110_000, "UTF8", true).outcome, CheckOutcome::Pass);
    }

    #[test]
    fn text_that_the_server_does_not_convert_must_be_utf8() {
        for encoding in ["LATIN1", "SQL_ASCII", "EUC_JP"] {
            let finding = judge(90_624, encoding, false);
            assert_eq!(finding.outcome, CheckOutcome::Fail);
            assert!(finding.saw.contains(encoding), "{finding:?}");
            // pgoutput converts.
            assert_eq!(judge(100_000, encoding, false).outcome, CheckOutcome::Pass);
        }
    }
}
