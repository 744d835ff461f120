//! Checks that run beside each other.

use std::time::Duration;

use rowcast_proto::message::{CheckOutcome, SourceConnection};
use rowcast_testkit::eventually;

use crate::service::{Service, codes, item, named, question};

const LIMIT: Duration = Duration::from_secs(10);

const SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity
                        WHERE application_name = 'rowcast-precheck' AND pid <> pg_backend_pid()";

/// The most sessions that a precheck had at a time, while it waited for a lock of ours.
async fn sessions_of(service: &Service, source: SourceConnection, expected: i64) {
    let holder = service.postgres.client("postgres").await.unwrap();
    holder
        .batch_execute("BEGIN; LOCK TABLE pg_inherits IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let looking = async {
        let count = async |query| holder.query_one(query, &[]).await.unwrap().get::<_, i64>(0);
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        eventually("a check waits", LIMIT, async || count(waits).await > 0).await;
        let what = format!("it has {expected} sessions");
        eventually(&what, LIMIT, async || count(SESSIONS).await == expected).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (report, ()) = tokio::join!(service.report(source, &["orders"]), looking);
    assert_eq!(
        codes(&report, CheckOutcome::Fail),
        [] as [&str; 0],
        "{report:?}"
    );
}

#[tokio::test]
async fn a_server_with_room_is_looked_at_by_three_sessions_and_others_by_one() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE TABLE orders (id int PRIMARY KEY);
             CREATE ROLE narrow LOGIN SUPERUSER PASSWORD 'Narrow-1' CONNECTION LIMIT 50",
        )
        .await;
    sessions_of(&service, service.superuser(), 3).await;
    // A role with a limit of its own gets one: capture needs the rest.
    sessions_of(&service, service.login("narrow", "Narrow-1"), 1).await;
}

#[tokio::test]
async fn the_report_has_the_order_of_what_was_announced() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE orders (id int PRIMARY KEY)")
        .await;
    let mut request = question(service.superuser(), named(&["orders"]));
    request.run = "a-run".to_owned();
    let (report, told) = service.watched(request).await;
    let announced: Vec<&str> = told[0].checks.iter().map(|c| c.code.as_str()).collect();
    let reported: Vec<&str> = report.items.iter().map(|i| i.code.as_str()).collect();
    assert_eq!(reported, announced);
    let last = told.last().unwrap();
    assert_eq!(last.items.len(), reported.len());
    assert_eq!(item(&report, "wal_senders").outcome(), CheckOutcome::Pass);
}
