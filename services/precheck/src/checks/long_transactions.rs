//! Is a transaction open that began long ago?

use rowcast_pg::Error;

use super::Rule;
use crate::finding::{Finding, name_some};
use crate::literal;
use crate::source::Source;

/// Longer than most have patience with a start, in seconds.
const LONG: f64 = 600.0;

pub(super) const RULE: Rule = Rule {
    code: "long_transactions",
    title: "No transaction is open for more than ten minutes",
    ran: "SELECT pid, usename, now() - xact_start FROM pg_stat_activity \
          WHERE xact_start < now() - interval '10 min'",
};

/// An open transaction.
struct Open {
    pid: i32,
    role: String,
    /// In seconds.
    age: i64,
}

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let session = &source.session;
    let rows = session
        .query(
            "SELECT a.pid,
                    COALESCE(a.usename::text, ''),
                    pg_catalog.date_part('epoch', pg_catalog.now() - a.xact_start)::bigint
             FROM pg_catalog.pg_stat_activity AS a
             WHERE pg_catalog.date_part('epoch', pg_catalog.now() - a.xact_start) >= $1
               AND a.pid <> pg_catalog.pg_backend_pid()
               AND a.pid NOT IN (SELECT r.pid FROM pg_catalog.pg_stat_replication AS r)
             ORDER BY a.xact_start",
            &[&LONG],
        )
        .await?;
    // What a role may not see of another's session has no state.
    let hidden = session
        .query_one(
            "SELECT pg_catalog.count(*)
             FROM pg_catalog.pg_stat_activity AS a
             WHERE a.query = '<insufficient privilege>'",
            &[],
        )
        .await?;
    let open = rows.iter().map(|row| {
        Ok(Open {
            pid: row.try_get(0)?,
            role: row.try_get(1)?,
            age: row.try_get(2)?,
        })
    });
    let open = open.collect::<Result<Vec<_>, Error>>()?;
    Ok(judge(&open, hidden.try_get(0)?))
}

fn judge(open: &[Open], hidden: i64) -> Finding {
    let unseen = match hidden {
        0 => String::new(),
        hidden => format!(
            "; {hidden} sessions of other roles are hidden from the account: GRANT pg_read_all_stats shows them"
        ),
    };
    if open.is_empty() {
        return Finding::pass(format!("none{unseen}"));
    }
    let seen = open.iter().map(|transaction| {
        let Open { pid, role, age } = transaction;
        format!("pid {pid} of {role} for {} min", age / 60)
    });
    let ends = open
        .iter()
        .map(|transaction| format!("SELECT pg_terminate_backend({});", transaction.pid));
    let ends = literal::lines(ends);
    Finding::alert(
        format!("{}{unseen}", name_some(seen)),
        "A slot is made only once every transaction has ended that was open before: the start of the \
         task waits for them. Later they hold back the WAL that the server may forget.",
        format!("Let them end, or end them:\n{ends}"),
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn an_open_one_is_worth_knowing_and_a_hidden_one_is_told() {
        assert_eq!(judge(&[], 0).saw, "none");
        let hidden = judge(&[], 3);
        assert_eq!(hidden.outcome, CheckOutcome::Pass);
        assert!(hidden.saw.contains("3 sessions"), "{hidden:?}");
        let open = judge(
            &[Open {
                pid: 42,
                role: "report".to_owned(),
                age: 1234,
            }],
            0,
        );
        assert_eq!(open.outcome, CheckOutcome::Alert);
        assert_eq!(open.saw, "pid 42 of report for 20 min");
        assert!(open.repair.contains("pg_terminate_backend(42)"), "{open:?}");
    }
}
