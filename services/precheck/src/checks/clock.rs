//! Do the clocks of the source and of Rowcast agree?

use chrono::Utc;
use rowcast_pg::Error;
use tokio::time::Instant;

use super::Rule;
use crate::finding::Finding;
use crate::source::Source;

/// More makes the delay that is shown wrong by as much, in milliseconds.
const SKEW_MAX: i64 = 2_000;

pub(super) const RULE: Rule = Rule {
    code: "clock",
    title: "The clocks agree within two seconds",
    ran: "SELECT clock_timestamp()",
};

pub(super) async fn check(source: &Source) -> Result<Finding, Error> {
    let begun = Instant::now();
    let row = source
        .session
        .query_one(
            "SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000)::bigint",
            &[],
        )
        .await?;
    let now = Utc::now().timestamp_millis();
    let took = i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
    Ok(judge(row.try_get(0)?, now, took))
}

/// The server has read its clock at some time of the round trip: what that can explain is no skew.
/// All in milliseconds.
fn judge(theirs: i64, ours: i64, round_trip: i64) -> Finding {
    let earliest = ours.saturating_sub(round_trip);
    let skew = if theirs > ours {
        theirs - ours
    } else {
        (theirs - earliest).min(0)
    };
    let saw = match skew {
        0 => "no difference that the round trip does not explain".to_owned(),
        skew if skew > 0 => format!("the source's clock is {skew} ms ahead"),
        skew => format!("the source's clock is {} ms behind", -skew),
    };
    if skew.abs() <= SKEW_MAX {
        return Finding::pass(saw);
    }
    Finding::alert(
        saw,
        "Times of commit are the source's, and the delay of a task is reckoned from them: it will be \
         wrong by as much. No change is lost.",
        "Let both machines follow NTP: timedatectl set-ntp true.",
    )
}

#[cfg(test)]
mod tests {
    use rowcast_proto::message::CheckOutcome;

    use super::*;

    #[test]
    fn what_the_round_trip_explains_is_no_skew() {
        let outcome = |theirs, round_trip| judge(theirs, 100_000, round_trip).outcome;
        assert_eq!(outcome(100_000, 0), CheckOutcome::Pass);
        assert_eq!(outcome(95_000, 5_000), CheckOutcome::Pass);
        assert_eq!(outcome(95_000, 10), CheckOutcome::Alert);
        assert_eq!(outcome(98_000, 0), CheckOutcome::Pass);
        let ahead = judge(103_500, 100_000, 1_000);
        assert_eq!(ahead.outcome, CheckOutcome::Alert);
        assert!(ahead.saw.contains("3500 ms ahead"), "{ahead:?}");
    }
}
