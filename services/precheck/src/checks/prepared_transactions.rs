//! Does a transaction wait for the second half of a two-phase commit?

use rowcast_pg::Error;

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

pub(super) const RULE: Rule = Rule {
    code: "prepared_transactions",
    title: "No prepared transaction waits",
    ran: "SELECT gid, now() - prepared FROM pg_prepared_xacts",
};

/// A transaction that was prepared.
struct Prepared {
    gid: String,
    /// In seconds.
    age: i64,
    database: String,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    // Of every database: the slot waits for the transactions of the whole server.
    let rows = source
        .session
        .query(
            "SELECT p.gid,
                    pg_catalog.date_part('epoch', pg_catalog.now() - p.prepared)::bigint,
                    p.database::text
             FROM pg_catalog.pg_prepared_xacts AS p
             ORDER BY p.prepared",
            &[],
        )
        .await?;
    let prepared = rows.iter().map(|row| {
        Ok(Prepared {
            gid: row.try_get(0)?,
            age: row.try_get(1)?,
            database: row.try_get(2)?,
        })
    });
    Ok(judge(&prepared.collect::<Result<Vec<_>, Error>>()?))
}

fn judge(prepared: &[Prepared]) -> Finding {
    if prepared.is_empty() {
        return Finding::pass("none");
    }
    let seen = prepared.iter().map(|transaction| {
        let Prepared { gid, age, database } = transaction;
        format!("{gid:?} in {database} for {age} s")
    });
    let ends = prepared.iter().map(|transaction| {
        let gid = transaction.gid.replace('\'', "''");
        format!(
            "ROLLBACK PREPARED '{gid}'; -- in database {}",
            transaction.database
        )
    });
    let ends = literal::lines(ends);
    Finding::alert(
        name_some(seen),
        "A slot is made only once every transaction has ended that was open before: the task would not \
         start. Prepared ones outlive their session, and often their application.",
        format!(
            "Let their transaction manager end them, or decide yourself, each in its own database, whether COMMIT \
             PREPARED or:\n{ends}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn each_is_named_with_what_ends_it() {
        assert_eq!(judge(&[]).outcome, CheckOutcome::Pass);
        let finding = judge(&[Prepared {
            gid: "it's".to_owned(),
            age: 7,
            database: "shop".to_owned(),
        }]);
        assert_eq!(finding.outcome, CheckOutcome::Alert);
        assert!(
            finding.saw.contains("\"it's\" in shop for 7 s"),
            "{finding:?}"
        );
        assert!(
            finding
                .repair
                .ends_with("\nROLLBACK PREPARED 'it''s'; -- in database shop"),
            "{finding:?}"
        );
    }
}
