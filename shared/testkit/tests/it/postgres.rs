//! The cluster of a test.

use rowcast_testkit::Postgres;
use tokio_postgres::NoTls;

#[tokio::test]
async fn logical_decoding_works() {
    let postgres = Postgres::start().await.unwrap();
    let client = postgres.client("postgres").await.unwrap();
    client
        .execute(
            "SELECT pg_create_logical_replication_slot('s', 'pgoutput')",
            &[],
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_service_has_a_schema_of_its_own() {
    let postgres = Postgres::start().await.unwrap();
    let billing = postgres.service_database("billing").await.unwrap();
    let again = postgres.service_database("billing").await.unwrap();
    assert_eq!(billing, again);
    let task_api = postgres.service_database("task-api").await.unwrap();

    let (client, connection) = tokio_postgres::connect(&billing, NoTls).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test has no supervised tasks")]
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE orders (id int)")
        .await
        .unwrap();
    let row = client
        .query_one(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'orders'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(row.get::<_, &str>(0), "billing");

    let (client, connection) = tokio_postgres::connect(&task_api, NoTls).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test has no supervised tasks")]
    tokio::spawn(connection);
    client
        .batch_execute("SELECT * FROM billing.orders")
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_committed_row_is_there_after_a_crash() {
    let mut postgres = Postgres::start().await.unwrap();
    let client = postgres.client("postgres").await.unwrap();
    client
        .batch_execute("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    postgres.crash_and_restart().await.unwrap();
    let client = postgres.client("postgres").await.unwrap();
    let row = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let postgres = Postgres::start().await.unwrap();
    let url = postgres
        .dsn("postgres")
        .replace(postgres.password(), "wrong");
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
}
