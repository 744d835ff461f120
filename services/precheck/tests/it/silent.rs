//! A source that falls silent in the middle.

use std::time::Duration;

use rowcast_proto::message::CheckOutcome;
use rowcast_testkit::{Proxy, eventually};

use crate::service::{Service, codes, item};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_source_that_falls_silent_cannot_hold_up_the_report() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let link = Proxy::start(service.postgres.port()).await.unwrap();
    let mut source = service.superuser();
    source.port = link.port().into();

    // A check waits for a lock: then we know where it is.
    let holder = service.postgres.client("postgres").await.unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE pg_inherits IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let silence = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        eventually("a check waits", LIMIT, async || {
            holder.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0
        })
        .await;
        link.stall();
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (report, ()) = tokio::join!(service.report(source, &["orders"]), silence);

    let failed = codes(&report, CheckOutcome::Fail);
    // As many as ran beside each other.
    assert!((1..=3).contains(&failed.len()), "{report:?}");
    for code in failed {
        assert_eq!(item(&report, code).saw, "no answer within 12 s");
    }
    assert!(!codes(&report, CheckOutcome::Skipped).is_empty());
    assert_eq!(item(&report, "wal_level").outcome(), CheckOutcome::Pass);
}
