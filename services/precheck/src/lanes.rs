//! Checks of the source, several at once.
//!
//! ```text
//! units of checks ─┬─▶ lane: first session ──┐
//!                  ├─▶ lane: a further one ──┼─▶ what was found, as it ends
//!                  └─▶ lane: a further one ──┘
//! ```
//!
//! Each lane takes the next unit once its last one has ended. What does not answer in time costs its lane, for what
//! came next would wait behind it on the same connection; the others go on. Once no lane is left, what was not run is
//! skipped: so a source that falls silent is noticed after the time of one check.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rowcast_pg::Error;
use rowcast_proto::message::CheckResult;
use rowcast_service::CancellationToken;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::checks::{Check, Rule, result};
use crate::finding::Finding;
use crate::source::Source;

/// Connections at most, the first included.
const LANES: usize = 3;

/// Connections that stay free for applications, however few the server allows.
const LEFT_FREE: i64 = 10;

/// How long one check may take: a source that does not answer, or slowly, must not hold up the report. More
/// than its sessions wait for a lock.
const CHECK_WITHIN: Duration = Duration::from_secs(12);

/// A check and what it is called.
pub(crate) type Named = &'static (Rule, Check);

/// What the lanes share.
struct Work<'a> {
    /// Each is run by one lane, one check after the other.
    units: &'a [Vec<Named>],
    /// The first that nobody has taken.
    next: AtomicUsize,
    /// When all must be over.
    end: Instant,
    /// The first lane has ended: nobody waits for further connections any more.
    first_ended: CancellationToken,
}

/// Runs the checks, each within its time, and tells `found` of each as it ends.
pub(crate) async fn run(
    first: &Source,
    units: &[Vec<Named>],
    end: Instant,
    mut found: impl FnMut(CheckResult),
) {
    let work = Work {
        units,
        next: AtomicUsize::new(0),
        end,
        first_ended: CancellationToken::new(),
    };
    let checks: Vec<Named> = units.iter().flatten().copied().collect();
    let (tell, mut told) = mpsc::channel(checks.len().max(1));
    let lanes = async {
        let tell = tell;
        tokio::join!(
            async {
                work.lane(first, &tell).await;
                work.first_ended.cancel();
            },
            work.further(first, 1, &tell),
            work.further(first, 2, &tell),
        );
    };
    let mut open: Vec<&'static str> = checks.iter().map(|(rule, _)| rule.code).collect();
    let tells = async {
        while let Some(item) = told.recv().await {
            open.retain(|code| *code != item.code);
            found(item);
        }
    };
    tokio::join!(Box::pin(lanes), tells);
    for (rule, _) in checks.iter().filter(|(rule, _)| open.contains(&rule.code)) {
        let skipped = Finding::skipped("The source no longer answers.");
        found(result(rule, skipped, Instant::now()));
    }
}

impl Work<'_> {
    /// Takes units until there is none left, or the source is silent.
    async fn lane(&self, source: &Source, tell: &mpsc::Sender<CheckResult>) {
        while let Some(unit) = self.units.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            for (rule, check) in unit {
                let begun = Instant::now();
                if begun >= self.end {
                    return;
                }
                let limit = self.end.min(begun + CHECK_WITHIN);
                let judged = timeout_at(limit, check(source)).await;
                let is_silent = judged.is_err();
                let finding = match judged {
                    Ok(judged) => judged.unwrap_or_else(|error| Finding::unreadable(&error)),
                    Err(_elapsed) => Finding::silent(begun.elapsed()),
                };
                // Whoever listens does so to the end.
                tell.send(result(rule, finding, begun))
                    .await
                    .unwrap_or_default();
                if is_silent {
                    return;
                }
            }
        }
    }

    /// The same on a connection of its own, where there are checks for it and the server has room.
    async fn further(&self, first: &Source, nth: usize, tell: &mpsc::Sender<CheckResult>) {
        if nth >= LANES.min(self.units.len()) {
            return;
        }
        let opened = async {
            if has_room(first, nth).await? {
                return first.beside().await.map(Some);
            }
            Ok::<_, Error>(None)
        };
        match self.first_ended.run_until_cancelled(opened).await {
            Some(Ok(Some(source))) => self.lane(&source, tell).await,
            Some(Ok(None)) => tracing::debug!("the source has few connections left"),
            Some(Err(error)) => tracing::debug!(%error, "no further connection"),
            None => tracing::debug!("no further connection in time"),
        }
    }
}

/// Whether the server can spare that many further connections. Where the role or the database has a limit of its
/// own, what capture will need counts more than our haste.
async fn has_room(source: &Source, further: usize) -> Result<bool, Error> {
    let row = source
        .session
        .query_one(
            "SELECT pg_catalog.current_setting('max_connections')::bigint
                    - (SELECT pg_catalog.sum(setting::bigint)::bigint
                       FROM pg_catalog.pg_settings
                       WHERE name IN ('superuser_reserved_connections', 'reserved_connections'))
                    - (SELECT pg_catalog.sum(numbackends)::bigint
                       FROM pg_catalog.pg_stat_database),
                    r.rolconnlimit < 0 AND d.datconnlimit < 0
             FROM pg_catalog.pg_roles AS r,
                  pg_catalog.pg_database AS d
             WHERE r.rolname = current_user
               AND d.datname = pg_catalog.current_database()",
            &[],
        )
        .await?;
    let (free, is_unlimited): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
    let further = i64::try_from(further).unwrap_or(i64::MAX);
    Ok(is_unlimited && free.saturating_sub(further) >= LEFT_FREE)
}
