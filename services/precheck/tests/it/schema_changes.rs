//! The event trigger that tells schema changes.

use rowcast_proto::message::{ChangeTypes, CheckOutcome, PrecheckRequest, SourceConnection};

use crate::service::{Service, item, named, question};

fn wanted(source: SourceConnection) -> PrecheckRequest {
    PrecheckRequest {
        change_types: Some(ChangeTypes {
            data: Vec::new(),
            schema: true,
        }),
        ..question(source, named(&["orders"]))
    }
}

#[tokio::test]
async fn who_may_not_install_the_trigger_needs_it_installed_and_enabled() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain';
             GRANT CREATE ON DATABASE postgres TO plain;
             CREATE TABLE orders (id int PRIMARY KEY);
             ALTER TABLE orders OWNER TO plain",
        )
        .await;
    let plain = || wanted(service.login("plain", "plain"));
    let report = service.ask(plain()).await.unwrap();
    let missing = item(&report, "schema_changes");
    assert_eq!(missing.outcome(), CheckOutcome::Fail, "{missing:?}");
    assert!(missing.repair.starts_with("Run this SQL as a superuser:\n"));
    let superuser = service.ask(wanted(service.superuser())).await.unwrap();
    assert!(superuser.passed, "{superuser:?}");

    let (_, install) = missing.repair.split_once('\n').unwrap();
    service.sql(install).await;
    assert!(service.ask(plain()).await.unwrap().passed);

    for state in ["DISABLE", "ENABLE REPLICA"] {
        service
            .sql(&format!("ALTER EVENT TRIGGER rowcast_sql_drop {state}"))
            .await;
        let report = service.ask(wanted(service.superuser())).await.unwrap();
        let disabled = item(&report, "schema_changes");
        assert_eq!(disabled.outcome(), CheckOutcome::Fail, "{state}");
        assert_eq!(disabled.saw, "disabled: rowcast_sql_drop");
        service.sql(&disabled.repair).await;
        assert!(service.ask(plain()).await.unwrap().passed, "{state}");
    }
}

#[tokio::test]
async fn a_trigger_of_somebody_else_is_not_ours() {
    let service = Service::start().await;
    service
        .sql(
            "CREATE ROLE plain LOGIN REPLICATION PASSWORD 'plain';
             CREATE TABLE orders (id int PRIMARY KEY);
             CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
             CREATE EVENT TRIGGER rowcast_end ON ddl_command_end EXECUTE FUNCTION public.audit()",
        )
        .await;
    let report = service
        .ask(wanted(service.login("plain", "plain")))
        .await
        .unwrap();
    assert_eq!(
        item(&report, "schema_changes").outcome(),
        CheckOutcome::Fail
    );

    // Whoever does not ask for schema changes is not told of them.
    let report = service.report(service.superuser(), &["orders"]).await;
    assert!(
        !report
            .items
            .iter()
            .any(|item| item.code == "schema_changes")
    );
}
