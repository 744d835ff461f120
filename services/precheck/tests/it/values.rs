//! What of a row reaches no reader.

use rowcast_proto::message::CheckOutcome;

use crate::service::{Service, item};

#[tokio::test]
async fn a_large_object_is_told_with_what_puts_it_into_its_column() {
    let service = Service::start().await;
    service
        .sql("CREATE TABLE scans (id int PRIMARY KEY, \"Page\" oid)")
        .await;
    // A number that points nowhere in a database without large objects.
    let report = service.report(service.superuser(), &["scans"]).await;
    assert_eq!(item(&report, "column_types").outcome(), CheckOutcome::Pass);

    service
        .sql("INSERT INTO scans VALUES (1, lo_from_bytea(0, 'ink'))")
        .await;
    let report = service.report(service.superuser(), &["scans"]).await;
    let found = item(&report, "column_types");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert_eq!(found.saw, "may hold large objects: public.scans.Page");

    let (_advice, repair) = found.repair.split_once('\n').unwrap();
    service.sql(repair).await;
    let client = service.postgres.client("postgres").await.unwrap();
    let row = client.query_one("SELECT \"Page\" FROM scans", &[]).await;
    assert_eq!(row.unwrap().get::<_, Vec<u8>>(0), b"ink");
    let report = service.report(service.superuser(), &["scans"]).await;
    assert_eq!(item(&report, "column_types").outcome(), CheckOutcome::Pass);
}

#[tokio::test]
async fn a_row_number_beside_the_columns_is_told_with_what_removes_it() {
    let service = Service::start_version(10).await;
    service
        .sql("CREATE TABLE old (id int PRIMARY KEY) WITH OIDS")
        .await;
    let report = service.report(service.superuser(), &["old"]).await;
    let found = item(&report, "column_types");
    assert_eq!(found.outcome(), CheckOutcome::Alert, "{found:?}");
    assert_eq!(found.saw, "WITH OIDS: public.old");
    let (_advice, repair) = found.repair.split_once('\n').unwrap();
    service.sql(repair).await;
    let report = service.report(service.superuser(), &["old"]).await;
    assert_eq!(item(&report, "column_types").outcome(), CheckOutcome::Pass);
}
